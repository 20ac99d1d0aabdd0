"""Very large pictures one at a time, whatever threads and processes of a person's open them.

The lock is a file in the folder for temporary files; a process that ends gives it back, however it ends.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ALONE_BYTES = 150_000_000
"""From how much memory on a picture waits for its turn."""

MOST_SECONDS = 300.0
"""How long one waits at most: a process that was stopped while it had its turn must not stop all others."""

_LOOK_SECONDS = 0.02


@contextmanager
def turn_for(bytes_taken: int) -> Iterator[None]:
    """Wait for the turn of a picture that takes so much memory; small ones need not."""
    descriptor = _open_lock() if bytes_taken >= ALONE_BYTES and fcntl is not None else None
    if descriptor is None:
        yield
        return
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)  # which unlocks it


def _open_lock() -> int | None:
    try:
        path = os.path.join(tempfile.gettempdir(), f"vlprompt-large-picture-{os.getuid()}.lock")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        return None  # no place for it: memory is bounded for each picture anyway


def _wait_for(descriptor: int) -> None:
    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOOK_SECONDS)
        except OSError:
            return
