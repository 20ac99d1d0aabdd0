"""Splits and halves: the published trainval split, and what must hold for any data set."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.splits import SplitFractions, random_split, select_half, split_trainval
from vlprompt.errors import SettingsError, UnknownNameError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "reference_trainval_split.json").read_text())
label_lists = st.lists(st.integers(0, 7), min_size=1, max_size=80)
seeds = st.integers(0, 2**32)


def samples_of(labels: list[int], folder: str = "pictures") -> tuple[Sample, ...]:
    return tuple(Sample(Path(f"{folder}/{place}.png"), label, f"class {label}") for place, label in enumerate(labels))


def by_path(samples) -> list[Sample]:
    return sorted(samples, key=lambda sample: str(sample.image))


def test_the_trainval_split_is_the_published_one() -> None:
    trainval = [Sample(Path(path), label, name) for path, label, name in REFERENCE["trainval"]]
    train, val = split_trainval(trainval, REFERENCE["seed"], REFERENCE["p_val"])
    assert [sample.image.as_posix() for sample in train] == REFERENCE["train"]
    assert [sample.image.as_posix() for sample in val] == REFERENCE["val"]


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.2])
def test_a_validation_fraction_outside_zero_to_one_is_refused(fraction) -> None:
    with pytest.raises(SettingsError, match=r"val_fraction is"):
        split_trainval(samples_of([0, 1]), 1, fraction)


@given(label_lists, seeds)
def test_a_random_split_partitions_the_images(labels, seed) -> None:
    samples = samples_of(labels)
    parts = random_split(samples, seed)
    assert by_path([sample for part in parts for sample in part]) == by_path(samples)


@given(label_lists, seeds)
def test_a_random_split_depends_on_the_seed_alone(labels, seed) -> None:
    assert random_split(samples_of(labels), seed) == random_split(samples_of(labels), seed)


@given(label_lists, seeds)
def test_every_class_of_two_images_can_be_trained_on_and_tested(labels, seed) -> None:
    train, _, test = random_split(samples_of(labels), seed)
    assert {sample.label for sample in train} == set(labels)
    assert {sample.label for sample in test} == {label for label in labels if labels.count(label) > 1}


@pytest.mark.parametrize(
    ("images", "sizes"),
    [
        (1, (1, 0, 0)),
        (2, (1, 0, 1)),
        (3, (2, 0, 1)),
        (4, (2, 1, 1)),
        (10, (5, 2, 3)),
        (25, (12, 5, 8)),
        (80, (40, 16, 24)),
    ],
)
def test_sizes_follow_the_published_rounding(images, sizes) -> None:
    assert tuple(map(len, random_split(samples_of([0] * images), 1))) == sizes


def test_other_fractions_can_be_asked_for() -> None:
    assert tuple(map(len, random_split(samples_of([0] * 10), 1, SplitFractions(train=0.8, val=0)))) == (8, 0, 2)
    assert tuple(map(len, random_split(samples_of([0] * 10), 1, SplitFractions(train=0.8, val=0.2)))) == (8, 2, 0)


@pytest.mark.parametrize(("train", "val"), [(0, 0.2), (0.9, 0.2), (0.5, -0.1), (1.2, 0)])
def test_fractions_that_do_not_fit_are_refused(train, val) -> None:
    with pytest.raises(SettingsError, match=r"both together at most 1"):
        SplitFractions(train, val)


@given(label_lists, st.lists(st.integers(0, 7), max_size=20))
def test_the_halves_partition_the_classes_and_their_images(train_labels, test_labels) -> None:
    dataset = Dataset("any", samples_of(train_labels), (), samples_of(test_labels, "test"))
    base, new = select_half(dataset, "base"), select_half(dataset, "new")
    assert base.class_names + new.class_names == dataset.class_names
    assert len(base.class_names) == math.ceil(len(dataset.class_names) / 2)
    for split in ("train", "test"):
        images = [sample.image for half in (base, new) for sample in getattr(half, split)]
        assert sorted(images) == sorted(sample.image for sample in getattr(dataset, split))


@given(label_lists, st.sampled_from(["base", "new"]))
def test_a_half_is_relabelled_from_zero_without_a_gap(labels, half) -> None:
    train = select_half(Dataset("any", samples_of(labels)), half).train
    present = {sample.label for sample in train}
    assert present == set(range(len(present)))


def test_a_half_keeps_the_order_of_its_images_and_the_names_of_its_classes() -> None:
    new = select_half(Dataset("any", samples_of([3, 0, 2, 1, 3])), "new")
    assert [(sample.image.name, sample.label, sample.class_name) for sample in new.train] == [
        ("0.png", 1, "class 3"),
        ("2.png", 0, "class 2"),
        ("4.png", 1, "class 3"),
    ]


def test_all_is_the_data_set_itself() -> None:
    dataset = Dataset("any", samples_of([0, 1]))
    assert select_half(dataset, "all") is dataset


def test_an_unknown_half_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean base"):
        select_half(Dataset("any", samples_of([0, 1])), "bas")
