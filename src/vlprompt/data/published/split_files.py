"""The split files of the papers: `split_zhou_<name>.json`, and JSON Lines as later work publishes them.

The first holds train, val and test, each a list of [path, label, class name], with paths from the data set's image
folder. Of the second each line is one picture, as such a list or as an object with a path, a whole number for the label
and a class name; which split it is for stands in the line, or the lines are in train.jsonl, val.jsonl and test.jsonl.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from vlprompt.data.checks import normal_name, refuse_numbers
from vlprompt.data.entries import Split
from vlprompt.data.inside import path_inside, refuse_missing
from vlprompt.data.manifests import COLUMNS
from vlprompt.data.published.published_set import PHOTO
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.split_words import splits_of
from vlprompt.errors import DataError, quoted
from vlprompt.files.json_files import NotJsonError, parse_json, parse_listed
from vlprompt.files.text_files import lines_of, read_text

TEMPLATES = {declared.split_name: declared.template for declared in PUBLISHED.values() if declared.split_name}
"""The zero-shot template of each published data set, by the name in its file name."""

MOST_BYTES = 20_000_000
"""Of a split file; the largest published one, of SUN397, has 2 MB."""

LOOKED_AT = 10
"""Where the images are is found by the first images of the list."""

SPLITS: tuple[Split, ...] = ("train", "val", "test")

KEYS: dict[str, tuple[str, ...]] = {
    "path": ("path", "impath", *COLUMNS["path"]),
    "label": ("label", "target", "class_id", "class_idx", "label_id"),
    "class name": COLUMNS["label"],
}
"""What a line's values may be called; the first that is there counts."""


class _Item(NamedTuple):
    """A picture as it is listed, and where."""

    where: str
    path: str
    label: int
    name: str


_Items = Mapping[Split, Sequence[_Item]]


def load_published_split(
    split_file: Path,
    image_root: Path | Sequence[Path] | None = None,
    advice: str = "name the folder with image_root",
) -> Dataset:
    """A data set with the papers' own split.

    Args:
        split_file: the JSON or JSON Lines file; train.jsonl stands for val.jsonl and test.jsonl beside it, too.
        image_root: the folder that the paths start from, or several, of which the one that holds most is taken; by
            default the file's own folder and those in it (`caltech-101/101_ObjectCategories`).
        advice: what to do where images are missing, for the error.

    Returns:
        Labels and class names as in the file. Names may repeat (two of ImageNet's do).

    Raises:
        DataError: the file has another form, a path leads out of the image folder, images are missing, a label has
            two names, or labels do not count from 0 without a gap.
    """
    items = _read_lines(split_file) if is_lines(split_file) else _read(split_file)
    root = image_root if isinstance(image_root, Path) else _find_images(items, image_root or _beside(split_file))
    samples = {split: tuple(_sample(item, root) for item in items.get(split, ())) for split in SPLITS}
    _check_labels(split_file, [sample for part in samples.values() for sample in part])
    refuse_missing(
        [Path(str(sample.image)) for part in samples.values() for sample in part],
        split_file,
        f"looked for in {root}; {advice}",
    )
    name = re.sub(r"^split_(zhou_)?", "", split_file.stem)
    return Dataset(name, samples["train"], samples["val"], samples["test"], template=TEMPLATES.get(name, PHOTO))


def is_lines(split_file: Path) -> bool:
    """Whether it is JSON Lines, by its name."""
    return split_file.suffix.lower() in (".jsonl", ".ndjson")


def is_split_of_lines(file: Path) -> bool:
    """Whether the first line of a JSON Lines file numbers its label and names its class, unlike a manifest's."""
    first = next((text for text in lines_of(read_text(file, "manifest")) if text.strip()), "")
    try:
        row = parse_json(first)
    except NotJsonError:
        return False
    return (isinstance(row, list) and len(row) >= 3) or (isinstance(row, dict) and None not in _values(row))


def _read(split_file: Path) -> _Items:
    content = parse_listed(read_text(split_file, "split file", MOST_BYTES), f"the split file {split_file}")
    if not isinstance(content, dict) or not {"train", "test"} <= set(content):
        raise DataError(
            f"{split_file} is no split file of the papers: it must be an object with train, val and test, each a list "
            "of [path, label, class name]; other lists of pictures may be .csv or .jsonl."
        )
    return {split: _items(split_file, split, content.get(split, [])) for split in SPLITS}


