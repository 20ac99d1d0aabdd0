"""Where features are kept on disk, what is there, and how to clear it.

<cache>/vlprompt-features-1/
  content-keys/            which content a file had, by its path, size, times and inode
  <backbone>-<transform>/  features by image content, and `about.json`, which says what they are
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vlprompt.errors import OutputError
from vlprompt.features.table import ABOUT_FILE, SHARD_SUFFIX, Table
from vlprompt.files import TEMPORARY_PREFIX

CACHE_VARIABLE = "VLPROMPT_CACHE"

_LAYOUT = "vlprompt-features-1"
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
    """The cache's folder: as given, or for "default" $VLPROMPT_CACHE, or else the user's cache folder."""
    if cache != "default":
        return Path(cache).expanduser()
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("vlprompt")


def feature_table(cache: Path, about: About) -> Table:
    """The table of the features that `about` describes."""
    name = hashlib.blake2b(about.identity.encode(), digest_size=16).hexdigest()
    folder = cache / _LAYOUT / f"{name}-{about.transform}"
    return Table(folder, about.width, np.float32, identity=about.identity, about=json.dumps(asdict(about), indent=1))


def content_key_table(cache: Path) -> Table:
    """The table of content keys by file state; both are 128 bits."""
    return Table(cache / _LAYOUT / _CONTENT_KEYS, 2, np.uint64, identity=_CONTENT_KEYS)


def cache_info(cache: str | os.PathLike[str] = "default") -> CacheInfo:
    """What the cache holds, from the largest entry to the smallest."""
    root = cache_folder(cache)
    entries = []
    for path in sorted((root / _LAYOUT).glob(f"*/{ABOUT_FILE}")):
        # Something else's about.json, or one of a later version, is no entry.
        with suppress(ValueError, TypeError, OSError):
            about = About(**json.loads(path.read_text()))
            table = feature_table(root, about)
            size = sum(file.stat().st_size for file in path.parent.glob(f"*{SHARD_SUFFIX}"))
            entries.append(CacheEntry(about.backbone, about.transform, len(table), size))
    size = sum(file.stat().st_size for file in _our_files(root))
    return CacheInfo(root, tuple(sorted(entries, key=lambda entry: -entry.size_bytes)), size)


def clear_cache(cache: str | os.PathLike[str] = "default") -> int:
    """Remove everything that this package cached, and nothing else; returns the bytes freed.

    Raises:
        OutputError: a file cannot be removed.
    """
    root = cache_folder(cache)
    freed = 0
    for path in _our_files(root):
        try:
            size = path.stat().st_size
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} cannot be removed from the cache: {error.strerror or error}") from error
        freed += size
    for folder in [*(root / _LAYOUT).glob("*/"), root / _LAYOUT]:
        with suppress(OSError):  # not there, or with something in it that is not ours
            folder.rmdir()
    return freed


def _our_files(root: Path) -> list[Path]:
    names = (f"*/*{SHARD_SUFFIX}", f"*/{ABOUT_FILE}", f"*/{TEMPORARY_PREFIX}*")
    return [path for pattern in names for path in (root / _LAYOUT).glob(pattern)]
