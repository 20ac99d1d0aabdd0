"""Which content an image has: 128 bits by which its features are found again.

A file's key comes from its bytes (`vlprompt.data.images.image_key`). So that a second run over ten thousand files
need not read them, the key is remembered by the file's path, size, time of change and inode.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vlprompt.data.images import ImageSource, describe, image_key
from vlprompt.errors import UnreadableImageError
from vlprompt.features.table import Table

SETTLED_NS = 2_000_000_000
"""A file changed within this time may change again without its times showing it, so it is not remembered."""

_FEW = 32


def content_keys(images: Sequence[ImageSource], remembered: Table | None) -> tuple[np.ndarray, dict[int, str]]:
    """Keys of shape (n, 2), uint64, and the reasons of those images that cannot be read, by their place.

    Args:
        remembered: keys of files by their state, read and added to.
    """
    keys = np.zeros((len(images), 2), np.uint64)
    known = np.zeros(len(images), bool)
    if remembered is not None:
        states, settled = _file_states(images)
        if settled.any():
            known = remembered.read(states, keys) & settled
    unknown = np.flatnonzero(~known).tolist()
    failures: dict[int, str] = {}
    for at, key in zip(unknown, _compute([images[at] for at in unknown]), strict=True):
        if isinstance(key, bytes):
            keys[at] = np.frombuffer(key, "<u8")
        else:
            failures[at] = key
    if remembered is not None:
        new = settled & ~known
        new[list(failures)] = False
        remembered.add(states[new], keys[new])
    return keys, failures


def view_keys(keys: np.ndarray, seed: int, views: Sequence[int]) -> np.ndarray:
    """Keys of an image's views: (n, 2) -> (n, len(views), 2)."""
    masks = [hashlib.blake2b(f"{seed}/{view}".encode(), digest_size=16).digest() for view in views]
    return keys[:, None] ^ np.frombuffer(b"".join(masks), "<u8").reshape(1, -1, 2)


def _compute(images: list[ImageSource]) -> list[bytes | str]:
    if len(images) < _FEW:
        return [_key_or_reason(image) for image in images]
    # Reading and hashing both release the interpreter's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(_key_or_reason, images))


def _key_or_reason(image: ImageSource) -> bytes | str:
    try:
        return bytes.fromhex(image_key(image)[:32])
    except UnreadableImageError as error:
        return error.reason
    except ValueError as error:  # a path that no file can have
        return f"{error}."


def _file_states(images: Sequence[ImageSource]) -> tuple[np.ndarray, np.ndarray]:
    """A key for the state of each file (n, 2), and which of the images are files that have settled (n,)."""
    states = bytearray()
    settled = np.zeros(len(images), bool)
    latest = time.time_ns() - SETTLED_NS
    folder = os.getcwd()
    for at, image in enumerate(images):
        state = b""
        if isinstance(image, str | Path):
            path = os.path.join(folder, image)
            try:
                stat = os.stat(path)
            except (OSError, ValueError):
                pass
            else:
                text = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}\0{stat.st_dev}"
                state = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                settled[at] = max(stat.st_mtime_ns, stat.st_ctime_ns) < latest
        states += state or bytes(16)
    return np.frombuffer(bytes(states), "<u8").reshape(-1, 2), settled


def reasons_by_name(images: Sequence[Any], failures: dict[int, str]) -> dict[str, str]:
    """Failures as a user reads them, in the images' order."""
    return {describe(images[at], at): failures[at] for at in sorted(failures)}
