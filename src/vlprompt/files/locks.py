"""Locks that end with the process that holds them, so that one that was killed never blocks another.

An output folder has one writer at a time. The lock is an flock on a small file, which is removed with it. Where a file
system knows no locks (some network ones, and Windows), nothing is locked: two writers there are the user's to keep
apart. On NFS, Linux passes these locks on to the server; a machine that dies holding one keeps it until it is back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vlprompt.errors import OutputError

with suppress(ImportError):  # Windows has none
    import fcntl

SECONDS_BETWEEN_TRIES = 0.2
_KNOWS_LOCKS = os.name == "posix"
_open_descriptors: set[int] = set()
_mine = threading.local()


@contextmanager
def lock_beside(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Be the only writer of a folder that is replaced as a whole; the lock lies beside it as `.NAME.lock`.

    A thread may take a lock that it holds already.

    Args:
        wait: until another holder has ended, and do not raise.

    Raises:
        OutputError: another process or thread holds the lock, or the place cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    with _locked(folder.with_name(f".{folder.name}.lock"), folder, wait):
        yield


@contextmanager
def lock_inside(folder: Path) -> Iterator[None]:
    """Be the only writer within a folder, which is made if need be; the lock lies in it as `.lock`.

    Raises:
        OutputError: as `lock_beside`.
    """
    folder = Path(os.path.realpath(folder))
    with _locked(folder / ".lock", folder):
        yield


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or folder without waiting: whether that worked, None where there are no locks."""
    if not _KNOWS_LOCKS:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    _open_descriptors.add(descriptor)
    return True


def close_locked(descriptor: int) -> None:
    """Give up the lock, if there is one, and close the file."""
    if descriptor in _open_descriptors:
        _open_descriptors.discard(descriptor)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may hold a copy of the descriptor
    os.close(descriptor)


@contextmanager
def _locked(path: Path, output: Path, wait: bool = False) -> Iterator[None]:
    held: set[tuple[int, Path]] = _mine.__dict__.setdefault("held", set())
    key = (os.getpid(), path)
    if key in held:
        yield
        return
    made = [above for above in path.parents if not os.path.exists(above)]
    descriptor = _acquired(path, output, wait)
    held.add(key)
    try:
        yield
    finally:
        held.discard(key)
        with suppress(OSError):
            path.unlink(missing_ok=True)  # before the lock is given up: whoever comes next makes a new file
        close_locked(descriptor)
        with suppress(OSError):  # until one that has something in it
            for above in made:
                above.rmdir()


def _acquired(path: Path, output: Path, wait: bool) -> int:
    """A descriptor that holds the lock of a file that has the path's name."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            if wait and isinstance(error, FileNotFoundError):
                continue  # another holder removed the folder between the two lines above
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{output} cannot be written: its lock {path} cannot be made ({reason}).") from error
        if try_lock(descriptor) is False:
            os.close(descriptor)
            if wait:
                time.sleep(SECONDS_BETWEEN_TRIES)
                continue
            raise OutputError(
                f"another process is writing {output} (it holds the lock {path}); wait until it has ended, or name "
                "another folder."
            )
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        close_locked(descriptor)  # another holder removed the file meanwhile


def _forget_in_child() -> None:
    """A forked child holds no locks, and must not keep those of a parent that is killed."""
    for descriptor in _open_descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _open_descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
