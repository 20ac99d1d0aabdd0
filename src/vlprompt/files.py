"""Files that are there whole or not at all, and files of strangers that are read within bounds.

Whatever the package writes goes to a temporary file in the same folder first, reaches the disk, and then takes its
name in one step, so that a reader, a second process or a power cut never meets half a file.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError

TEMPORARY_PREFIX = ".tmp-"
"""How the names of files that are still being written begin; such a file left behind is safe to delete."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what the block leaves there becomes `path` in one step.

    The temporary name keeps the suffix, for writers that choose their format by it. Missing folders are made. When
    the block fails, `path` is as it was before and the temporary file is gone.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _reach_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in _FULL or _names_one_of(error, (temporary, path, *path.parents)):
            raise OutputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def displayable(name: str) -> str:
    """A file name as text that can be written everywhere: bytes that are not UTF-8 as `\\xe9`."""
    if _is_text(name):
        return name
    # Python keeps such bytes as lone surrogates; other lone surrogates come from Windows and from JSON.
    return re.sub("[\ud800-\udfff]", _shown, name)


def json_text(text: str) -> str:
    """JSON that may name files, as valid UTF-8: what is no text becomes `\\udce9`, which reads back equal."""
    return text if _is_text(text) else re.sub("[\ud800-\udfff]", lambda lone: f"\\u{ord(lone[0]):04x}", text)


def check_writable(folder: str | os.PathLike[str], needed_bytes: int = 0) -> None:
    """Make sure, before anything is computed, that files can be written in `folder`.

    The folder need not exist yet, and is not made.

    Raises:
        OutputError: `folder` or something above it is a file, may not be written, or its disk has less than
            `needed_bytes` free.
    """
    folder = Path(folder)
    existing = _nearest_existing(folder)
    if not existing.is_dir():
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


def _shown(lone: re.Match[str]) -> str:
    code = ord(lone[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX):
            return True
    except OSError as error:
        # A full disk is told apart by its free bytes.
        return error.errno in _FULL


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
