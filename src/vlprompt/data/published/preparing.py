"""Gets a published data set's files: downloads what can be, arranges it, and says what only a person can get."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vlprompt.data.published.downloading import checksum_of, download
from vlprompt.data.published.loading import find_split_file
from vlprompt.data.published.published_set import PublishedSet, Source
from vlprompt.data.published.unpacking import unpack
from vlprompt.errors import DataError, DownloadError, NoNetworkError
from vlprompt.files import check_writable, staged_folder
from vlprompt.files.locks import lock_inside
from vlprompt.progress import OnProgress

DOWNLOADS = ".downloads"
"""The folder of unfinished downloads, in that of the data set."""

ROOM = 2.2
"""Times its size that an archive takes while it is unpacked."""

Watch = Callable[[str], OnProgress | None]
"""Told the name of each file that is downloaded; its progress is told to what it gives."""


@dataclass(frozen=True)
class Prepared:
    """What was done for a data set.

    Attributes:
        folder: the data set's.
        got: the places that are new.
        by_hand: the sources that a person must get.
        failed: why others could not be downloaded, each a sentence.
    """

    folder: Path
    got: tuple[str, ...]
    by_hand: tuple[Source, ...]
    failed: tuple[str, ...]


def prepare(declared: PublishedSet, root: Path, watch: Watch | None = None) -> Prepared:
    """Get what the data set's folder lacks; what is there stays as it is.

    An archive that lies in the folder under its own name, where a person has put it, is taken in place of a download.
    One source that fails does not keep the others from coming.

    Raises:
        OutputError: the folder cannot be written, another process prepares it, or the disk is too full.
        DataError: an archive is damaged or hostile.
    """
    folder = root / declared.folder
    got: list[str] = []
    by_hand: list[Source] = []
    failed: list[str] = []
    offline = False
    lacking = [source for source in _needed(declared, folder) if source.missing(folder)]
    if not lacking:
        return Prepared(folder, (), (), ())
    check_writable(folder, int(ROOM * max(source.size for source in lacking)))
    with lock_inside(folder):
        for source in lacking:
            if source in declared.annotations and find_split_file(declared, folder) is not None:
                continue  # the split file has come, and stands for them
            archive = folder / source.file_name
            if (offline or not source.url) and not (source.inside and archive.is_file()):
                by_hand.append(source)
                continue
            places = source.missing(folder)
            try:
                _get(source, folder, archive, watch)
            except DownloadError as error:
                offline = isinstance(error, NoNetworkError)  # the others need not try, nor say it again
                failed.append(str(error))
                by_hand.append(source)
                continue
            got += places
        _remove_if_empty(folder / DOWNLOADS)
    return Prepared(folder, tuple(got), tuple(by_hand), tuple(failed))


def how_to_get(source: Source, folder: Path) -> str:
    """What a person must do to have the source's places, in one line."""
    places = " and ".join(place.rstrip("/") for place in source.places)
    where = source.page or source.url
    parts = [f"Put {places} into {folder}"]
    if source.inside:
        parts[0] += f", or {source.file_name} itself, and run the same command again"
    if where:
        parts[0] += f": {where}"
    return ". ".join([*parts, *([source.hint] if source.hint else [])]).rstrip(".") + "."


def _needed(declared: PublishedSet, folder: Path) -> tuple[Source, ...]:
    """Its sources; where there is a split file, only the pictures'."""
    return declared.sources if find_split_file(declared, folder) is None else declared.pictures


def _get(source: Source, folder: Path, archive: Path, watch: Watch | None) -> None:
    if source.inside and archive.is_file():
        _refuse_other_content(source, archive)
        _unpack_places(source, archive, folder)
        return
    file = folder / DOWNLOADS / source.file_name
    if not file.is_file():
        on_progress = watch(source.file_name) if watch is not None else None
        download(source.url, file, source.checksum, on_progress)
    if source.inside:
        _unpack_places(source, file, folder)
        file.unlink()
    else:
        place = folder / source.places[0]
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)


def _refuse_other_content(source: Source, archive: Path) -> None:
    if source.checksum and (found := checksum_of(archive, source.checksum)) != source.checksum:
        raise DataError(f"{archive} has the checksum {found}; it must be {source.checksum}. Get it again.")


def _unpack_places(source: Source, archive: Path, folder: Path) -> None:
    """Unpack beside the places, then move each into its own in one step; what is there already stays."""
    wanted = set(source.missing(folder))
    with _unpacked(archive, folder) as staged:
        for place, inside in zip(source.places, source.inside, strict=True):
            outer, _, inner = inside.rpartition("!")
            if place not in wanted:
                continue
            if outer:
                with _unpacked(_within(staged, outer, archive), folder) as second:
                    _move(_within(second, inner, archive), folder / place)
            else:
                _move(_within(staged, inside, archive), folder / place)


@contextmanager
def _unpacked(archive: Path, folder: Path) -> Iterator[Path]:
    with staged_folder(folder / DOWNLOADS / f"unpacked-{archive.name}") as staged:
        unpack(archive, staged)
        yield staged


def _within(staged: Path, inside: str, archive: Path) -> Path:
    found = staged / inside
    if not found.exists():
        there = ", ".join(sorted(path.name for path in staged.iterdir())[:5]) or "nothing"
        raise DataError(f"{archive} has no {inside}; it holds {there}.")
    return found


def _move(found: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)  # empty, else it would not be missing
    os.replace(found, place)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
