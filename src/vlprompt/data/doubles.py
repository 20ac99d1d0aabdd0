"""Picture files with the same content: copies and links that stand under two classes, or in training and test."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

from vlprompt.data.images import image_key
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import UnreadableImageError
from vlprompt.files import open_regular

FIRST_BYTES = 4096
"""Of files of one size these are compared before their whole content; most differ here."""


class DoublePicturesWarning(UserWarning):
    """One picture has two labels, or is for training and for testing."""


def warn_about_doubles(dataset: Dataset) -> None:
    """Warn of files of the same content with two labels, and of those that are in training and in test.

    Warns:
        DoublePicturesWarning: with the number of pictures and the first two files.
    """
    trained = {id(sample) for sample in dataset.train}
    two_labels: list[tuple[Sample, Sample]] = []
    leaked: list[tuple[Sample, Sample]] = []
    for first, *others in _same_content([*dataset.train, *dataset.test]):
        two_labels += [(first, other) for other in others if other.label != first.label]
        if id(first) in trained:
            leaked += [(first, other) for other in others if id(other) not in trained and other.label == first.label]
    if two_labels:
        first, other = two_labels[0]
        _warn(
            f"{_pictures(two_labels)} under two classes, such as {first.image} ({first.class_name!r}) and "
            f"{other.image} ({other.class_name!r}); of each, one is named wrong whatever the model says."
        )
    if leaked:
        first, other = leaked[0]
        _warn(
            f"{_pictures(leaked)} both in training and in test, such as {first.image} and {other.image}, which "
            "flatters the result."
        )


def _pictures(pairs: list[tuple[Sample, Sample]]) -> str:
    return "1 picture stands" if len(pairs) == 1 else f"{len(pairs)} pictures stand"


def _warn(message: str) -> None:
    warnings.warn(message, DoublePicturesWarning, stacklevel=4)


def _same_content(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """The samples whose files have the same content, of two or more; only what may be the same is read."""
    files = [sample for sample in samples if isinstance(sample.image, Path)]
    for same_size in _alike(files, os.path.getsize):
        for same_start in _alike(same_size, _first_bytes):
            yield from _alike(same_start, image_key)


def _alike(samples: Iterable[Sample], what: Callable[[Path], Hashable]) -> Iterator[list[Sample]]:
    groups: defaultdict[Hashable, list[Sample]] = defaultdict(list)
    for sample in samples:
        assert isinstance(sample.image, Path)
        try:
            groups[what(sample.image)].append(sample)
        except (OSError, ValueError, UnreadableImageError):  # told where pictures are opened
            continue
    return (group for group in groups.values() if len(group) > 1)


def _first_bytes(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(FIRST_BYTES)
