"""Opening images: whatever Pillow opens becomes upright RGB of 8 bits, or one sentence that says why not.

Transparency is laid on white. Grey of more than 8 bits is scaled, not clipped. Of an animation the first frame counts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, cast

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from vlprompt.data.samples import ComposedImage, Sample
from vlprompt.errors import DataError, UnreadableImageError

ImageSource: TypeAlias = "str | Path | Image.Image | np.ndarray[Any, Any] | ComposedImage"


def open_image(source: ImageSource) -> Image.Image:
    """The image as RGB, upright.

    Args:
        source: a path, a Pillow image, a uint8 array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a
            `ComposedImage`.

    Raises:
        UnreadableImageError: a `DataError` that names the file and why it cannot be read: missing, empty, truncated,
            no image, too large for Pillow's limit, or an array of another type or shape.
    """
    if isinstance(source, (str, Path)):
        return _open_file(Path(source))
    try:
        if isinstance(source, Image.Image):
            return to_rgb(source)
        if isinstance(source, np.ndarray):
            return to_rgb(_from_array(source))
        if is_composed(source):
            return to_rgb(source.open())
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of error on damaged data
        raise UnreadableImageError(describe(source), _reason(error)) from error
    raise UnreadableImageError(
        describe(source), "it is neither a path, a Pillow image, a uint8 array nor a composed image."
    )


def image_key(source: ImageSource) -> str:
    """What determines the image, as 40 hex digits: the bytes of a file, the pixels of an image or array.

    Two sources with the same key look the same; the same picture as a file and as an array has two keys.

    Raises:
        UnreadableImageError: the source cannot be read; a file is read but not decoded.
    """
    digest = hashlib.blake2b(digest_size=20)
    if isinstance(source, (str, Path)):
        try:
            digest.update(Path(source).read_bytes())
        except OSError as error:
            raise UnreadableImageError(str(source), _reason(error)) from error
    elif is_composed(source):
        digest.update(f"composed {source.content_key}".encode())
    else:
        image = open_image(source)
        digest.update(f"pixels {image.width} {image.height} ".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


def describe(source: object, index: int | None = None) -> str:
    """A few words by which a user recognises an image: its path, or `image 12 (array)` for the one at place 12."""
    if isinstance(source, (str, Path)):
        return str(source)
    kinds = ((Image.Image, "Pillow image"), (np.ndarray, "array"))
    other = "composed" if is_composed(source) else type(source).__name__
    kind = next((words for known, words in kinds if isinstance(source, known)), other)
    return f"an image ({kind})" if index is None else f"image {index} ({kind})"


def find_unreadable(samples: Iterable[Sample], progress: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """Decodes every image and says which cannot be read.

    Args:
        progress: called after each image with the number checked and the number of all.

    Returns:
        The reason by image (`describe`), in the order of the samples; empty when all can be read.
    """
    images = [sample.image for sample in samples]
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for index, reason in enumerate(threads.map(_why_unreadable, images)):
            if reason is not None:
                failures[describe(images[index], index)] = reason
            if progress is not None:
                progress(index + 1, len(images))
    return failures


def to_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode as upright RGB of 8 bits.

    Raises:
        DataError: it has no pixels.
        Exception: whatever Pillow raises when it cannot be decoded.
    """
    if 0 in image.size:
        raise DataError(f"it has no pixels ({image.width} x {image.height}).")
    image.load()
    image = _upright(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    elif image.mode == "LAB":
        image = _lab_to_rgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def is_composed(source: object) -> TypeGuard[ComposedImage]:
    """Whether it opens itself; unlike `isinstance`, this does not compute the content key."""
    others = (str, Path, Image.Image, np.ndarray)
    return not isinstance(source, others) and callable(getattr(type(source), "open", None))


def _open_file(path: Path) -> Image.Image:
    try:
        if path.stat().st_size == 0:
            raise UnreadableImageError(str(path), "it is empty (0 bytes).")
        with Image.open(path) as image:
            return to_rgb(image)
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of error on damaged files
        raise UnreadableImageError(str(path), _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file."
    if isinstance(error, IsADirectoryError):
        return "it is a folder."
    if isinstance(error, PermissionError):
        return "its permissions forbid reading it."
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of any format that Pillow knows."
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * cast(int, Image.MAX_IMAGE_PIXELS) / 1e6
        return f"it has more than {limit:.0f} million pixels, Pillow's limit against decompression bombs."
    text = str(error).strip().rstrip(".") or type(error).__name__
    return f"it is damaged or cut short ({text})."


def _why_unreadable(source: ImageSource) -> str | None:
    try:
        open_image(source)
    except UnreadableImageError as error:
        return error.reason
    return None


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    usable = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if array.dtype != np.uint8 or not usable or 0 in shape:
        raise UnreadableImageError(
            describe(array),
            f"it has type {array.dtype} and shape {array.shape}; it must be uint8 of shape (H, W), (H, W, 3) or "
            "(H, W, 4).",
        )
    return Image.fromarray(np.ascontiguousarray(array.reshape(shape)))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; damaged EXIF data says nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats, scaled to 0..255.

    Integers up to 65535 are taken as 16 bits and floats up to 1 as a fraction of white, whatever the picture's
    brightest pixel; other ranges are stretched between the darkest and the brightest pixel.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = values.min(initial=0), values.max(initial=0)
    white = 65535.0 if image.mode != "F" else 1.0 if high <= 1 else 255.0
    if low < 0 or high > white:
        values, white = values - values.min(), max(values.max() - values.min(), 1e-12)
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from_lab = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return cast(Image.Image, ImageCms.applyTransform(image, from_lab))
