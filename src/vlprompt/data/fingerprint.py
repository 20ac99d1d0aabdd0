"""A data set in 40 hex digits, so that a result says what it was computed on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from vlprompt.data.images import image_key
from vlprompt.data.samples import Sample


def dataset_fingerprint(samples: Iterable[Sample]) -> str:
    """Follows the images, labels and class names, and their order.

    A file stands for itself by its place below the folder that all files share and its size: cheap, and the same when
    the whole folder moves. Other images stand by their `image_key`.
    """
    samples = list(samples)
    paths = [os.path.abspath(sample.image) for sample in samples if isinstance(sample.image, (str, Path))]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    digest = hashlib.blake2b(digest_size=20)
    for sample in samples:
        image = sample.image
        key = _file_key(image, shared) if isinstance(image, (str, Path)) else image_key(image)
        digest.update(f"{key}\t{sample.label}\t{sample.class_name}\n".encode())
    return digest.hexdigest()


def _file_key(path: str | Path, shared: str) -> str:
    try:
        size = os.stat(path).st_size
    except OSError:
        size = -1  # a file that is missing is reported where images are read
    return f"{Path(os.path.relpath(os.path.abspath(path), shared)).as_posix()} {size}"
