"""A data set in 40 hex digits, so that a result says what it was computed on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vlprompt.data.images import image_key
from vlprompt.data.samples import Sample
from vlprompt.errors import UnreadableImageError


def dataset_fingerprint(
    samples: Iterable[Sample],
    class_words: Mapping[str, str] | None = None,
    keys_of: Callable[[list[str]], Iterable[str]] | None = None,
) -> str:
    """Follows the images, labels, class names and their words, and the order of the samples.

    An image stands by its `image_key`, which for a file follows the bytes; all files are read once. A file stands also
    by its place below the folder that all files share, which is the same when the whole folder moves.

    Args:
        keys_of: gives the keys of files by their paths, where that need not be by reading them.
    """
    samples, words = list(samples), class_words or {}
    paths = [os.path.abspath(sample.image) for sample in samples if isinstance(sample.image, (str, Path))]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    digest = hashlib.blake2b(digest_size=20)
    keys = iter((keys_of or _content_keys)(paths))
    for sample in samples:
        image = sample.image
        key = f"{_place(image, shared)} {next(keys)}" if isinstance(image, (str, Path)) else image_key(image)
        said = f"\t{words[sample.class_name]}" if sample.class_name in words else ""
        # File names that are not UTF-8 are text with lone surrogates in Python.
        digest.update(f"{key}\t{sample.label}\t{sample.class_name}{said}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _content_keys(paths: list[str]) -> list[str]:
    """The key of each file, in order; hashing lets threads run beside each other."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        return list(threads.map(_content_key, paths))


def _content_key(path: str) -> str:
    try:
        return image_key(path)
    except UnreadableImageError:
        return "unreadable"  # it is reported where images are decoded


def _place(path: str | Path, shared: str) -> str:
    return Path(os.path.relpath(os.path.abspath(path), shared)).as_posix()
