"""What a published data set declares about itself: its files, their layout, its classes, its split, its counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlparse

from vlprompt.data.samples import Sample

Part = Literal["train", "val", "test", "trainval", "all"]
Parts = Mapping[Part, tuple[Sample, ...]]
"""The labelled pictures as the data set itself parts them; labels count from 0 in the published order."""

Layout = Callable[[Path], Parts]
"""Lists the pictures of a data set's folder without opening any."""


PHOTO = "a photo of a {}."
"""The template of most."""

NOT_STATED = "not stated by its authors"


class SplitRule(Enum):
    """How the published code splits where there is no split file."""

    OFFICIAL = "official"
    TEST_ONLY = "test only"
    TRAINVAL = "official test; val: 20% of each class of the official training pictures, at random"
    RANDOM = "50% train, 20% val, 30% test of each class, at random"

    @property
    def is_drawn(self) -> bool:
        """Whether it draws at random, which the published code does with an unpublished state of its generator."""
        return self in (SplitRule.TRAINVAL, SplitRule.RANDOM)


@dataclass(frozen=True)
class Source:
    """A file or an archive that some of a data set's files come from.

    Attributes:
        places: what it gives, as paths in the data set's folder; folders end in a slash.
        url: where `prepare` downloads it; "" where only a person can get it.
        page: where a person gets it.
        inside: what each place is called in the archive, in the same order; "outer.tar.gz!name" lies in an archive
            within it. Without it, the download is the one place itself.
        file: its name, where the address does not end in it.
        checksum: "sha256:..." or "md5:..."; "" where none is known.
        size: bytes, about, for the space that is needed.
        instead: another place, also relative to the folder, at which its one file serves as well.
        hint: what a person must know.
    """

    places: tuple[str, ...]
    url: str = ""
    page: str = ""
    inside: tuple[str, ...] = ()
    file: str = ""
    checksum: str = ""
    size: int = 0
    instead: str = ""
    hint: str = ""

    @property
    def file_name(self) -> str:
        """What the file is called on disk."""
        if self.file:
            return self.file
        return PurePosixPath(urlparse(self.url).path).name if self.inside else PurePosixPath(self.places[0]).name

    def missing(self, folder: Path) -> tuple[str, ...]:
        """Those of its places that `folder` does not hold."""
        if self.instead and _is_there(folder / self.instead, is_folder=False):
            return ()
        return tuple(place for place in self.places if not _is_there(folder / place, place.endswith("/")))


@dataclass(frozen=True)
class Counts:
    """How many classes there are, and pictures a split, as published."""

    classes: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class PublishedSet:
    """A published data set.

    Attributes:
        name: by which it is asked for.
        title: as the papers write it.
        folder: its folder below the root, as published.
        images: what the paths of its split file start from, within that folder.
        template: of the zero-shot prompt.
        layout: lists its pictures where there is no split file.
        rule: how these are split.
        counts: of the published split.
        licence: in a few words, of the pictures.
        page: the data set's own page.
        pictures: where the pictures come from.
        annotations: the files that say which picture is of which class; not needed with the split file.
        split: the published split file; None where the split is the data set's own.
        renamed: how class names differ from the data set's own, in a few words.
    """

    name: str
    title: str
    folder: str
    images: str
    template: str
    layout: Layout
    rule: SplitRule
    counts: Counts
    licence: str
    page: str
    pictures: tuple[Source, ...]
    annotations: tuple[Source, ...] = ()
    split: Source | None = None
    renamed: str = ""

    @property
    def split_name(self) -> str:
        """The data set's name within that of its split file, such as OxfordFlowers; "" where there is none."""
        return self.split.file_name.removeprefix("split_zhou_").removesuffix(".json") if self.split else ""

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that its files come from; the split file, which replaces the annotations, first."""
        return (*((self.split,) if self.split else ()), *self.annotations, *self.pictures)


def _is_there(path: Path, is_folder: bool) -> bool:
    if not is_folder:
        return path.is_file()
    return path.is_dir() and any(path.iterdir())


def on_drive(place: str, number: str, instead: str = "") -> Source:
    """A small file that the authors of CoOp keep on Google Drive."""
    page = f"https://drive.google.com/file/d/{number}/view"
    return Source((place,), f"https://drive.google.com/uc?export=download&id={number}", page, instead=instead)
