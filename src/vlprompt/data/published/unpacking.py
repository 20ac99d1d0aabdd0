"""Archives unpacked within bounds: nothing outside the folder, no links or devices, no more bytes than is plausible."""

from __future__ import annotations

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vlprompt.errors import DataError, OutputError, quoted

MOST_FILES = 2_000_000
"""ImageNet has 1.3 million."""

GROWTH = 4
ALLOWANCE = 1_000_000_000
"""Pictures hardly shrink: an archive may unpack to so many times its own size and these bytes more."""

BLOCK = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError),
    *(IsADirectoryError, NotADirectoryError, FileExistsError),  # one name for a file and for a folder
)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_folder: bool
    refused: str
    content: IO[bytes] | None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive into a folder that exists.

    Raises:
        DataError: it is damaged or no such archive; it holds a path that leads out of the folder, a link, something
            that is no file, too many files or too many bytes.
    """
    left = GROWTH * archive.stat().st_size + ALLOWANCE
    try:
        with _members(archive) as members:
            for count, member in enumerate(members, start=1):
                left -= member.size
                if count > MOST_FILES or left < 0:
                    what = f"more than {MOST_FILES:,} files" if count > MOST_FILES else "far more bytes than it has"
                    raise DataError(f"{archive} holds {what}; it is not unpacked further.")
                _write(member, _place(archive, folder, member))
    except _DAMAGED as error:
        reason = (str(error) or "it is damaged").splitlines()[0].rstrip(":")
        raise DataError(f"{archive} cannot be unpacked: {reason}; get it again.") from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}.") from error


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            yield _of_zip(opened)
    else:
        with tarfile.open(archive) as opened_tar:
            yield _of_tar(opened_tar)


def _of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for entry in archive.infolist():
        mode = entry.external_attr >> 16
        is_odd = mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        refused = "a link or device" if is_odd else ""
        content = None if refused or entry.is_dir() else archive.open(entry)
        yield _Member(entry.filename, entry.file_size, entry.is_dir(), refused, content)


def _of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for entry in archive:
        refused = "" if entry.isreg() or entry.isdir() else "a link or device"
        content = archive.extractfile(entry) if entry.isreg() else None
        yield _Member(entry.name, entry.size, entry.isdir(), refused, content)
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile remembers each of a million files otherwise


def _place(archive: Path, folder: Path, member: _Member) -> Path:
    """Where a member goes."""
    if member.refused:
        raise DataError(f"{archive} holds {member.refused}, {quoted(member.name)}, which no data set needs.")
    parts = re.split(r"[/\\]", member.name)
    if (
        ".." in parts
        or member.name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:", member.name)
        or "\0" in member.name
    ):
        raise DataError(f"{archive} holds {quoted(member.name)}, which leads out of the folder; it is not unpacked.")
    return folder.joinpath(*parts)


def _write(member: _Member, place: Path) -> None:
    """No link can be in the way: the folder was empty, and none is ever made."""
    if member.is_folder:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    assert member.content is not None
    left = member.size
    with member.content, open(place, "wb") as file:
        while block := member.content.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise tarfile.TarError(f"{member.name} is longer than the archive says")
            file.write(block)
