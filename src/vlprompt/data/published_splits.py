"""The split files of the CoOp and CoCoOp papers: `split_zhou_<name>.json`.

They hold train, val and test, each a list of [path, label, class name], with paths from the data set's image folder.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from vlprompt.data.checks import normal_name, refuse_numbers
from vlprompt.data.inside import path_inside, refuse_missing
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, quoted
from vlprompt.files.json_files import parse_listed
from vlprompt.files.text_files import read_text

TEMPLATES = {
    "Caltech101": "a photo of a {}.",
    "DescribableTextures": "{} texture.",
    "EuroSAT": "a centered satellite photo of {}.",
    "Food101": "a photo of {}, a type of food.",
    "OxfordFlowers": "a photo of a {}, a type of flower.",
    "OxfordPets": "a photo of a {}, a type of pet.",
    "StanfordCars": "a photo of a {}.",
    "SUN397": "a photo of a {}.",
    "UCF101": "a photo of a person doing {}.",
}
"""The zero-shot template of each published data set, by the name in its file name."""

MOST_BYTES = 20_000_000
"""Of a split file; the largest published one, of SUN397, has 2 MB."""

LOOKED_AT = 10
"""Where the images are is found by the first images of the list."""


def load_published_split(split_file: Path, image_root: Path | None = None) -> Dataset:
    """A data set with the papers' own split.

    Args:
        split_file: the JSON file.
        image_root: the folder that the paths start from; by default the file's own folder or, where that does not
            hold them, the one of its folders that does (`caltech-101/101_ObjectCategories`).

    Returns:
        Labels and class names as in the file. Names may repeat (two of ImageNet's do).

    Raises:
        DataError: the file has another form, a path leads out of the image folder, images are missing, a label has
            two names, or labels do not count from 0 without a gap.
    """
    content = _read(split_file)
    root = image_root or _find_images(split_file, content)
    splits = {split: _samples(split_file, split, content.get(split, []), root) for split in ("train", "val", "test")}
    samples = [sample for part in splits.values() for sample in part]
    _check_labels(split_file, samples)
    refuse_missing(
        [Path(str(sample.image)) for sample in samples],
        split_file,
        f"looked for in {root}; name the folder with image_root",
    )
    name = re.sub(r"^split_(zhou_)?", "", split_file.stem)
    train, val, test = splits.values()
    return Dataset(name, train, val, test, template=TEMPLATES.get(name, "a photo of a {}."))


def _read(split_file: Path) -> dict[str, Any]:
    content = parse_listed(read_text(split_file, "split file", MOST_BYTES), f"the split file {split_file}")
    if not isinstance(content, dict) or not {"train", "test"} <= set(content):
        raise DataError(
            f"{split_file} is no split file of the papers: it must be an object with train, val and test, each a list "
            "of [path, label, class name]; other lists of pictures may be .csv or .jsonl."
        )
    return content


def _find_images(split_file: Path, content: dict[str, Any]) -> Path:
    listed = [item[0] for split in ("train", "test") for item in _items(split_file, split, content[split])[:LOOKED_AT]]
    candidates = [split_file.parent]
    with suppress(OSError):  # a file can be read in a folder that cannot
        candidates += sorted(below for below in split_file.parent.iterdir() if os.path.isdir(below))
    found = [sum(os.path.isfile(folder / path) for path in listed) for folder in candidates]
    return candidates[found.index(max(found))]


def _samples(split_file: Path, split: str, items: Any, root: Path) -> tuple[Sample, ...]:
    return tuple(
        Sample(path_inside(root, path, f"{split_file} ({split}, item {place})"), label, normal_name(name))
        for place, (path, label, name) in enumerate(_items(split_file, split, items))
    )


def _items(split_file: Path, split: str, items: Any) -> list[tuple[str, int, str]]:
    if not isinstance(items, list):
        raise DataError(f"{split_file} has {split} as {type(items).__name__}; it must be a list.")
    for place, item in enumerate(items):
        parts = [type(part) for part in item] if isinstance(item, list) else []
        if parts != [str, int, str] or not 0 <= item[1] < 2**63:
            raise DataError(
                f"{split_file} ({split}, item {place}) is {quoted(item)}; it must be [path, label from 0, class name]."
            )
    return [(path, label, name) for path, label, name in items]


def _check_labels(split_file: Path, samples: list[Sample]) -> None:
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
