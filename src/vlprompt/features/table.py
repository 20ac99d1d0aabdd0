"""A table on disk from 128-bit keys to rows of numbers, for features and for content keys.

A table is a folder of shards. A shard is one `.npy` file of sorted (key, value) records, written whole and never
changed; its name is a checksum of what it holds and of what the table is about, so that a damaged file, and a file
from another table, are both noticed by their names. Readers map shards into memory and take no lock: two processes
at once at worst compute the same row twice. Many small shards are merged into one.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlprompt.files import TEMPORARY_PREFIX, atomic_path, open_regular, remove_leftovers, write_atomically

MOST_SMALL_SHARDS = 16
"""More small shards than this are merged into one."""

LARGE_SHARD_BYTES = 32_000_000
"""A shard of this size is left alone when others are merged, so that a long run rewrites little."""

SHARD_SUFFIX = ".npy"
ABOUT_FILE = "about.json"
MOST_SHARD_BYTES = 1 << 32
"""A larger one was not written by us, and reading it would never end."""
_CHECKED_BYTES = 1 << 16
_LISTINGS = 5


class CacheWarning(UserWarning):
    """The cache is damaged or cannot be written; what is missing is computed."""


@dataclass(frozen=True)
class _Shard:
    name: str
    first_words: np.ndarray
    """(rows,) uint64, sorted, in memory: the first halves of the keys."""
    records: np.ndarray
    """(rows,) of (key, value), mapped into memory."""


class Table:
    """Rows of `width` numbers by key, kept in `folder`.

    Keys are arrays of shape (n, 2), uint64, evenly spread, such as cut from a cryptographic digest.

    Args:
        folder: made when the first rows are added.
        identity: what the rows are about; rows of another identity are never mistaken for ours.
        about: the text of a file `about.json` beside the shards.

    Attributes:
        writable: False once writing has failed; nothing is tried again.
    """

    def __init__(
        self, folder: Path, width: int, dtype: type[np.generic], *, identity: str, about: str | None = None
    ) -> None:
        self.folder = folder
        self._about = about
        little_endian = np.dtype(dtype).newbyteorder("<")
        self._record = np.dtype([("key", "<u8", (2,)), ("value", little_endian, (width,))])
        self._identity = hashlib.blake2b(identity.encode(), digest_size=32).digest()
        self._shards: dict[str, _Shard] = {}
        self._unusable: set[str] = set()
        self.writable = True

    def read(self, keys: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Fill `out` (n, width) with the rows of `keys` (n, 2) that are known, and say which: (n,) bool."""
        self._refresh()
        found = np.zeros(len(keys), bool)
        for shard in self._shards.values():
            missing = np.flatnonzero(~found)
            if not len(missing):
                break
            at = np.searchsorted(shard.first_words, keys[missing, 0])
            at[at == len(shard.first_words)] = 0
            # The first half decides the place, the whole key whether it is the one.
            hit = shard.first_words[at] == keys[missing, 0]
            missing, at = missing[hit], at[hit]
            hit = shard.records["key"][at, 1] == keys[missing, 1]
            missing, at = missing[hit], at[hit]
            rows = shard.records["value"][at]
            out[missing] = rows
            # Whoever wrote what is no number, it is computed again.
            found[missing] = np.isfinite(rows).all(axis=1)
        return found

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Keep `values` (n, width) by `keys` (n, 2); a folder that cannot be written costs one warning only."""
        if not self.writable or not len(keys):
            return
        records = np.empty(len(keys), self._record)
        records["key"], records["value"] = keys, values
        try:
            if self._about is not None and not os.path.exists(self.folder / ABOUT_FILE):
                write_atomically(self.folder / ABOUT_FILE, self._about)
            self._write(records)
            self._merge_small_shards()
            remove_leftovers(self.folder)
        except OSError as error:
            self.writable = False
            reason = (error.strerror or str(error)).lower()
            message = f"the cache {self.folder.parent} cannot be written ({reason}); nothing more is kept in it"
            warnings.warn(message, CacheWarning, stacklevel=3)

    def __len__(self) -> int:
        """Rows on disk; a row that two processes added at once counts twice until it is merged."""
        self._refresh()
        return sum(len(shard.records) for shard in self._shards.values())

    def _write(self, records: np.ndarray) -> str:
        records = records[np.lexsort((records["key"][:, 1], records["key"][:, 0]))]
        name = self._checksum(records) + SHARD_SUFFIX
        with atomic_path(self.folder / name) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, records, allow_pickle=False)
        self._unusable.discard(name)
        # Another process may have merged it away already.
        with suppress(FileNotFoundError):
            self._shards[name] = _Shard(name, np.ascontiguousarray(records["key"][:, 0]), self._map(name))
        return name

    def _merge_small_shards(self) -> None:
        self._refresh()
        small = [shard for shard in self._shards.values() if shard.records.nbytes < LARGE_SHARD_BYTES]
        if len(small) <= MOST_SMALL_SHARDS:
            return
        records = np.concatenate([shard.records for shard in small])
        _, first = np.unique(records["key"], axis=0, return_index=True)
        merged = self._write(records[first])
        for shard in small:
            if shard.name != merged:
                self._forget(shard.name)

    def _refresh(self) -> None:
        """See which shards there are now, and open those that are new to us."""
        # When shards vanish, their rows are in a merged one, which a listing under way may have missed.
        for _ in range(_LISTINGS):
            if self._open_what_is_new():
                return

    def _open_what_is_new(self) -> bool:
        """Whether the folder was found as it was listed."""
        names = self._list()
        gone = self._shards.keys() - names
        for name in gone:
            del self._shards[name]
        settled, damaged = not gone, []
        for name in sorted(names - self._shards.keys() - self._unusable):
            try:
                shard = self._open(name)
            except FileNotFoundError:
                settled = False
            except PermissionError:  # another user's: no fault, and not ours to remove
                self._unusable.add(name)
            else:
                if shard is None:
                    damaged.append(name)
                else:
                    self._shards[name] = shard
        if damaged:
            self._drop(damaged)
        return settled

    def _list(self) -> set[str]:
        try:
            return {entry.name for entry in os.scandir(self.folder) if _is_shard(entry.name)}
        except OSError:
            return set()

    def _open(self, name: str) -> _Shard | None:
        """The shard, or None when it is not what its name says."""
        try:
            with open_regular(self.folder / name):  # a pipe would be waited for
                records = self._map(name)
            if records.nbytes > MOST_SHARD_BYTES:
                return None
            if records.dtype != self._record or records.ndim != 1 or not len(records):
                return None
            if self._checksum(records) + SHARD_SUFFIX != name:
                return None
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:  # whatever reading a damaged file leads to
            return None
        return _Shard(name, np.ascontiguousarray(records["key"][:, 0]), records)

    def _map(self, name: str) -> np.ndarray:
        return np.lib.format.open_memmap(self.folder / name, mode="r")

    def _checksum(self, records: np.ndarray) -> str:
        """CRC-32s of blocks, and a digest of those and of the identity.

        32 MB take 7 ms; BLAKE2 over all bytes would take 29 ms, SHA-256 16 ms, and sums, which two swapped words pass,
        1 ms.
        """
        content = np.ascontiguousarray(records).view(np.uint8).reshape(-1)
        digest = hashlib.blake2b(f"{content.size} {records.dtype}".encode(), key=self._identity, digest_size=16)
        for start in range(0, content.size, _CHECKED_BYTES):
            digest.update(zlib.crc32(content.data[start : start + _CHECKED_BYTES]).to_bytes(4, "little"))
        return digest.hexdigest()

    def _drop(self, names: list[str]) -> None:
        for name in names:
            self._forget(name)
            # Where it cannot be removed, it is not looked at again.
            if os.path.exists(self.folder / name):
                self._unusable.add(name)
        which = f"{names[0]} is" if len(names) == 1 else f"{len(names)} files are"
        message = f"{which} damaged or foreign in the cache folder {self.folder}; what is missing is computed again"
        warnings.warn(message, CacheWarning, stacklevel=6)

    def _forget(self, name: str) -> None:
        self._shards.pop(name, None)
        # Fails where the folder is read-only, or on Windows while another process reads it.
        with suppress(OSError):
            (self.folder / name).unlink()


def _is_shard(name: str) -> bool:
    return name.endswith(SHARD_SUFFIX) and not name.startswith(TEMPORARY_PREFIX)
