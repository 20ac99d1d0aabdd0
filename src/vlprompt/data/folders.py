"""A folder of class folders, or a folder with train, val and test folders of class folders.

    pets/cat/1.jpg           or       pets/train/cat/1.jpg
    pets/dog/young/2.jpg              pets/test/dog/2.jpg

A class folder may hold folders of its own. Which files are pictures is the rule of `picture_files`; what it leaves out,
folders without files, and pictures beside the class folders are told in one line.
"""

from __future__ import annotations

from pathlib import Path

from vlprompt.data.entries import SPLIT_WORDS, Entry, Split
from vlprompt.data.picture_files import EMPTY, FolderScan
from vlprompt.errors import DataError


def folder_entries(folder: Path) -> list[Entry]:
    """The images of a folder, sorted by class, then by their path within it; warns of what is left out.

    The folder has splits when it holds `train` and also `val` or `test` (or a longer word for them), with class
    folders in `train`; otherwise each folder in it is a class. A class folder without files is left out.

    Raises:
        DataError: there is no such folder, it holds no class folders, or a class folder holds files but no pictures.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}." if not folder.exists() else f"{folder} is not a folder.")
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


def _split_folders(folder: Path, below: list[Path]) -> dict[Split, Path]:
    """The folders of the splits, if it has any; `below` are the folders in it."""
    found: dict[Split, Path] = {}
    for place in below:
        split = SPLIT_WORDS.get(place.name.lower())
        if split is None:
            continue
        if split in found:
            raise DataError(f"{folder} holds both {found[split].name} and {place.name}; keep one of them.")
        found[split] = place
    if "train" not in found or not _folders_in(found["train"]):
        return {}
    if len(found) == 1:
        if len(below) > 1:
            return {}
        raise DataError(
            f"{folder} holds a train folder but neither val nor test; add one, or name {found['train']} itself to "
            "have it split at random."
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _folders_in(folder: Path) -> list[Path]:
    return FolderScan(folder).folders_in(folder)


def _class_entries(scan: FolderScan, splits: dict[Split, Path], classes: dict[Split | None, list[Path]]) -> list[Entry]:
    """The images of each class in each split.

    A class may be missing from one split, but not without pictures in all, unless its folders have no files.
    """
    entries: list[Entry] = []
    without: dict[str, list[Path]] = {}
    for split, places in classes.items():
        if not places:
            place = scan.root if split is None else splits[split]
            raise DataError(f"{place} holds no class folders; put the images of each class into a folder of its name.")
        for place in places:
            images = scan.pictures(place)
            entries += [Entry(path, place.name, split) for path in images]
            if not images:
                without.setdefault(place.name, []).append(place)
    filled = {entry.class_key for entry in entries}
    for name, places in without.items():
        if name not in filled:
            for place in places:
                _refuse_unless_empty(scan, place, nothing_else=not entries)
    return entries


def _refuse_unless_empty(scan: FolderScan, place: Path, nothing_else: bool) -> None:
    """A class folder that gave no pictures: left out when it has no files at all, else refused with the reasons."""
    reasons = scan.left_out.below(place)
    if nothing_else or reasons:
        why = f" ({reasons.reasons(place)})" if reasons else ""
        raise DataError(f"the class folder {place} holds no images{why}; add some or remove the folder.")
    scan.left_out.add(EMPTY, place)
