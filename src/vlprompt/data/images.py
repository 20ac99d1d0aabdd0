"""Opening images: whatever a caller has becomes upright RGB of 8 bits, or one sentence that says why not.

Transparency is laid on white. Grey of more than 8 bits is scaled, not clipped. Of an animation the first frame counts.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeGuard, cast

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from vlprompt.data.apart import PictureProcess
from vlprompt.data.arrays import picture_of
from vlprompt.data.decoding import check_memory, is_quiet, no_picture_reason, open_bounded
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import ComposedImage, EncodedImage, Sample
from vlprompt.data.turns import turn_for
from vlprompt.data.upright import bands, to_rgb
from vlprompt.errors import DataError, UnreadableImageError
from vlprompt.files import open_regular

ImageSource: TypeAlias = "str | Path | Image.Image | np.ndarray[Any, Any] | EncodedImage | ComposedImage"

MOST_HASHED_BYTES = 4_000_000_000
"""A file with more is no picture, whatever it is."""

_HASHED_AT_ONCE = 1 << 20
_SAMPLED_PIXELS = 1_000_000
_MOST_THREADS = 8
_CHECKED_TOGETHER = 16


def open_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image as RGB, upright; one of more than 64 million pixels is shrunk by a whole number.

    Args:
        source: a path, a Pillow image, an array (see `data.arrays`), the bytes of a file, or a `ComposedImage`.
        max_pixels: bounds the memory that decoding takes, 8 bytes for each; see `data.decoding`.

    Raises:
        UnreadableImageError: a `DataError` that names the file and why it cannot be read: missing, empty, truncated,
            no image, no regular file, too large, or an array of other values or another shape.
    """
    with _named_errors(source):
        if isinstance(source, (str, Path)):
            with open_regular(source) as file:
                return _open_file(file, max_pixels)
        if isinstance(source, EncodedImage):
            return _open_file(io.BytesIO(source.data), max_pixels)
        if isinstance(source, Image.Image):
            if isinstance(source, ImageFile.ImageFile) and source.tile:  # not decoded yet
                check_memory(source, max_pixels)
            return to_rgb(source)
        if isinstance(source, np.ndarray):
            return to_rgb(Image.fromarray(np.ascontiguousarray(picture_of(source))))
        if is_composed(source):
            return to_rgb(source.open())
    raise UnreadableImageError(
        describe(source), "it is neither a path, a Pillow image, an array, encoded bytes nor a composed image."
    )


def image_key(source: ImageSource) -> str:
    """What determines the image, as 40 hex digits: the bytes of a file, the pixels of an image or array.

    Two sources with the same key look the same; the same picture as a file and as an array has two keys.

    Raises:
        UnreadableImageError: the source cannot be read; a file is read but not decoded.
    """
    if isinstance(source, (str, Path)):
        with _named_errors(source), open_regular(source) as file:
            return _file_key(file)
    if isinstance(source, EncodedImage):
        return hashlib.blake2b(source.data, digest_size=20).hexdigest()
    if is_composed(source):
        return hashlib.blake2b(f"composed {source.content_key}".encode(), digest_size=20).hexdigest()
    return pixel_key(open_image(source))


