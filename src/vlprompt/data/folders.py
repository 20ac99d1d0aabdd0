"""A folder of class folders, or a folder with train, val and test folders of class folders.

    pets/cat/1.jpg           or       pets/train/cat/1.jpg
    pets/dog/young/2.jpg              pets/test/dog/2.jpg

A class folder may hold folders of its own. Which files are pictures is the rule of `picture_files`; what it leaves out,
folders without files, and pictures beside the class folders are told in one line.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from vlprompt.data.checks import normal_name
from vlprompt.data.entries import Entry, Split
from vlprompt.data.picture_files import EMPTY, FolderScan
from vlprompt.data.split_words import holds_split_word, splits_of, two_words_for_one
from vlprompt.errors import DataError
from vlprompt.wording import some_of


class LikeSplitsWarning(UserWarning):
    """The folders that are taken for classes hold folders of the same names, as splits do."""


def folder_entries(folder: Path) -> list[Entry]:
    """The images of a folder, sorted by class, then by their path within it; warns of what is left out.

    The folder has splits when it holds `train` and also `val` or `test` (or another word for them, see
    `split_words.py`), with class folders in `train`; otherwise each folder in it is a class. The class of a folder is
    its name in Unicode's normal form (`checks.normal_name`). A class folder without files is left out.

    Raises:
        DataError: there is no such folder, it holds no class folders, a class folder holds files but no pictures, two
            have one name but for the spelling in Unicode, or the folders look like splits but not which is which.
    """
    if not os.path.isdir(folder):
        raise DataError(f"there is no folder {folder}." if not os.path.exists(folder) else f"{folder} is not a folder.")
    scan = FolderScan(folder)
    below = scan.folders_in(folder)
    splits = _split_folders(folder, below)
    classes: dict[Split | None, list[Path]]
    if splits:
        classes = {split: scan.folders_in(place) for split, place in splits.items()}
        scan.other_folders([place for place in below if place not in splits.values()])
    else:
        classes = {None: below}
    scan.take_apart([place for places in classes.values() for place in places])
    for place in (folder, *splits.values()):
        scan.loose_pictures(place)
    entries = _class_entries(scan, splits, classes)
    scan.left_out.tell(folder)
    return entries


def _split_folders(folder: Path, places: list[Path]) -> dict[Split, Path]:
    """The folders of the splits, if it has any; `places` are the folders in it."""
    below = {path.name: path for path in places}
    named = splits_of(below)
    if not any(split == "train" and _folders_in(below[word]) for word, split in named.items()):
        _refuse_splits_without_train(folder, below, named)
        _refuse_or_warn_of_unknown_splits(folder, places)
        return {}
    if clash := two_words_for_one(named, spellings_differ=True):
        raise DataError(
            f"{folder} holds both {clash[0]} and {clash[1]}, which both mean {named[clash[0]]}; keep one of them."
        )
    found = {split: below[word] for word, split in named.items()}
    if len(found) == 1:
        if len(below) > 1:
            _refuse_twins(folder, found["train"], below.values())
            return {}
        raise DataError(
            f"{folder} holds a train folder but neither val nor test; add one, or name {found['train']} itself to "
            "have it split at random."
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _refuse_splits_without_train(folder: Path, below: dict[str, Path], named: dict[str, Split]) -> None:
    """All folders are called like splits; they are hardly classes."""
    if len(named) < len(below):
        return
    flat = [word for word, path in below.items() if not _folders_in(path)]
    if flat and len(below) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(below)}, which are called like splits, but {flat[0]} holds no class "
            "folders; put the images of each class into a folder of its name."
        )
    if below and not flat:
        raise DataError(
            f"{folder} holds {' and '.join(below)} but no train folder; add one, or name one of them, such as "
            f"{below[next(iter(named))]}, to use its pictures alone."
        )


def _refuse_or_warn_of_unknown_splits(folder: Path, places: list[Path]) -> None:
    """Folders that hold folders of the same names may be splits, called as we do not know, or classes of like parts.

    Raises:
        DataError: the name of one of them has a word for a split in it, as `seg_train`.

    Warns:
        LikeSplitsWarning: none has.
    """
    parts = [{normal_name(path.name) for path in _folders_in(place)} for place in places]
    if len(places) < 2 or not all(parts):
        return
    shared = set.intersection(*parts)
    if len(shared) <= max(map(len, parts)) / 2:
        return
    named = some_of([place.name for place in places], 3)
    if any(holds_split_word(place.name) for place in places):
        raise DataError(
            f"{folder} holds {named} with the same class folders, such as {min(shared)}; if they are splits, call them "
            "train and test."
        )
    warnings.warn(
        f"{folder} holds {named} with folders of the same names, such as {min(shared)!r}, and each is taken for one "
        "class; if they are splits, call them train and test.",
        LikeSplitsWarning,
        stacklevel=5,
    )


def _refuse_twins(folder: Path, train: Path, below: Iterable[Path]) -> None:
    """A folder with the class folders of `train` is a split of a name that we do not know, and no class."""
    classes = {normal_name(path.name) for path in _folders_in(train)}
    for other in below:
        shared = classes & {normal_name(path.name) for path in _folders_in(other)} if other != train else set()
        if len(shared) > len(classes) / 2:
            raise DataError(
                f"{folder} holds {train.name} and {other.name} with the same class folders, such as "
                f"{min(shared)}; if {other.name} is a split, call it val or test, else put it elsewhere."
            )


def _folders_in(folder: Path) -> list[Path]:
    return FolderScan(folder).folders_in(folder)


def _class_entries(scan: FolderScan, splits: dict[Split, Path], classes: dict[Split | None, list[Path]]) -> list[Entry]:
    """The images of each class in each split.

    A class may be missing from one split, but not without pictures in all, unless its folders have no files.
    """
    entries: list[Entry] = []
    without: dict[str, list[Path]] = {}
    for split, places in classes.items():
        above = scan.root if split is None else splits[split]
        if not places:
            raise DataError(f"{above} holds no class folders; put the images of each class into a folder of its name.")
        for key, place in _by_class(above, places).items():
            images = scan.pictures(place)
            entries += [Entry(path, key, split) for path in images]
            if not images:
                without.setdefault(key, []).append(place)
    filled = {entry.class_key for entry in entries}
    for name, places in without.items():
        if name not in filled:
            for place in places:
                _refuse_unless_empty(scan, place, nothing_else=not entries)
    return entries


def _by_class(above: Path, places: list[Path]) -> dict[str, Path]:
    """The class folders by the names of their classes."""
    named: dict[str, Path] = {}
    for place in places:
        key = normal_name(place.name)
        if named.setdefault(key, place) != place:
            raise DataError(
                f"{above} holds the folders {named[key].name!a} and {place.name!a}, which are one name in two "
                "spellings of Unicode or white space; merge or rename them."
            )
    return named


def _refuse_unless_empty(scan: FolderScan, place: Path, nothing_else: bool) -> None:
    """A class folder that gave no pictures: left out when it has no files at all, else refused with the reasons."""
    reasons = scan.left_out.below(place)
    if nothing_else or reasons:
        why = f" ({reasons.reasons(place)})" if reasons else ""
        raise DataError(f"the class folder {place} holds no images{why}; add some or remove the folder.")
    scan.left_out.add(EMPTY, place)
