"""What callers call images, as a list of sources that can be opened one by one.

Taken are lists, tuples, generators and other ordered collections of paths, Pillow images, arrays, PyTorch tensors, the
bytes of picture files, files that are open for reading, and what Hugging Face data sets have in an image column; arrays
and tensors of several pictures, (B, H, W, C), (B, C, H, W) or (B, H, W); a pandas Series, and a DataFrame or array of
one column. One picture alone is refused, because a list of pictures is what comes back for a list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from vlprompt.data.arrays import SHAPES_RULE, channels_last, has_channels
from vlprompt.data.images import describe, is_composed
from vlprompt.data.limits import FILE_BYTES_A_PIXEL, MAX_PIXELS
from vlprompt.data.samples import ComposedImage, EncodedImage
from vlprompt.errors import DataError

Source: TypeAlias = "Path | Image.Image | np.ndarray[Any, Any] | EncodedImage | ComposedImage"

MOST_ENCODED_BYTES = FILE_BYTES_A_PIXEL * MAX_PIXELS

ITEMS_RULE = (
    "it must be a path, a Pillow image, an array, a tensor, the bytes of a picture file, or a file open for reading"
)


def image_list(images: Any) -> list[Source]:
    """The images one by one; nothing is opened, but open files are read.

    Raises:
        DataError: it is one image, has no order, has several columns, or one of its items is no image.
    """
    _refuse_one_image(images)
    if _is_tensor(images):
        images = _pictures_of_array(channels_last(_array_of(images)))
    elif isinstance(images, np.ndarray):
        images = _pictures_of_array(images)
    elif hasattr(images, "iloc") or _is_frame(images):
        images = _column(images)
    elif isinstance(images, AbstractSet):
        raise DataError("images is a set, which has no order; give a list of images.")
    elif isinstance(images, Mapping) or (not isinstance(images, Iterable) and not hasattr(images, "__getitem__")):
        raise DataError(f"images is a {type(images).__name__}; it must be a list of images.")
    return [_source(image, place) for place, image in enumerate(images)]


def _refuse_one_image(images: Any) -> None:
    what = None
    if isinstance(images, (str, os.PathLike)):
        what = f"one path, {str(images)!r:.200}"
    elif isinstance(images, (bytes, bytearray, memoryview)):
        what = "one picture as bytes"
    elif isinstance(images, Image.Image):
        what = "one picture"
    elif hasattr(images, "read"):
        what = "one open file"
    elif isinstance(images, Mapping) and images.keys() <= {"bytes", "path"} and images:
        what = "one picture of a Hugging Face data set"
    elif isinstance(images, EncodedImage) or (is_composed(images) and not isinstance(images, Iterable)):
        what = "one picture"
    if what is not None:
        raise DataError(f"images is {what}; it must be a list of images, such as [image].")


def _pictures_of_array(array: np.ndarray[Any, Any]) -> Iterable[Any]:
    """The pictures of an array of several, or the items of an array of paths and the like."""
    if array.shape == (0,):  # np.array([])
        return []
    if array.dtype.kind in "OUS":
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise DataError(f"images is an array of {array.ndim} axes, {array.shape}; of paths it must be one column.")
        return array.tolist()
    if array.ndim == 2 or has_channels(array.shape):
        raise DataError(
            f"images is one picture, an array of shape {array.shape}; it must be a list of images, such as [image] "
            "(several grey ones: list(images))."
        )
    if (array.ndim == 4 and has_channels(array.shape[1:])) or array.ndim == 3:
        return list(array)
    raise DataError(f"images is an array of shape {array.shape}; it must be several pictures, each {SHAPES_RULE}.")


def _column(frame: Any) -> Iterable[Any]:
    """The values of a Series, or of a DataFrame with one column."""
    if hasattr(frame, "columns"):
        if len(frame.columns) != 1:
            named = ", ".join(map(repr, list(frame.columns)[:8]))
            raise DataError(
                f"images is a DataFrame with {len(frame.columns)} columns ({named:.200}); give one, such as "
                "frame['path']."
            )
        frame = frame.iloc[:, 0] if hasattr(frame, "iloc") else frame[frame.columns[0]]
    values: list[Any] = frame.tolist() if hasattr(frame, "tolist") else list(frame)
    return values


def _is_frame(images: Any) -> bool:
    """Whether it is a DataFrame of another package than pandas, such as polars."""
    columns = getattr(images, "columns", None)
    return isinstance(columns, list) and all(isinstance(name, str) for name in columns)


def _source(image: Any, place: int) -> Source:
    if isinstance(image, (str, os.PathLike)):
        return Path(os.fspath(image))
    if isinstance(image, (Image.Image, np.ndarray, EncodedImage)) or (
        is_composed(image) and not hasattr(image, "read")
    ):
        return image
    if isinstance(image, (bytes, bytearray, memoryview)):
        return EncodedImage(bytes(image))
    if isinstance(image, Mapping) and image.keys() & {"bytes", "path"}:
        return _hugging_face_image(image, place)
    if hasattr(image, "read"):
        return _read_file(image, place)
    if _is_tensor(image):
        return channels_last(_array_of(image))
    if hasattr(image, "__array__") and not np.isscalar(image):
        return np.asarray(image)
    raise DataError(f"{describe(image, place)} cannot be used; {ITEMS_RULE}.")


def _hugging_face_image(image: Mapping[str, Any], place: int) -> Source:
    """An undecoded image of a Hugging Face data set: its bytes, or where they are."""
    content, path = image.get("bytes"), image.get("path")
    if isinstance(content, (bytes, bytearray)):
        return EncodedImage(bytes(content), str(path or ""))
    if isinstance(path, str):
        return Path(path)
    raise DataError(f"image {place} has neither bytes nor a path; {ITEMS_RULE}.")


def _read_file(file: Any, place: int) -> EncodedImage:
    name = getattr(file, "name", "")
    try:
        content = file.read(MOST_ENCODED_BYTES + 1)
        if not content and file.seekable() and file.tell() > 0:
            # Whoever has just written it, or read it once already, has left it at its end.
            file.seek(0)
            content = file.read(MOST_ENCODED_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"image {place} is an open file that cannot be read ({error!s:.200}).") from error
    if not isinstance(content, bytes):
        raise DataError(f"image {place} is a file that is open for text; open it with open(path, 'rb').")
    if len(content) > MOST_ENCODED_BYTES:
        raise DataError(f"image {place} is an open file with more than {MOST_ENCODED_BYTES / 1e6:,.0f} MB.")
    return EncodedImage(content, name if isinstance(name, str) else "")


def _is_tensor(image: Any) -> bool:
    """Whether it is a PyTorch tensor; torch is not imported for the question."""
    return hasattr(image, "detach") and hasattr(image, "cpu") and hasattr(image, "numpy")


def _array_of(tensor: Any) -> np.ndarray[Any, Any]:
    values = tensor.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":  # NumPy has none
        values = values.float()
    array: np.ndarray[Any, Any] = values.numpy()
    return array
