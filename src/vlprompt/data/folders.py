"""A folder of class folders, or a folder with train, val and test folders of class folders.

    pets/cat/1.jpg           or       pets/train/cat/1.jpg
    pets/dog/young/2.jpg              pets/test/dog/2.jpg

A class folder may hold folders of its own. Hidden files and folders, files that are not named like an image, and
whatever lies beside the class folders are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vlprompt.data.checks import normal_name
from vlprompt.data.entries import Entry, Split
from vlprompt.data.images import is_image_file
from vlprompt.data.split_words import splits_of, two_words_for_one
from vlprompt.errors import DataError


def folder_entries(folder: Path) -> list[Entry]:
    """The images of a folder, sorted by class, then by their path within it.

    The folder has splits when it holds `train` and also `val` or `test` (or another word for them, see
    `split_words.py`), with class folders in `train`; otherwise each folder in it is a class. The class of a folder is
    its name in Unicode's normal form (`checks.normal_name`).

    Raises:
        DataError: there is no such folder, it holds no class folders, a class folder holds no images, two have one
            name but for the spelling in Unicode, or the folders look like splits but not which is which.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}." if not folder.exists() else f"{folder} is not a folder.")
    splits = _split_folders(folder)
    if not splits:
        return _class_entries(folder, None)
    entries = [entry for split, below in splits.items() for entry in _class_entries(below, split)]
    _refuse_classes_without_images(splits, entries)
    return entries


def _split_folders(folder: Path) -> dict[Split, Path]:
    below = {path.name: path for path in _folders_in(folder)}
    named = splits_of(below)
    if not any(split == "train" and _folders_in(below[word]) for word, split in named.items()):
        _refuse_splits_without_train(folder, below, named)
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
    """All folders are called like splits, and hold folders; they are hardly classes."""
    if below and len(named) == len(below) and all(_folders_in(path) for path in below.values()):
        raise DataError(
            f"{folder} holds {' and '.join(below)} but no train folder; add one, or name one of them, such as "
            f"{below[next(iter(named))]}, to use its pictures alone."
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


def _class_entries(folder: Path, split: Split | None) -> list[Entry]:
    classes = _folders_in(folder)
    if not classes:
        raise DataError(f"{folder} holds no class folders; put the images of each class into a folder of its name.")
    entries: list[Entry] = []
    named: dict[str, Path] = {}
    for below in classes:
        key = normal_name(below.name)
        if named.setdefault(key, below) != below:
            raise DataError(
                f"{folder} holds the folders {named[key].name!a} and {below.name!a}, which are one name in two "
                "spellings of Unicode or white space; merge or rename them."
            )
        images = _images_below(below)
        if not images and split is None:
            raise DataError(f"the class folder {below} holds no images; add some or remove the folder.")
        entries += [Entry(path, key, split) for path in images]
    return entries


def _refuse_classes_without_images(splits: dict[Split, Path], entries: list[Entry]) -> None:
    """A class may be missing from one split, but not empty in all."""
    filled = {entry.class_key for entry in entries}
    for folder in splits.values():
        for below in _folders_in(folder):
            if normal_name(below.name) not in filled:
                raise DataError(f"the class folder {below} holds no images; add some or remove the folder.")


def _folders_in(folder: Path) -> list[Path]:
    try:
        found = [below for below in folder.iterdir() if below.is_dir() and not below.name.startswith(".")]
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror or error}") from error
    return sorted(found, key=lambda below: below.name)


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"the folder {error.filename} cannot be read: {error.strerror or error}") from error

    images: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [path for path in map(Path(place).joinpath, files) if is_image_file(path)]
    return sorted(images, key=lambda path: path.relative_to(folder).as_posix())
