"""Files that are there whole or not at all, and files of strangers that are read within bounds.

Whatever the package writes goes to a temporary file in the same folder first, reaches the disk, and then takes its
name in one step, so that a reader, a second process or a power cut never meets half a file. A temporary file is locked
while it is written, so that the next writer knows, and removes, what a killed one left.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vlprompt.errors import OutputError
from vlprompt.files.locks import close_locked, try_lock

TEMPORARY_PREFIX = ".tmp-"
"""How the names of files that are still being written begin; such a file left behind is safe to delete."""

LONGEST_NAME = 255
"""Bytes that file systems take for one name."""
LONGEST_PATH = 4000
"""Bytes of a whole path, with room for what is below it."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FAILED_WRITES = _FULL | {errno.EFBIG, errno.EIO, errno.EROFS}
"""Errors of writing that name no file."""
_STALE_SECONDS = 24 * 3600
_PROBE = bytes(4096)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what the block leaves there becomes `path` in one step.

    The temporary name keeps the suffix, for writers that choose their format by it. Missing folders are made. When
    the block fails, `path` is as it was before and the temporary file is gone.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        lock = _claimed(temporary)
        yield temporary
        _reach_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in _FAILED_WRITES or _names_one_of(error, (temporary, path, *path.parents)):
            raise OutputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if lock is not None:
            close_locked(lock)


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yield a new, empty folder beside `folder`, to be filled and moved to its place; it is removed at the end.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.name)
    staged = _temporary_name(folder)
    lock = _claimed_folder(staged)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if lock is not None:
            close_locked(lock)


def remove_leftovers(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove what killed processes left half written for `name` in a folder, or of everything in a folder of ours.

    What a living process is writing, also in another container, stays: it holds a lock on it.
    """
    ours = re.compile(re.escape(TEMPORARY_PREFIX) + (".*" if name is None else f"[0-9a-f]{{8,12}}-{re.escape(name)}"))
    with suppress(OSError):
        for entry in [entry for entry in os.scandir(folder) if ours.fullmatch(entry.name)]:
            with suppress(OSError):
                _remove_if_left(entry)


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write `content` (a str as UTF-8, line ends as they are) to `path`, whole or not at all.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file of a stranger's for reading; never waits, as opening a pipe that nobody writes to would.

    Raises:
        OSError: it cannot be opened, or is no regular file (a folder, pipe, device or socket, also behind a link);
            `strerror` says which.
    """
    if "\0" in os.fsdecode(path):  # for which Python has a ValueError
        raise OSError(errno.EINVAL, "no file can have a name with a NUL character", os.fspath(path))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(code, f"it is {_kind_of(mode)}, not a regular file", os.fspath(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The content of a regular file that has at most so many bytes.

    Raises:
        OSError: as `open_regular`, or the file is larger (`errno.EFBIG`).
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {_megabytes(most_bytes)}", os.fspath(path))
    return content


def check_writable(folder: str | os.PathLike[str], needed_bytes: int = 0) -> None:
    """Make sure, before anything is computed, that files can be written in `folder`.

    The folder need not exist yet, and is not made.

    Raises:
        OutputError: `folder` has a name that no file can have, `folder` or something above it is a file or may not be
            written, or its disk has less than `needed_bytes` free.
    """
    folder = Path(folder)
    check_name(folder)
    existing = _nearest_existing(folder)
    if not os.path.isdir(existing):
        what = "is a file, not a folder" if existing == folder else f"cannot be made, because {existing} is a file"
        raise OutputError(f"the output folder {folder} {what}; name another folder")
    if not _takes_files(existing):
        where = "" if existing == folder else f" (no permission to write in {existing})"
        raise OutputError(f"the output folder {folder} cannot be written{where}; name a folder that you may write to")
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise OutputError(
            f"the output folder {folder} has {_megabytes(free)} free and {_megabytes(needed_bytes)} are needed; "
            "free some space or name a folder on another disk"
        )


def check_name(path: str | os.PathLike[str], called: str = "folder") -> None:
    """Raise OutputError where no file or folder can have this path."""
    encoded = os.fsencode(os.path.abspath(path))
    if b"\0" in encoded:
        raise OutputError(f"the name {os.fspath(path)!r} has a NUL character; choose another {called}.")
    if len(encoded) > LONGEST_PATH or any(len(part) > LONGEST_NAME for part in encoded.split(os.fsencode(os.sep))):
        raise OutputError(f"{os.fspath(path)!s} is too long a name for a folder; choose another {called}.")


def _temporary_name(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}-{path.name}")


def _claimed(temporary: Path) -> int:
    """A descriptor of the new, empty file, locked as long as it is open."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try_lock(descriptor)
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(temporary)):
                return descriptor
        close_locked(descriptor)  # a cleaner took it for left behind before it was locked


def _claimed_folder(staged: Path) -> int | None:
    """As `_claimed`, for a new folder; None where folders cannot be opened, as on Windows."""
    while True:
        staged.mkdir(exist_ok=True)
        try:
            descriptor = os.open(staged, os.O_RDONLY)
        except PermissionError:
            return None
        try_lock(descriptor)
        if staged.is_dir():
            return descriptor
        close_locked(descriptor)


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        free = try_lock(descriptor)
        if free is None:  # no locks here
            free = time.time() - os.fstat(descriptor).st_mtime > _STALE_SECONDS
        if free and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif free:
            os.unlink(entry.path)
    finally:
        close_locked(descriptor)


def _kind_of(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((words for matches, words in kinds if matches(mode)), "something else")


def _reach_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _names_one_of(error: OSError, paths: tuple[Path, ...]) -> bool:
    return isinstance(error.filename, str | os.PathLike) and Path(error.filename) in paths


def _nearest_existing(folder: Path) -> Path:
    folder = Path(os.path.abspath(folder))
    for candidate in (folder, *folder.parents):
        # lexists: a link to nowhere stands in the way as a file does.
        if os.path.lexists(candidate):
            return candidate
    return folder


def _takes_files(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as file:
            file.write(_PROBE)
            file.flush()
            return True
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise OutputError(
                f"files in {folder} cannot be written: the limit on their size is below {len(_PROBE)} bytes "
                "(ulimit -f); raise it."
            ) from error
        # A full disk is told apart by its free bytes.
        return error.errno in _FULL


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