def pixel_key(image: Image.Image) -> str:
    """What an opened image shows, as 40 hex digits: the same however it was stored."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(f"pixels {image.width} {image.height} ".encode())
    for band in bands(image):
        digest.update(band.tobytes())
    return digest.hexdigest()


def sampled_pixel_key(image: Image.Image) -> str:
    """A quick `pixel_key`: of a picture of more than a million pixels, every k-th in every k-th row stands for all.

    For what must only be the same for the same pixels, such as the seed of random crops: hashing twelve million pixels
    takes longer than decoding them.
    """
    step = math.isqrt(image.width * image.height // _SAMPLED_PIXELS)
    if step <= 1:
        return pixel_key(image)
    size = (-(-image.width // step), -(-image.height // step))
    return pixel_key(image.resize(size, Image.Resampling.NEAREST))


def describe(source: object, index: int | None = None) -> str:
    """A few words by which a user recognises an image: its path, or `image 12 (array)` for the one at place 12."""
    if isinstance(source, (str, Path)):
        return str(source)
    if isinstance(source, EncodedImage) and source.name:
        return source.name
    kinds = ((Image.Image, "Pillow image"), (np.ndarray, "array"), (EncodedImage, "bytes"))
    other = "composed" if is_composed(source) else type(source).__name__
    kind = next((words for known, words in kinds if isinstance(source, known)), other)
    return f"an image ({kind})" if index is None else f"image {index} ({kind})"


def find_unreadable(
    samples: Iterable[Sample], progress: Callable[[int, int], None] | None = None, max_pixels: int = MAX_PIXELS
) -> dict[str, str]:
    """Decodes every image and says which cannot be read.

    Args:
        progress: called after each image with the number checked and the number of all.

    Returns:
        The reason by image (`describe`), in the order of the samples; empty when all can be read.
    """
    images = [sample.image for sample in samples]
    parts = [images[start : start + _CHECKED_TOGETHER] for start in range(0, len(images), _CHECKED_TOGETHER)]
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        found = threads.map(lambda part: _reasons(part, max_pixels), parts)
        for index, reason in enumerate(reason for part in found for reason in part):
            if reason is not None:
                failures[describe(images[index], index)] = reason
            if progress is not None:
                progress(index + 1, len(images))
    return failures


def is_composed(source: object) -> TypeGuard[ComposedImage]:
    """Whether it opens itself; unlike `isinstance`, this does not compute the content key."""
    others = (str, Path, Image.Image, np.ndarray, EncodedImage)
    return not isinstance(source, others) and callable(getattr(type(source), "open", None))


def needs_room(source: ImageSource) -> TypeGuard[str | Path | EncodedImage]:
    """Whether it is to be opened in a process of its own (`data.apart`) where a model is loaded."""
    if isinstance(source, EncodedImage):
        return not is_quiet(io.BytesIO(source.data))
    if not isinstance(source, (str, Path)):
        return False
    try:
        with open_regular(source) as file:
            return not is_quiet(file)
    except (OSError, ValueError):  # opening it again says what is wrong
        return False


def decodes(source: ImageSource, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Opens the image and throws it away: (0,) uint8, which another process can send."""
    open_image(source, max_pixels)
    return np.empty(0, np.uint8)


def _open_file(file: BinaryIO, max_pixels: int) -> Image.Image:
    if not file.read(1):
        raise DataError("it is empty (0 bytes).")
    file.seek(0)
    try:
        image, takes = open_bounded(file, max_pixels)
    except UnidentifiedImageError:
        raise DataError(no_picture_reason(file)) from None
    with turn_for(takes), image:
        return to_rgb(image)


def _file_key(file: BinaryIO) -> str:
    digest = hashlib.blake2b(digest_size=20)
    read = 0
    while part := file.read(_HASHED_AT_ONCE):
        digest.update(part)
        read += len(part)
        if read > MOST_HASHED_BYTES:
            raise DataError(f"the file has more than {MOST_HASHED_BYTES / 1e6:,.0f} MB.")
    return digest.hexdigest()


def _reasons(images: Sequence[ImageSource], max_pixels: int) -> list[str | None]:
    """Why each image cannot be read; None for those that can."""
    with PictureProcess(max_pixels) as apart:
        return [_why_unreadable(image, apart) for image in images]


def _why_unreadable(source: ImageSource, apart: PictureProcess) -> str | None:
    try:
        if needs_room(source):
            apart.call(decodes, source)
        else:
            open_image(source, apart.max_pixels)
    except UnreadableImageError as error:
        return error.reason
    return None


@contextmanager
def _named_errors(source: ImageSource) -> Iterator[None]:
    """What goes wrong with a source becomes an UnreadableImageError that names it."""
    try:
        yield
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of error on damaged files
        raise UnreadableImageError(describe(source), _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file."
    if isinstance(error, IsADirectoryError):
        return "it is a folder."
    if isinstance(error, PermissionError):
        return "its permissions forbid reading it."
    if isinstance(error, MemoryError):
        return "it takes more memory to decode than is allowed."
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * cast(int, Image.MAX_IMAGE_PIXELS) / 1e6
        return f"it has more than {limit:.0f} million pixels, Pillow's limit against decompression bombs."
    if isinstance(error, OSError) and error.errno == errno.EINVAL and error.strerror:
        return f"{error.strerror}."  # no regular file
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be opened ({(error.strerror or str(error)).lower()})."
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"it is damaged or cut short ({text:.200})."
