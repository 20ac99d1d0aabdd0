"""Whether a published data set is here: ready, incomplete, or not there."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlprompt.data.published.loading import counts_of, differences, find_split_file, load_published, missing
from vlprompt.data.published.published_set import Counts, PublishedSet
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.errors import DataError

Status = Literal["ready", "incomplete", "not there"]


@dataclass(frozen=True)
class State:
    """What is here of a data set.

    Attributes:
        folder: where it is, or would be.
        problem: what is missing, in a sentence; "" where it is ready.
        split: "published" (its split file), "official" (the data set's own) or "drawn here"; "" where it is not ready.
        here: what is there, where it is ready.
        differences: of these numbers from the published ones, each with both.
        size: bytes below the folder; None where nobody looked.
    """

    name: str
    folder: Path
    status: Status
    problem: str = ""
    split: str = ""
    here: Counts | None = None
    differences: tuple[str, ...] = ()
    size: int | None = None


def glance(declared: PublishedSet, root: Path) -> State:
    """What is known without listing any pictures: whether the files and folders that it needs are there."""
    folder = root / declared.folder
    if not folder.is_dir():
        return State(declared.name, folder, "not there", f"there is no folder {folder}")
    try:
        lacking = missing(declared, folder)
    except (DataError, OSError) as error:
        return State(declared.name, folder, "incomplete", str(error))
    if not lacking:
        return State(declared.name, folder, "ready", split=_split(declared, folder))
    nothing = len(lacking) == sum(len(source.places) for source in (*declared.pictures, *declared.annotations))
    status: Status = "not there" if nothing and not _has_split(declared, folder) else "incomplete"
    return State(declared.name, folder, status, f"{folder} lacks {', '.join(lacking)}")


def split_of(name: str, root: Path) -> str:
    """The split of a data set that is here, as `State.split` has it."""
    return glance(PUBLISHED[name], root).split


def check(declared: PublishedSet, root: Path) -> State:
    """What is there, with all pictures listed and counted and their bytes added up; none is opened."""
    state = glance(declared, root)
    size = _bytes_below(state.folder) if state.folder.is_dir() else 0
    if state.status != "ready":
        return State(state.name, state.folder, state.status, state.problem, size=size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are in the state
        try:
            dataset = load_published(declared, root)
        except DataError as error:
            return State(state.name, state.folder, "incomplete", str(error), size=size)
    return State(
        state.name,
        state.folder,
        "ready",
        split=state.split,
        here=counts_of(dataset),
        differences=tuple(differences(declared, dataset)),
        size=size,
    )


def _has_split(declared: PublishedSet, folder: Path) -> bool:
    return find_split_file(declared, folder) is not None


def _split(declared: PublishedSet, folder: Path) -> str:
    if _has_split(declared, folder):
        return "published"
    return "drawn here" if declared.rule.is_drawn else "official"


def _bytes_below(folder: Path) -> int:
    """The bytes of the files below a folder, through links to folders, each folder once."""
    total, waiting, seen = 0, [os.fspath(folder)], set[tuple[int, int]]()
    while waiting:
        place = waiting.pop()
        with suppress(OSError):  # what cannot be read has no size that matters
            known = os.stat(place)
            if (known.st_dev, known.st_ino) in seen:
                continue
            seen.add((known.st_dev, known.st_ino))
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(entry.path)
                    else:
                        total += entry.stat().st_size
    return total
