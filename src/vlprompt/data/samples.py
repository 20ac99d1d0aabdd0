"""Labelled images and the data sets made of them.

A sample's image may be a path, a Pillow image, a uint8 array or an image that is composed when it is opened; what it
looks like is `images.py`'s business, so that sampling and splitting never touch a pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


@runtime_checkable
class ComposedImage(Protocol):
    """An image that is computed rather than read, such as a scene of the bundled benchmark."""

    @property
    def content_key(self) -> str:
        """What determines the pixels, as one string; two images with the same key are the same image."""
        ...

    def open(self) -> Image:
        """The image, RGB."""
        ...


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of a picture file that is in memory, and what it is called, if anything."""

    data: bytes = field(repr=False)
    name: str = ""

    def __str__(self) -> str:
        return self.name or "an image (bytes)"


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image: a path, Pillow image, array as `data.arrays` takes it, `EncodedImage` or `ComposedImage`.
        label: the number of its class.
        class_name: what the person calls its class (a folder's name, a manifest's label), as which it comes out again;
            prompts may say it in other words, see `Dataset.class_words`.
    """

    image: Path | Image | np.ndarray | EncodedImage | ComposedImage
    label: int
    class_name: str


@dataclass(frozen=True)
class Dataset:
    """A data set with its three splits and the template of its zero-shot prompts.

    Attributes:
        class_words: what prompts say for a class, by its name, where that is not the name itself.
        bundled: the bundled data set and domain that the pictures are of, such as "emoji-food/flat", also where they
            were exported and read back unchanged; "" for all others.
        names_are_published: the names are those of a paper's data set, which may repeat or be one prompt (two of
            ImageNet's are "missile"); in all other data such classes are refused, whoever reads them.
    """

    name: str
    train: tuple[Sample, ...]
    val: tuple[Sample, ...] = ()
    test: tuple[Sample, ...] = ()
    template: str = "a photo of a {}."
    class_words: Mapping[str, str] = field(default_factory=dict, hash=False)
    bundled: str = ""
    names_are_published: bool = False

    @property
    def class_names(self) -> list[str]:
        """Names by label, from all splits."""
        return class_names_of([*self.train, *self.val, *self.test])

    @property
    def prompt_names(self) -> list[str]:
        """What prompts call the classes, by label."""
        return [self.class_words.get(name, name) for name in self.class_names]


def told_apart(names: Sequence[str]) -> list[str]:
    """The names by label; one that several classes share has its label beside it."""
    count = Counter(map(str, names))
    return [f"{name} ({label})" if count[str(name)] > 1 else str(name) for label, name in enumerate(names)]


def with_own_names(dataset: Dataset) -> Dataset:
    """The data set with a name for each class, for whoever answers with names; prompts say what they said before.

    Only published data have classes that share a name.
    """
    names = dataset.class_names
    own = told_apart(names)
    if own == names:
        return dataset
    words = {name: dataset.class_words.get(shared, shared) for name, shared in zip(own, names, strict=True)}
    train, val, test = (
        tuple(replace(sample, class_name=own[sample.label]) for sample in split)
        for split in (dataset.train, dataset.val, dataset.test)
    )
    words = {name: said for name, said in words.items() if said != name}
    return replace(dataset, train=train, val=val, test=test, class_words=words)


def class_names_of(samples: Sequence[Sample]) -> list[str]:
    """Class names by label; labels must count from 0 without a gap."""
    names = {sample.label: sample.class_name for sample in samples}
    return [names[label] for label in sorted(names)]
