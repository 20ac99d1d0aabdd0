"""A folder of class folders, or a folder with train, val and test folders of class folders.

    pets/cat/1.jpg           or       pets/train/cat/1.jpg
    pets/dog/young/2.jpg              pets/test/dog/2.jpg

A class folder may hold folders of its own. Hidden files and folders, files that are not named like an image, and
whatever lies beside the class folders are passed over.
"""

from __future__ import annotations

import os
from pathlib import Path

from vlprompt.data.entries import SPLIT_WORDS, Entry, Split
from vlprompt.data.images import is_image_file
from vlprompt.errors import DataError


def folder_entries(folder: Path) -> list[Entry]:
    """The images of a folder, sorted by class, then by their path within it.

    The folder has splits when it holds `train` and also `val` or `test` (or a longer word for them), with class
    folders in `train`; otherwise each folder in it is a class.

    Raises:
        DataError: there is no such folder, it holds no class folders, or a class folder holds no images.
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
    found: dict[Split, Path] = {}
    for below in _folders_in(folder):
        split = SPLIT_WORDS.get(below.name.lower())
        if split is None:
            continue
        if split in found:
            raise DataError(f"{folder} holds both {found[split].name} and {below.name}; keep one of them.")
        found[split] = below
    if "train" not in found or not _folders_in(found["train"]):
        return {}
    if len(found) == 1:
        if len(_folders_in(folder)) > 1:
            return {}
        raise DataError(
            f"{folder} holds a train folder but neither val nor test; add one, or name {found['train']} itself to "
            "have it split at random."
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _class_entries(folder: Path, split: Split | None) -> list[Entry]:
    classes = _folders_in(folder)
    if not classes:
        raise DataError(f"{folder} holds no class folders; put the images of each class into a folder of its name.")
    entries: list[Entry] = []
    for below in classes:
        images = _images_below(below)
        if not images and split is None:
            raise DataError(f"the class folder {below} holds no images; add some or remove the folder.")
        entries += [Entry(path, below.name, split) for path in images]
    return entries


def _refuse_classes_without_images(splits: dict[Split, Path], entries: list[Entry]) -> None:
    """A class may be missing from one split, but not empty in all."""
    filled = {entry.class_key for entry in entries}
    for folder in splits.values():
        for below in _folders_in(folder):
            if below.name not in filled:
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
