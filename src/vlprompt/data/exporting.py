"""A data set written as pictures: folders of class folders that anyone can look at, change and load again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from vlprompt.data.checks import comparable_words
from vlprompt.data.class_words import BESIDE_THE_CLASSES
from vlprompt.data.images import open_image
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import OutputError
from vlprompt.files import staged_folder
from vlprompt.locks import lock_beside

FORBIDDEN_IN_FOLDER_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
"""By one file system or another."""


def export_dataset(dataset: Dataset, folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes train/, val/ and test/ with a folder of PNGs for each class; `load_dataset(folder)` reads them back.

    Without test and validation images, or without training images, the class folders stand alone and are split when
    they are loaded. Class names that cannot be folder names are written to `class_words.yaml` beside them. Of classes
    with the same name, all but the first get a number. Words of classes that differ from their names are kept there,
    too. The labels of the data set read back follow the sorted folder
    names.

    Args:
        folder: new or empty; it appears when everything is written.
        progress: called after each picture with the number written and the number of all.

    Raises:
        OutputError: the folder holds something already, or cannot be written.
        UnreadableImageError: an image of the data set cannot be read.
    """
    folder = Path(folder)
    _refuse_filled(folder)
    splits = {name: samples for name in ("train", "val", "test") if (samples := getattr(dataset, name))}
    everything = [sample for samples in splits.values() for sample in samples]
    own_names = {sample.label: sample.class_name for sample in everything}
    names = _distinct_names(own_names)
    folder_names = _folder_names(names)
    try:
        with lock_beside(folder), staged_folder(folder.absolute()) as unfinished:
            for done, (path, sample) in enumerate(_placed(splits, unfinished, folder_names), start=1):
                _write_png(path, sample)
                if progress is not None:
                    progress(done, len(everything))
            words = {label: dataset.class_words.get(own_names[label], name) for label, name in names.items()}
            _write_class_words(unfinished, {folder_names[label]: said for label, said in words.items()})
            if folder.exists():
                folder.rmdir()
            unfinished.rename(folder.absolute())
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _refuse_filled(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
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


def _placed(
    splits: dict[str, tuple[Sample, ...]], folder: Path, folder_names: dict[int, str]
) -> Iterator[tuple[Path, Sample]]:
    """Each sample with its path: pictures of a class are numbered from 1 in the order of the samples."""
    with_splits = "train" in splits and len(splits) > 1
    counts: Counter[Path] = Counter()
    for split, samples in splits.items():
        for sample in samples:
            below = (folder / split if with_splits else folder) / folder_names[sample.label]
            counts[below] += 1
            yield below / f"{counts[below]:04d}.png", sample


def _write_png(path: Path, sample: Sample) -> None:
    image = open_image(sample.image)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def _write_class_words(folder: Path, words: dict[str, str]) -> None:
    changed = {below: name for below, name in words.items() if below != name}
    if changed:
        text = yaml.safe_dump(changed, allow_unicode=True, sort_keys=True)
        (folder / BESIDE_THE_CLASSES).write_text(text, encoding="utf-8")
