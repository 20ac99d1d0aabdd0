"""glibc's allocator, told to keep what is freed for the next layer.

By default it gives every large tensor back to the system and takes zeroed pages again for the next one: with ViT-B/16 a
batch of 64 images costs 2.8 million page faults, a fifth of all processor time. Nothing here runs at import. The image
encoder's users call it (`FeatureExtractor`, the command line and the workers of a benchmark); a program that only
imports the library keeps its own settings.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3

KEPT = 1 << 30
"""Larger blocks than this are still given back at once, and more free memory than this at the end of the heap."""

OLD_LIMIT = 1 << 25
"""The largest mmap threshold that glibc before 2.35 takes, on 64-bit machines."""

STEP = 1 << 26
"""How much the heap grows at a time: each growth is a system call."""

USER_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")


def keep_freed_memory() -> bool:
    """Let freed memory stay in this process, where its allocator is glibc's and the user has not set it otherwise.

    Returns:
        Whether the allocator was told so, now or by an earlier call.
    """
    libc = None if _set_by_user() else _glibc()
    return libc is not None and _tell(libc)


def give_back_freed_memory() -> None:
    """Return to the system what `keep_freed_memory` has kept; where that does nothing, so does this."""
    if keep_freed_memory():
        libc = _glibc()
        assert libc is not None
        libc.malloc_trim(0)


@cache
def _tell(libc: Any) -> bool:
    large_blocks = libc.mallopt(M_MMAP_THRESHOLD, KEPT) or libc.mallopt(M_MMAP_THRESHOLD, OLD_LIMIT)
    return bool(large_blocks and libc.mallopt(M_TRIM_THRESHOLD, KEPT) and libc.mallopt(M_TOP_PAD, STEP))


@cache
def _glibc() -> Any:
    """The C library, or None where it is another one (musl, macOS, Windows)."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version, libc.mallopt, libc.malloc_trim  # noqa: B018  # looked up, not called
    except (OSError, AttributeError, TypeError):
        return None
    return libc


def _set_by_user() -> bool:
    return any(name in os.environ for name in USER_VARIABLES) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