def _items(split_file: Path, split: str, items: Any) -> list[_Item]:
    if not isinstance(items, list):
        raise DataError(f"{split_file} has {split} as {type(items).__name__}; it must be a list.")
    return [
        _item(f"{split_file} ({split}, item {place})", item, item if isinstance(item, list) else ())
        for place, item in enumerate(items)
    ]


def _item(where: str, item: Any, values: Sequence[Any]) -> _Item:
    if [type(value) for value in values] != [str, int, str] or not 0 <= values[1] < 2**63:
        raise DataError(f"{where} is {quoted(item)}; it must be [path, label from 0, class name].")
    return _Item(where, *values)


def _read_lines(split_file: Path) -> _Items:
    """The items of a file whose lines name their split, or of the files of the splits."""
    rows = _lines(split_file)
    found: dict[Split, list[_Item]] = {split: [] for split in SPLITS}
    if any(word for word, _ in rows):
        splits = splits_of({word for word, _ in rows if word})
        for word, item in rows:
            if word not in splits:
                raise DataError(f"{item.where} has the split {quoted(word)}; it must be train, val or test.")
            found[splits[word]].append(item)
        return found
    for split, file in _files_of_splits(split_file).items():
        found[split] = [item for _, item in (rows if file == split_file else _lines(file))]
    return found


def _lines(file: Path) -> list[tuple[str, _Item]]:
    """The word for the split, "" where there is none, and the item of each line."""
    rows = []
    for line, text in enumerate(lines_of(read_text(file, "split file")), start=1):
        if text.strip():
            where = f"{file}:{line}"
            row = parse_listed(text, where)
            values = _values(row) if isinstance(row, dict) else row[:3] if isinstance(row, list) else ()
            word = row.get("split") if isinstance(row, dict) else next(iter(row[3:]), "") if values else ""
            rows.append((str(word or ""), _item(where, row, values)))
    if not rows:
        raise DataError(f"{file} lists no images.")
    return rows


def _values(row: Mapping[str, Any]) -> list[Any]:
    """Path, label and class name; None for what is not of its kind."""
    kinds = {"path": str, "label": int, "class name": str}
    return [next((row[key] for key in keys if type(row.get(key)) is kinds[what]), None) for what, keys in KEYS.items()]


def _files_of_splits(file: Path) -> dict[Split, Path]:
    """The files of all splits, whose names differ in the word for it only."""
    word = next((split for split in SPLITS if split in file.stem), None)
    named = {split: file.with_name(file.name.replace(word, split)) for split in SPLITS} if word else {}
    found = {split: path for split, path in named.items() if path.is_file()}
    if not {"train", "test"} <= found.keys():
        raise DataError(
            f"{file} does not say which split its pictures are for; give each line a split, or have train.jsonl, "
            "val.jsonl and test.jsonl in one folder and name the first."
        )
    return found


def _beside(split_file: Path) -> list[Path]:
    candidates = [split_file.parent]
    with suppress(OSError):  # a file can be read in a folder that cannot
        candidates += sorted(below for below in split_file.parent.iterdir() if os.path.isdir(below))
    return candidates


def _find_images(items: _Items, candidates: Sequence[Path]) -> Path:
    listed = [item.path for split in ("train", "test") for item in items[split][:LOOKED_AT]]
    found = [sum(os.path.isfile(folder / path) for path in listed) for folder in candidates]
    return candidates[found.index(max(found))]


def _sample(item: _Item, root: Path) -> Sample:
    return Sample(path_inside(root, item.path, item.where), item.label, normal_name(item.name))


def _check_labels(split_file: Path, samples: Iterable[Sample]) -> None:
    names: dict[int, str] = {}
    labels: dict[str, int] = {}
    for sample in samples:
        name = names.setdefault(sample.label, sample.class_name)
        if name != sample.class_name:
            raise DataError(
                f"{split_file} names label {sample.label} both {quoted(name)} and {quoted(sample.class_name)}."
            )
        if not name:
            raise DataError(f"{split_file} has an empty class name for label {sample.label}.")
        label = labels.setdefault(str(sample.image), sample.label)
        if label != sample.label:
            raise DataError(f"{split_file} gives {sample.image} both the labels {label} and {sample.label}.")
    refuse_numbers(names.values(), f"write words for them into {split_file}")
    missing = next(label for label in range(len(names) + 1) if label not in names)
    if missing < len(names):
        raise DataError(f"{split_file} has no image of label {missing}; labels must count from 0 without a gap.")
