"""A data set written as pictures: folders of class folders that anyone can look at, change and load again."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from vlprompt.data.checks import comparable_words
from vlprompt.data.class_words import BESIDE_THE_CLASSES
from vlprompt.data.export_split import SPLIT_FILE, split_content
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.images import open_image
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import OutputError
from vlprompt.files import check_name, staged_folder
from vlprompt.files.locks import lock_beside

FORBIDDEN_IN_FOLDER_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
"""By one file system or another."""


def export_dataset(dataset: Dataset, folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes train/, val/ and test/ with a folder of PNGs for each class; `load_dataset(folder)` reads them back.

    A split file beside them (see `export_split`) keeps the order of the classes and pictures, the class names and the
    template, so that the data set read back has the same halves, draws and results. Without test and validation
    images, or without training images, the class folders stand alone and are split when they are loaded. Of classes
    with the same name, all but the first get a number. Words of classes that differ from their names are written to
    `class_words.yaml` beside them.

    Args:
        folder: new or empty; it appears when everything is written.
        progress: called after each picture with the number written and the number of all.

    Raises:
        OutputError: the folder holds something already, or cannot be written.
        UnreadableImageError: an image of the data set cannot be read.
    """
    folder = Path(folder)
    check_name(folder)
    _refuse_filled(folder)
    splits = {name: samples for name in ("train", "val", "test") if (samples := getattr(dataset, name))}
    everything = [sample for samples in splits.values() for sample in samples]
    own_names = {sample.label: sample.class_name for sample in everything}
    names = _distinct_names(own_names)
    folder_names = _folder_names(names)
    try:
        with lock_beside(folder), staged_folder(folder.absolute()) as unfinished:
            placed = list(_placed(splits, folder_names))
            for done, (_, path, sample) in enumerate(placed, start=1):
                _write_png(unfinished / path, sample)
                if progress is not None:
                    progress(done, len(everything))
            listed = ((split, path, sample, names[sample.label]) for split, path, sample in placed)
            content = split_content(dataset, dataset_fingerprint(everything, dataset.class_words), listed)
            (unfinished / SPLIT_FILE).write_text(content, encoding="utf-8")
            words = {folder_names[label]: dataset.class_words.get(own_names[label]) for label in names}
            if said := {name: own for name, own in words.items() if own is not None}:
                text = yaml.safe_dump(said, allow_unicode=True, sort_keys=True)
                (unfinished / BESIDE_THE_CLASSES).write_text(text, encoding="utf-8")
            if os.path.lexists(folder):
                folder.rmdir()
            unfinished.rename(folder.absolute())
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _refuse_filled(folder: Path) -> None:
    try:
        empty = not os.path.lexists(folder) or not os.listdir(folder)
    except OSError:  # a file, a link to nowhere, or a folder that may not be read
        empty = False
    if not empty:
        raise OutputError(f"{folder} exists and is not an empty folder; name a new one.")


def _distinct_names(names: dict[int, str]) -> dict[int, str]:
    """A name for each label: published splits may name two classes alike, class folders may not."""
    taken = {comparable_words(name) for name in names.values()}
    seen: set[str] = set()
    chosen: dict[int, str] = {}
    for label, name in sorted(names.items()):
        candidate, number = name, 2
        while comparable_words(name) in seen and comparable_words(candidate) in taken:
            candidate, number = f"{name} {number}", number + 1
        seen.add(comparable_words(name))
        taken.add(comparable_words(candidate))
        chosen[label] = candidate
    return chosen


def _folder_names(names: dict[int, str]) -> dict[int, str]:
    """A folder name for each label, all different even where case does not count."""
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for label, name in names.items():
        plain = FORBIDDEN_IN_FOLDER_NAMES.sub("-", name).strip(" .") or "class"
        candidate, number = plain, 2
        while candidate.casefold() in taken:
            candidate, number = f"{plain} {number}", number + 1
        taken.add(candidate.casefold())
        chosen[label] = candidate
    return chosen


def _placed(splits: dict[str, tuple[Sample, ...]], folder_names: dict[int, str]) -> Iterator[tuple[str, str, Sample]]:
    """Split, path and sample of each picture: those of a class are numbered from 1 in the order of the samples.

    Where there are no splits to tell apart, all are listed as training pictures.
    """
    with_splits = "train" in splits and len(splits) > 1
    largest = max(Counter(sample.label for samples in splits.values() for sample in samples).values(), default=0)
    digits = max(4, len(str(largest)))
    counts: Counter[str] = Counter()
    for split, samples in splits.items():
        for sample in samples:
            below = f"{split}/{folder_names[sample.label]}" if with_splits else folder_names[sample.label]
            counts[below] += 1
            yield split if with_splits else "train", f"{below}/{counts[below]:0{digits}d}.png", sample


def _write_png(path: Path, sample: Sample) -> None:
    image = open_image(sample.image)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")
