from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError
from vlprompt.methods import METHODS
from vlprompt.methods.declarations import declaration
from vlprompt.protocols import FEW_SHOT, PROTOCOLS


@pytest.fixture(scope="module")
def food() -> Dataset:
    return load_dataset("emoji-food")


def test_it_trains_and_tests_on_all_classes(food) -> None:
    assert FEW_SHOT.trained(food) is food
    assert FEW_SHOT.tests(food)["test"] is food


def test_bundled_scenes_are_tested_in_the_other_styles_too(food) -> None:
    tests = FEW_SHOT.tests(food)
    assert list(tests) == ["test", "3d", "high-contrast"]
    for style in ("3d", "high-contrast"):
        shown, own = tests[style].test[7].image, food.test[7].image
        assert (shown.domain, own.domain) == (style, "flat")
        assert replace(shown, domain="flat") == own
        assert tests[style].class_names == food.class_names


def test_another_style_that_is_trained_on_is_tested_on_flat() -> None:
    assert list(FEW_SHOT.tests(load_dataset("emoji-food", domain="3d"))) == ["test", "flat", "high-contrast"]


def test_a_part_of_the_classes_and_a_persons_own_data_have_no_other_styles(food) -> None:
    few = replace(
        food, **{split: tuple(s for s in getattr(food, split) if s.label < 5) for split in ("train", "val", "test")}
    )
    assert list(FEW_SHOT.tests(few)) == ["test"]
    assert list(FEW_SHOT.tests(replace(food, bundled=""))) == ["test"]


@pytest.mark.parametrize("name", METHODS)
def test_it_takes_every_method(name) -> None:
    assert FEW_SHOT.refusal(declaration(name)) is None


def test_a_data_set_without_test_images_is_refused() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="no test images for the test test of few-shot"):
        FEW_SHOT.check(Dataset("things", (Sample(image, 0, "a"), Sample(image + 1, 1, "b"))))


def test_every_protocol_is_found_by_its_name() -> None:
    assert PROTOCOLS["few-shot"] is FEW_SHOT
    assert [protocol.name for protocol in PROTOCOLS.values()] == list(PROTOCOLS)
