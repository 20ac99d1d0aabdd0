"""Training, validation and test images, and the base and new halves of the classes.

The rules are those of the published CoOp and CoCoOp code: per class, shuffled with a seed, sizes by Python's `round`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vlprompt.data.few_shot import group_by_label
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.settings_checks import seed_number

Half = Literal["base", "new", "all"]


@dataclass(frozen=True)
class SplitFractions:
    """Which part of a class goes where; the test images are what is left.

    Attributes:
        train: 0.5, as published for data sets without splits of their own.
        val: 0.2, likewise; 0 makes no validation images.
    """

    train: float = 0.5
    val: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.train <= 1 and 0 <= self.val < 1 and self.train + self.val <= 1 + 1e-9):
            raise SettingsError(
                f"fractions of {self.train} for train and {self.val} for val do not fit; train must be above 0, "
                "val at least 0, and both together at most 1."
            )


def split_trainval(
    trainval: Sequence[Sample], seed: int, val_fraction: float = 0.2
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Parts an official 'trainval' list, as published for Pets, Cars, SUN397 and UCF101.

    Returns:
        Training and validation images, class by class in order of first appearance, shuffled within each.

    Raises:
        SettingsError: `val_fraction` is not between 0 and 1.
    """
    if not 0 < val_fraction < 1:
        raise SettingsError(f"val_fraction is {val_fraction}; it must be between 0 and 1.")
    stream = random.Random(seed_number(seed))
    train: list[Sample] = []
    val: list[Sample] = []
    for items in group_by_label(trainval).values():
        stream.shuffle(items)
        val_count = round(len(items) * val_fraction)
        val += items[:val_count]
        train += items[val_count:]
    return tuple(train), tuple(val)


def random_split(
    samples: Sequence[Sample], seed: int, fractions: SplitFractions | None = None
) -> tuple[tuple[Sample, ...], tuple[Sample, ...], tuple[Sample, ...]]:
    """Parts a data set without splits of its own into train, val and test: 50%, 20% and 30% of each class.

    This is the published rule for Caltech101, DTD, EuroSAT, Food101 and Flowers, with one addition for small
    folders: a class of at least two images always has one to train on and one to test on (taken from the validation
    images first, then from the larger of the two), and the only image of a class is for training.

    Returns:
        Training, validation and test images, class by class in the order of the labels.
    """
    fractions = fractions or SplitFractions()
    stream = random.Random(seed_number(seed))
    train: list[Sample] = []
    val: list[Sample] = []
    test: list[Sample] = []
    for _, items in sorted(group_by_label(samples).items()):
        stream.shuffle(items)
        train_count, val_count = _sizes(len(items), fractions)
        train += items[:train_count]
        val += items[train_count : train_count + val_count]
        test += items[train_count + val_count :]
    return tuple(train), tuple(val), tuple(test)


def _sizes(total: int, fractions: SplitFractions) -> tuple[int, int]:
    """Numbers of training and validation images among `total` of a class."""
    train = min(max(round(total * fractions.train), 1), total)
    val = min(round(total * fractions.val), total - train)
    if total >= 2 and train + val == total and fractions.train + fractions.val < 1 - 1e-9:
        val, train = (val - 1, train) if val else (val, train - 1)
    return train, val


def select_half(dataset: Dataset, half: Half) -> Dataset:
    """The classes of one half, relabelled from 0, in all three splits.

    `base` is the first ceil(N / 2) labels and `new` the others; `all` is the data set itself. The published code
    takes the labels from the training images; here they are those of all splits, so that the halves of the few-shot
    images and of the whole data set are the same classes.

    Raises:
        UnknownNameError: `half` is none of base, new and all.
    """
    if half not in ("base", "new", "all"):
        raise UnknownNameError("half of the classes", half, ("base", "new", "all"))
    if half == "all":
        return dataset
    labels = sorted({sample.label for sample in (*dataset.train, *dataset.val, *dataset.test)})
    middle = math.ceil(len(labels) / 2)
    return keep_classes(dataset, labels[:middle] if half == "base" else labels[middle:])


def keep_classes(dataset: Dataset, labels: Sequence[int]) -> Dataset:
    """The classes of some labels, relabelled by their place among `labels`, in all three splits."""
    train, val, test = (keep_labels(split, labels) for split in (dataset.train, dataset.val, dataset.test))
    return replace(dataset, train=train, val=val, test=test)


def keep_labels(samples: Iterable[Sample], labels: Sequence[int]) -> tuple[Sample, ...]:
    """The samples that carry one of `labels`, in their own order, relabelled by the place in `labels`."""
    new_label = {label: place for place, label in enumerate(labels)}
    return tuple(replace(sample, label=new_label[sample.label]) for sample in samples if sample.label in new_label)
