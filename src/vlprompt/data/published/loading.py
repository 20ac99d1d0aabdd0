"""A published data set by its name: found below the root, in its published split, with its counts checked."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from vlprompt.data.published.published_set import Counts, Parts, PublishedSet, SplitRule
from vlprompt.data.published.split_files import load_published_split
from vlprompt.data.samples import Dataset
from vlprompt.data.splits import random_split, split_trainval
from vlprompt.errors import DataError


class PublishedCountsWarning(UserWarning):
    """A published data set has other numbers of pictures or classes than were published."""


class OwnSplitWarning(UserWarning):
    """A published data set is here without its published split."""


def load_published(declared: PublishedSet, root: Path, seed: int = 1) -> Dataset:
    """The data set in its published split; no picture is opened.

    Args:
        declared: its declaration.
        root: the folder that holds the data sets' folders.
        seed: of the split, where the published split file is missing and the published rule draws at random.

    Raises:
        DataError: files are missing, another number of classes is there than was published, or a list is damaged.

    Warns:
        PublishedCountsWarning: another number of pictures is there than was published.
        OwnSplitWarning: the split was drawn here.
    """
    folder = root / declared.folder
    if lacking := missing(declared, folder):
        there = "is not there" if not folder.is_dir() else "is incomplete"
        raise DataError(
            f"the data set {declared.name} {there}: {folder} lacks {', '.join(lacking)}; {_how_to_get(declared, root)}."
        )
    split_file = find_split_file(declared, folder)
    if split_file is not None:
        dataset = load_published_split(split_file, _image_folders(declared, folder), advice=_how_to_get(declared, root))
    else:
        dataset = _split(declared, declared.layout(folder), seed)
        _refuse_other_classes(declared, dataset, folder)
        if declared.rule.is_drawn:
            _warn_about_own_split(declared, folder, seed)
    _warn_about_counts(declared, dataset)
    return replace(dataset, name=declared.name, template=declared.template)


def missing(declared: PublishedSet, folder: Path) -> list[str]:
    """The places in the data set's folder without which it cannot be used."""
    needed = list(declared.pictures)
    if find_split_file(declared, folder) is None:
        needed += declared.annotations
    return [place for source in needed for place in source.missing(folder)]


def find_split_file(declared: PublishedSet, folder: Path) -> Path | None:
    """The published split file, or one of JSON Lines in its place; None where there is neither.

    Raises:
        DataError: there are several of the second kind.
    """
    if declared.split is not None and (folder / declared.split.places[0]).is_file():
        return folder / declared.split.places[0]
    names = sorted(path.name for path in folder.glob("*.jsonl"))
    whole = [name for name in names if name.startswith("split_")]
    if len(whole) > 1:
        raise DataError(f"{folder} holds {' and '.join(whole)}; keep the split file that is meant.")
    chosen = whole or [name for name in names if name == "train.jsonl"]
    return folder / chosen[0] if chosen else None


def counts_of(dataset: Dataset) -> Counts:
    """The numbers of a data set as a declaration has them."""
    return Counts(len(dataset.class_names), len(dataset.train), len(dataset.val), len(dataset.test))


def _how_to_get(declared: PublishedSet, root: Path) -> str:
    command = f"`vlprompt data prepare {declared.name} --root {root}`"
    return f"{command} gets what can be downloaded and says how to get the rest"


def _image_folders(declared: PublishedSet, folder: Path) -> list[Path]:
    """Where the paths of a split file may start: as published, or for other people's files above."""
    return [folder / declared.images, folder, folder.parent]


def _split(declared: PublishedSet, parts: Parts, seed: int) -> Dataset:
    rule = declared.rule
    if rule is SplitRule.RANDOM:
        return Dataset(declared.name, *random_split(parts["all"], seed))
    if rule is SplitRule.TRAINVAL:
        return Dataset(declared.name, *split_trainval(parts["trainval"], seed), parts["test"])
    return Dataset(declared.name, parts.get("train", ()), parts.get("val", ()), parts["test"])


def _refuse_other_classes(declared: PublishedSet, dataset: Dataset, folder: Path) -> None:
    """Where folders are missing, the labels of the others move, and base and new classes with them."""
    found = len({sample.label for part in (dataset.train, dataset.val, dataset.test) for sample in part})
    if found != declared.counts.classes:
        raise DataError(
            f"the data set {declared.name} in {folder} has pictures of {found} classes and was published with "
            f"{declared.counts.classes}; complete it, or name the folder {folder / declared.images} itself to use it "
            "as a data set of your own."
        )


def _warn_about_own_split(declared: PublishedSet, folder: Path, seed: int) -> None:
    assert declared.split is not None
    warnings.warn(
        f"{folder} has no {declared.split.places[0]}, so that its split is drawn here with seed {seed} "
        f"({declared.rule.value}); the published one was drawn once and cannot be drawn again, and results on another "
        f"are not comparable with published ones. It is at {declared.split.page}.",
        OwnSplitWarning,
        stacklevel=4,
    )


def _warn_about_counts(declared: PublishedSet, dataset: Dataset) -> None:
    differing = differences(declared, dataset)
    if differing:
        warnings.warn(
            f"the data set {declared.name} differs from the published one: it has {'; '.join(differing)}.",
            PublishedCountsWarning,
            stacklevel=4,
        )


def differences(declared: PublishedSet, dataset: Dataset) -> list[str]:
    """Each number that is not the published one, with both."""
    here, published = counts_of(dataset), declared.counts
    words = {"classes": "classes", "train": "training pictures", "val": "validation pictures", "test": "test pictures"}
    return [
        f"{getattr(here, name):,} {what}, published are {getattr(published, name):,}"
        for name, what in words.items()
        if getattr(here, name) != getattr(published, name)
    ]
