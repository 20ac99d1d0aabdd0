"""Picture files with the same content that stand where they should not."""

from __future__ import annotations

import os
import shutil
import warnings

import pytest
from PIL import Image

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.doubles import DoublePicturesWarning, warn_about_doubles


@pytest.fixture
def pets(tmp_path):
    """train and test with two classes of two pictures, all different."""
    for place, (split, name, number) in enumerate(
        (split, name, number) for split in ("train", "test") for name in ("cat", "dog") for number in range(2)
    ):
        path = tmp_path / "pets" / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (place, 0, 0)).save(path)
    return tmp_path / "pets"


def copied(source, target) -> None:
    shutil.copy(source, target)


def linked(source, target) -> None:
    target.symlink_to(source)


def linked_hard(source, target) -> None:
    os.link(source, target)


def test_pictures_that_differ_are_no_doubles(pets) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about_doubles(load_dataset(pets))


@pytest.mark.parametrize("doubled", [copied, linked, linked_hard])
def test_a_picture_with_two_labels_is_told_with_both(pets, doubled) -> None:
    doubled(pets / "train/cat/0.png", pets / "train/dog/again.png")
    with pytest.warns(
        DoublePicturesWarning,
        match=r"1 picture stands under two classes, such as .*0.png \('cat'\) and .*again.png \('dog'\)",
    ):
        warn_about_doubles(load_dataset(pets))


@pytest.mark.parametrize("doubled", [copied, linked, linked_hard])
def test_pictures_in_training_and_in_test_are_told(pets, doubled) -> None:
    for number in range(2):
        doubled(pets / f"train/cat/{number}.png", pets / f"test/cat/again{number}.png")
    with pytest.warns(DoublePicturesWarning, match=r"2 pictures stand both in training and in test.*flatters"):
        warn_about_doubles(load_dataset(pets))


def test_a_picture_that_stands_twice_in_one_class_of_one_split_does_no_harm(pets) -> None:
    copied(pets / "train/cat/0.png", pets / "train/cat/again.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about_doubles(load_dataset(pets))


def test_a_file_that_cannot_be_read_is_no_double_and_left_to_those_who_open_it(pets) -> None:
    dataset = load_dataset(pets)
    (pets / "train/cat/0.png").unlink()
    warn_about_doubles(dataset)
