"""The data sets of a benchmark as it uses them: with the user's words for classes, and readable pictures only.

Pictures are looked at before anything is trained, so that a damaged one costs nothing but this look.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlprompt.data.catalogue import DATASETS, is_published, load_dataset
from vlprompt.data.checks import check_dataset
from vlprompt.data.images import describe, find_unreadable
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, UnreadableImagesError
from vlprompt.progress import OnProgress

LOADING = ("root", "class_words", "image_root", "path_column", "label_column")
"""What a plan hands on to `load_dataset`."""


class LeftOutWarning(UserWarning):
    """Pictures that cannot be read were left out of a benchmark."""


def load_source(source: str | Path | Dataset, loading: Mapping[str, Any]) -> Dataset:
    """A data set of a plan; bundled ones have their own words and pictures.

    Arguments:
        loading: those of `LOADING`, `on_unreadable` and `max_pixels` that are not the default.

    Raises:
        DataError: as `load_dataset`, or too few pictures are left.
    """
    if isinstance(source, Dataset):
        check_dataset(source)
        dataset = source
    elif source in DATASETS:
        return load_dataset(source)
    else:
        taken = [name for name in LOADING if name in loading and (name != "root" or is_published(source))]
        dataset = load_dataset(source, **{name: loading[name] for name in taken})
    if loading.get("on_unreadable") != "skip":
        return dataset
    return without_unreadable(dataset, loading.get("max_pixels", MAX_PIXELS))


def without_unreadable(dataset: Dataset, max_pixels: int = MAX_PIXELS) -> Dataset:
    """The data set without the pictures that cannot be read, of which one warning tells.

    Raises:
        DataError: a class has no picture left.
    """
    failures = _unreadable([sample for part in _parts(dataset) for sample in part], max_pixels)
    if not failures:
        return dataset
    train, val, test = (tuple(s for s in part if describe(s.image) not in failures) for part in _parts(dataset))
    left = replace(dataset, train=train, val=val, test=test)
    before, after = ({s.class_name for part in _parts(one) for s in part} for one in (dataset, left))
    if lost := sorted(before - after):
        raise DataError(f"no picture of class {lost[0]} in data set {dataset.name} can be read")
    listed = "; ".join(f"{image}: {reason}" for image, reason in failures.items())
    count = f"{len(failures)} picture{'s' if len(failures) > 1 else ''}"
    warnings.warn(
        f"{count} of {dataset.name} cannot be read and {'are' if len(failures) > 1 else 'is'} left out: {listed}",
        LeftOutWarning,
        stacklevel=2,
    )
    return left


def refuse_unreadable(
    samples: Iterable[Sample], progress: OnProgress | None = None, max_pixels: int = MAX_PIXELS
) -> None:
    """Raises UnreadableImagesError with all pictures that cannot be read."""
    if failures := _unreadable(samples, max_pixels, progress):
        raise UnreadableImagesError(failures)


def _unreadable(samples: Iterable[Sample], max_pixels: int, progress: OnProgress | None = None) -> dict[str, str]:
    """Reasons by file; pictures that are composed or in memory are readable already."""
    return find_unreadable([s for s in samples if isinstance(s.image, (str, Path))], progress, max_pixels)


def _parts(dataset: Dataset) -> tuple[tuple[Sample, ...], ...]:
    return dataset.train, dataset.val, dataset.test
