"""Where features are kept on disk, what is there, and how to clear it.

<cache>/vlprompt-features-2/
  content-keys/            which content a file had, by its path, size, times and inode
  <backbone>-<transform>/  features by image content, and `about.json`, which says what they are

Folders of older layouts beside it are not read, and go with the rest when the cache is cleared.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vlprompt.errors import OutputError
from vlprompt.escaping import as_json
from vlprompt.features.table import ABOUT_FILE, SHARD_SUFFIX, CacheWarning, Table
from vlprompt.files import TEMPORARY_PREFIX
from vlprompt.files.json_files import read_json

CACHE_VARIABLE = "VLPROMPT_CACHE"

_LAYOUT = "vlprompt-features-2"
_ALL_LAYOUTS = "vlprompt-features-[0-9]*"
_ABOUT_BYTES = 100_000
_WIDEST = 1_000_000
_CONTENT_KEYS = "content-keys"


@dataclass(frozen=True)
class About:
    """What the features of one folder are.

    Attributes:
        backbone: its name when the folder was made.
        fingerprint: of the backbone's weights and settings.
        transform: name and version of what happens to an image before it is encoded.
        precision: "fp32", "fp16" or "bf16".
        device: "cpu" or "cuda"; their results differ in the last bits.
        width: E, numbers in one row.
        image_code: how the backbone computes images where that is not its own code; results differ in the last bits.
    """

    backbone: str
    fingerprint: str
    transform: str
    precision: str
    device: str
    width: int
    image_code: str = ""

    @property
    def identity(self) -> str:
        """Everything that determines a feature but the image; a backbone's name does not."""
        parts = {name: value for name, value in asdict(self).items() if name != "backbone"}
        if not self.image_code:
            del parts["image_code"]
        return json.dumps(parts, sort_keys=True)


@dataclass(frozen=True)
class CacheEntry:
    """One folder of the cache: features of one backbone under one transform."""

    backbone: str
    transform: str
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds; `size_bytes` also counts what is not features."""

    folder: Path
    entries: tuple[CacheEntry, ...]
    size_bytes: int


def cache_folder(cache: str | os.PathLike[str] = "default") -> Path:
    """The cache's folder: as given, or for "default" $VLPROMPT_CACHE, or else the user's cache folder.

    Raises:
        OutputError: the user has no home.
    """
    chosen = os.environ.get(CACHE_VARIABLE) if cache == "default" else os.fspath(cache)
    try:
        if chosen:
            return Path(chosen).expanduser()
        import platformdirs

        folder = platformdirs.user_cache_path("vlprompt")
        if not folder.is_absolute():  # some versions leave the "~"
            raise RuntimeError("no home")
        return folder
    except (RuntimeError, KeyError, OSError) as error:  # no HOME, and no entry in the password file
        raise OutputError(
            f"there is no home folder for the cache of image features; set {CACHE_VARIABLE} to a folder to have one."
        ) from error


def cache_folder_if_any(cache: str | os.PathLike[str] | None) -> Path | None:
    """As `cache_folder`; None, with a warning, for the default one of a user without a home, and for None."""
    if cache is None:
        return None
    try:
        return cache_folder(cache)
    except OutputError as error:
        warnings.warn(f"{error} Nothing is kept.", CacheWarning, stacklevel=3)
        return None


def feature_table(cache: Path, about: About) -> Table:
    """The table of the features that `about` describes."""
    name = hashlib.blake2b(about.identity.encode(), digest_size=16).hexdigest()
    folder = cache / _LAYOUT / f"{name}-{about.transform}"
    return Table(folder, about.width, np.float32, identity=about.identity, about=as_json(asdict(about), indent=1))


def content_key_table(cache: Path) -> Table:
    """The table of content keys by file state; both are 128 bits."""
    return Table(cache / _LAYOUT / _CONTENT_KEYS, 2, np.uint64, identity=_CONTENT_KEYS)


def cache_info(cache: str | os.PathLike[str] = "default") -> CacheInfo:
    """What the cache holds, from the largest entry to the smallest.

    Raises:
        OutputError: it cannot be read.
    """
    root = cache_folder(cache)
    _refuse_unreadable(root)
    entries = []
    for path in sorted((root / _LAYOUT).glob(f"*/{ABOUT_FILE}")):
        # Something else's about.json, or one of a later version, is no entry.
        with suppress(ValueError, TypeError, OSError):
            about = _about_in(path)
            table = feature_table(root, about)
            size = sum(map(_size_of, path.parent.glob(f"*{SHARD_SUFFIX}")))
            entries.append(CacheEntry(about.backbone, about.transform, len(table), size))
    size = sum(map(_size_of, _our_files(root)))
    return CacheInfo(root, tuple(sorted(entries, key=lambda entry: -entry.size_bytes)), size)


def clear_cache(cache: str | os.PathLike[str] = "default") -> int:
    """Remove everything that this package cached, and nothing else; returns the bytes freed.

    Raises:
        OutputError: the cache cannot be read, or a file cannot be removed.
    """
    root = cache_folder(cache)
    _refuse_unreadable(root)
    freed = 0
    for path in _our_files(root):
        try:
            size = _size_of(path)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} cannot be removed from the cache: {error.strerror or error}") from error
        freed += size
    for folder in [*root.glob(f"{_ALL_LAYOUTS}/*/"), *root.glob(_ALL_LAYOUTS)]:
        with suppress(OSError):  # not there, or with something in it that is not ours
            folder.rmdir()
    return freed


def _refuse_unreadable(root: Path) -> None:
    """`glob` passes over folders that may not be read, as if they were empty."""
    for folder in (root, root / _LAYOUT):
        try:
            os.listdir(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(
                f"the cache {folder} cannot be read: {(error.strerror or str(error)).lower()}."
            ) from error


def _our_files(root: Path) -> list[Path]:
    names = (f"*/*{SHARD_SUFFIX}", f"*/{ABOUT_FILE}", f"*/{TEMPORARY_PREFIX}*")
    return [path for pattern in names for path in root.glob(f"{_ALL_LAYOUTS}/{pattern}")]


def _about_in(path: Path) -> About:
    """What an about.json says.

    Raises:
        ValueError, TypeError, OSError: it is none of ours.
    """
    about = About(**read_json(path, _ABOUT_BYTES))
    words = (about.backbone, about.fingerprint, about.transform, about.precision, about.device)
    if not all(isinstance(word, str) for word in words) or type(about.width) is not int:
        raise TypeError("no About")
    if not 1 <= about.width <= _WIDEST:
        raise ValueError("no width")
    return about


def _size_of(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # another process has removed it
        return 0
