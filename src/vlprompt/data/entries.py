"""From what a folder or a manifest lists to a labelled data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlprompt.data.checks import is_whole_number
from vlprompt.data.class_words import reword
from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.splits import random_split
from vlprompt.errors import DataError

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Entry:
    """One listed image: where it is, the folder name or label of its class, and its split if it has one."""

    path: Path
    class_key: str
    split: Split | None = None


def dataset_from_entries(
    entries: Sequence[Entry],
    name: str,
    *,
    words: Mapping[str, str] | None = None,
    words_source: str = "class_words",
    class_order: Sequence[str] = (),
    seed: int = 1,
    random_splits: bool = True,
) -> Dataset:
    """Labels from 0 in the order of the class keys, and splits.

    Class keys are sorted as text, capitals first, as the published code sorts folders, and as numbers where all are
    whole numbers. Entries without a split are parted at random (`splits.random_split`). Where there are train and val
    but no test images, the val images are the test images too, as published for ImageNet.

    Args:
        words: what prompts say, by class key; the classes keep their keys as names.
        words_source: where they come from, for the error.
        class_order: the class keys in the order of their labels, where that is not the sorted one.
        seed: of the random split.
        random_splits: False leaves all images that have no split in train.

    Raises:
        DataError: some entries have a split and others none.
        UnknownNameError: words are given for a class that does not exist.
    """
    keys = list(class_order) or sorted({entry.class_key for entry in entries})
    if not class_order and all(map(is_whole_number, keys)):
        keys.sort(key=int)
    names = reword(keys, words or {}, words_source)
    class_words = {key: name for key, name in names.items() if name != key}
    label = {key: place for place, key in enumerate(keys)}
    samples: dict[Split | None, list[Sample]] = {"train": [], "val": [], "test": [], None: []}
    for entry in entries:
        samples[entry.split].append(Sample(entry.path, label[entry.class_key], entry.class_key))
    loose = samples[None]
    if not loose:
        test = samples["test"] or samples["val"]
        return Dataset(name, tuple(samples["train"]), tuple(samples["val"]), tuple(test), class_words=class_words)
    if len(loose) != len(entries):
        raise DataError(f"{name} gives a split for some images and none for others, such as {loose[0].image}.")
    if not random_splits:
        return Dataset(name, tuple(loose), class_words=class_words)
    return Dataset(name, *random_split(loose, seed), class_words=class_words)
