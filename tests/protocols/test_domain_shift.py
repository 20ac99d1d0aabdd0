from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocols.conftest import coloured, without_training
from vlprompt.data.catalogue import load_dataset
from vlprompt.errors import DataError
from vlprompt.experiments import Plan
from vlprompt.experiments.running import places_of
from vlprompt.protocols import DOMAIN_SHIFT

FRUIT = coloured("fruit", ["apple", "pear", "plum"])
SKETCHES = without_training(coloured("sketches", ["apple", "pear", "plum"], seed=2))
FEW = without_training(coloured("few", ["plum", "apple"], seed=3, template="art of a {}."))


def test_shifted_versions_are_tested_among_their_own_classes(benchmark) -> None:
    (record,) = benchmark(DOMAIN_SHIFT, [FRUIT, SKETCHES, FEW], ["coop"])
    assert record.dataset.name == "fruit"
    assert {test: result.total for test, result in record.results.items()} == {"fruit": 6, "sketches": 6, "few": 4}
    assert record.dataset.classes["few"] == ("plum", "apple")
    assert record.dataset.targets["few"].template == FRUIT.template


def test_a_head_answers_with_the_classes_that_a_shifted_version_has(benchmark) -> None:
    (record,) = benchmark(DOMAIN_SHIFT, [FRUIT, SKETCHES, FEW], ["gda"])
    assert set(record.results["few"].predictions) <= {0, 1}
    assert record.results["few"].total == 4


def test_a_head_names_a_part_of_the_classes_by_its_best_logit_among_them(benchmark) -> None:
    same = without_training(replace(FRUIT, name="same", test=tuple(s for s in FRUIT.test if s.label < 2)))
    (record,) = benchmark(DOMAIN_SHIFT, [FRUIT, same], ["gda"])
    whole, part = record.results["fruit"].predictions[:4], record.results["same"].predictions
    assert all(some == every for some, every in zip(part, whole, strict=True) if every < 2)


def test_names_that_several_trained_classes_share_are_told_apart_by_order_or_not_at_all() -> None:
    trained = ["crane", "owl", "crane"]
    assert places_of(trained, trained) is None
    assert places_of(["owl", "crane", "crane"], trained) == [[1], [0], [2]]
    assert places_of(["crane", "owl"], trained) == [[0, 2], [1]]


def test_a_class_that_was_not_trained_on_is_refused(benchmark) -> None:
    other = without_training(coloured("other", ["apple", "kiwi"]))
    with pytest.raises(DataError, match="data set other has the class kiwi, which fruit has not"):
        benchmark(DOMAIN_SHIFT, [FRUIT, other], ["zero-shot"])


def test_a_data_set_without_shifted_versions_is_refused(benchmark) -> None:
    with pytest.raises(DataError, match="has no shifted version of it"):
        benchmark(DOMAIN_SHIFT, [FRUIT], ["zero-shot"])


def test_bundled_data_sets_are_sources_each_and_tested_in_their_other_styles() -> None:
    food = load_dataset("emoji-food")
    datasets = {"emoji-food": food, "fruit": FRUIT, "sketches": SKETCHES}
    assert DOMAIN_SHIFT.sources(datasets) == ["emoji-food", "fruit"]
    assert list(DOMAIN_SHIFT.all_tests("emoji-food", datasets)) == ["flat", "3d", "high-contrast"]
    assert list(DOMAIN_SHIFT.all_tests("fruit", datasets)) == ["fruit", "sketches"]


def test_imagenet_alone_brings_its_four_shifted_versions() -> None:
    assert Plan(DOMAIN_SHIFT, ("imagenet",)).datasets[1:] == (
        "imagenetv2",
        "imagenet-sketch",
        "imagenet-a",
        "imagenet-r",
    )
