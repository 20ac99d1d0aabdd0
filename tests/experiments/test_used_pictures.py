"""Only the pictures that runs use are opened, checked and fingerprinted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.samples import Dataset
from vlprompt.experiments import used_pictures
from vlprompt.experiments.used_pictures import USED, Fingerprints, draw, slim
from vlprompt.protocols import BASE_TO_NEW, FEW_SHOT


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Four classes with nine training and two test pictures each."""
    random = np.random.default_rng(0)
    for split, count in (("train", 9), ("test", 2)):
        for name in ("apple", "boat", "cat", "door"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{number}.png")
    return tmp_path / "data"


def loaded(folder: Path) -> Dataset:
    return load_dataset(folder)


def test_what_is_drawn_is_of_the_classes_that_are_trained_on(many: Path) -> None:
    dataset = loaded(many)
    assert len(draw(FEW_SHOT, dataset, 3, 1).samples) == 12
    base = draw(BASE_TO_NEW, dataset, 3, 1).samples
    assert [sample.class_name for sample in base] == ["apple"] * 3 + ["boat"] * 3
    of_all = {sample.image for sample in draw(FEW_SHOT, dataset, 3, 1).samples}
    assert {sample.image for sample in base} < of_all  # the draw is over all classes, as published
    assert draw(FEW_SHOT, dataset, 3, 2).samples != draw(FEW_SHOT, dataset, 3, 1).samples


def test_a_slim_data_set_has_the_classes_and_tests_of_the_whole_one(many: Path) -> None:
    dataset = loaded(many)
    for some in (dataset, replace(dataset, train=dataset.train[9:], val=dataset.train[:9])):
        few = slim(some)
        assert few.class_names == some.class_names
        assert len(few.train) == 4
        for test, part in BASE_TO_NEW.tests(some).items():
            assert BASE_TO_NEW.tests(few)[test].test == part.test
            assert BASE_TO_NEW.tests(few)[test].class_names == part.class_names


def test_a_fingerprint_follows_the_bytes_names_and_order_of_its_pictures_alone(many: Path, tmp_path: Path) -> None:
    dataset = loaded(many)
    fingerprint = Fingerprints(None).of(dataset.test)
    assert fingerprint.startswith(USED)
    assert Fingerprints(None).of(dataset.test) == fingerprint
    assert Fingerprints(None).of(dataset.test[::-1]) != fingerprint
    assert Fingerprints(None).of(dataset.test, {"apple": "red apple"}) != fingerprint
    Path(str(dataset.train[0].image)).write_bytes(b"changed")
    assert Fingerprints(None).of(dataset.test) == fingerprint
    Image.new("RGB", (9, 9)).save(str(dataset.test[0].image))
    assert Fingerprints(None).of(dataset.test) != fingerprint


def test_a_folder_that_moves_keeps_its_fingerprint(many: Path, tmp_path: Path) -> None:
    before = Fingerprints(None).of(loaded(many).test)
    many.rename(tmp_path / "elsewhere")
    assert Fingerprints(None).of(loaded(tmp_path / "elsewhere").test) == before


def test_files_that_have_not_changed_are_read_once_ever(many: Path, tmp_path: Path, monkeypatch) -> None:
    dataset, read = loaded(many), []
    from vlprompt.features import content_keys

    monkeypatch.setattr(content_keys, "SETTLED_NS", 0)  # what has just changed is not remembered
    key = content_keys.image_key
    monkeypatch.setattr(content_keys, "image_key", lambda image: read.append(image) or key(image))
    one = Fingerprints(tmp_path / "cache")
    first = one.of(dataset.test)
    one.of(dataset.test)
    assert len(read) == len(dataset.test)
    assert Fingerprints(tmp_path / "cache").of(dataset.test) == first
    assert len(read) == len(dataset.test)


def test_a_picture_that_cannot_be_read_has_a_fingerprint_and_is_left_to_who_opens_it(many: Path) -> None:
    dataset = loaded(many)
    gone = replace(dataset.test[0], image=many / "nowhere.png")
    assert Fingerprints(None).of([gone, *dataset.test[1:]]) != Fingerprints(None).of(dataset.test)
    assert used_pictures.USED == "used-"
