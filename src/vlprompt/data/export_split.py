"""The split file of an exported data set: what folders cannot say, so that the copy is the same benchmark.

    {"vlprompt": {"version": 1, "name": "emoji-food", "template": "a photo of a {}.", ...},
     "train": [["train/pizza/0001.png", 0, "pizza"], ...], "val": [...], "test": [...]}

Folders sort by name, and names decide halves and few-shot draws; the file keeps the order of the classes and pictures,
the class names where folders had to be called otherwise, and the template. It has the form of the papers' split files.

The folder counts, the file orders: pictures that are gone are left out, and new ones come behind those of their class,
new classes behind the others. A warning says that the folder is no longer what was exported.
"""

from __future__ import annotations

import json
import os
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from vlprompt.data.entries import Entry
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError
from vlprompt.files import read_bounded
from vlprompt.wording import some_of

SPLIT_FILE = "split.json"
"""A file of this name in an exported folder is read by itself; others' files of this name are passed over."""
MARK = "vlprompt"
VERSION = 1
SPLITS = ("train", "val", "test")
MOST_BYTES = 256_000_000
"""Room for a few million pictures."""


class ChangedExportWarning(UserWarning):
    """Pictures or classes of an exported folder have come or gone since it was exported."""


@dataclass(frozen=True)
class ExportSplit:
    """What a split file says.

    Attributes:
        name: of the data set that was exported.
        bundled: as in `Dataset`.
        class_names: by folder, in the order of the labels.
        pictures: paths from the exported folder, in the order of the splits and of the samples in each.
    """

    name: str
    template: str
    bundled: str
    class_names: dict[str, str]
    pictures: tuple[str, ...]


def split_content(dataset: Dataset, fingerprint: str, placed: Iterable[tuple[str, str, Sample, str]]) -> str:
    """The text of a split file.

    Args:
        fingerprint: of the exported samples.
        placed: split, path, sample and class name of each picture.
    """
    facts = {"version": VERSION, "name": dataset.name, "template": dataset.template, "bundled": dataset.bundled}
    lists: dict[str, list[Any]] = {split: [] for split in SPLITS}
    for split, path, sample, class_name in placed:
        lists[split].append([path, sample.label, class_name])
    return json.dumps({MARK: facts | {"fingerprint": fingerprint}, **lists}, ensure_ascii=False) + "\n"


def read_export_split(folder: Path) -> ExportSplit | None:
    """The split file of an exported folder; None where there is none, or one that the export did not write.

    Raises:
        DataError: the file cannot be read, or was changed to something that it cannot mean.
    """
    path = folder / SPLIT_FILE
    if not os.path.isfile(path):
        return None
    try:
        content = json.loads(read_bounded(path, MOST_BYTES))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _refusal(path, "it is not JSON") from error
    if not isinstance(content, dict) or MARK not in content:
        return None
    return _checked(path, content)


def arranged(folder: Path, entries: Sequence[Entry], split: ExportSplit) -> tuple[list[Entry], list[str], str]:
    """The entries of an exported folder in the order and with the class names of its split file.

    Returns:
        The entries, the class names in the order of their labels, and `Dataset.bundled`, empty for a changed folder.

    Raises:
        DataError: a new folder has the name of a class whose folder is called otherwise.

    Warns:
        ChangedExportWarning: the folder is not as it was exported.
    """
    # Both sides in one normal form: a Mac or an archive may have stored the names in another.
    place = {path: number for number, path in enumerate(split.pictures)}
    paths = [_normal(entry.path.relative_to(folder).as_posix()) for entry in entries]
    names = dict(split.class_names)
    for below in sorted({_normal(entry.class_key) for entry in entries} - names.keys()):
        if below in names.values():
            raise DataError(
                f"{folder} has a new folder {below!r}, which in {SPLIT_FILE} is the class of another folder; rename it."
            )
        names[below] = below
    there = {_normal(entry.class_key) for entry in entries}
    order = sorted(range(len(entries)), key=lambda index: place.get(paths[index], len(place)))
    found = [replace(entries[index], class_key=names[_normal(entries[index].class_key)]) for index in order]
    changes = _changes(split, paths, names, there)
    if changes:
        warnings.warn(
            f"{folder} is not as it was exported from {split.name}: {changes}. What is there counts, in the order of "
            f"{SPLIT_FILE}, and results are not those of {split.name}.",
            ChangedExportWarning,
            stacklevel=4,
        )
    return found, [name for below, name in names.items() if below in there], "" if changes else split.bundled


def _changes(split: ExportSplit, paths: Sequence[str], names: dict[str, str], there: set[str]) -> str:
    """What has come and gone, in words; empty where nothing has."""
    listed, present = set(split.pictures), set(paths)
    new, gone = [path for path in paths if path not in listed], [path for path in split.pictures if path not in present]
    changes = (
        ("new classes", [below for below in names if below not in split.class_names]),
        ("classes without pictures", [name for below, name in names.items() if below not in there]),
        ("new pictures", new),
        ("pictures gone", gone),
    )
    return "; ".join(f"{what}: {len(found)} ({some_of(found, 3)})" for what, found in changes if found)


def _checked(path: Path, content: dict[str, Any]) -> ExportSplit:
    facts = content[MARK]
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise _refusal(path, f"it is not of version {VERSION}")
    name, template, bundled = (str(facts.get(fact, ""))[:200] for fact in ("name", "template", "bundled"))
    if template.count("{}") != 1:
        raise _refusal(path, f"its template is {template[:80]!r}, which must have {{}} once")
    items = [(split, item) for split in SPLITS for item in _list(path, content, split)]
    with_splits = bool(content["val"] or content["test"])
    by_label: dict[int, tuple[str, str]] = {}
    for split, (picture, label, class_name) in items:
        parts = PurePosixPath(picture).parts
        if len(parts) < 2 + with_splits or (with_splits and parts[0] != split):
            raise _refusal(path, f"{picture[:80]!r} is listed in {split}")
        below = _normal(parts[with_splits])
        if by_label.setdefault(label, (below, class_name)) != (below, class_name):
            raise _refusal(path, f"label {label} has two folders or names")
    classes = [by_label[label] for label in sorted(by_label)]
    if len(dict(classes)) < len(classes) or len({class_name for _, class_name in classes}) < len(classes):
        raise _refusal(path, "two labels have one folder or name")
    pictures = tuple(_normal(picture) for _, (picture, _, _) in items)
    return ExportSplit(name, template, bundled, dict(classes), pictures)


def _list(path: Path, content: dict[str, Any], split: str) -> list[tuple[str, int, str]]:
    items = content.get(split)
    if not isinstance(items, list):
        raise _refusal(path, f"{split} is no list")
    for number, item in enumerate(items):
        kinds = [type(part) for part in item] if isinstance(item, list) else []
        if kinds != [str, int, str] or not item[2].strip():
            raise _refusal(path, f"item {number} of {split} is not [path, label, class name]")
    return [(picture, label, name) for picture, label, name in items]


def _refusal(path: Path, why: str) -> DataError:
    return DataError(f"{path} was changed: {why}; export again, or remove it to have the folder read by its names.")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
