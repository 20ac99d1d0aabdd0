"""Arrays as pictures: one rule for the values, one for the axes.

Values: whole numbers from 0 to 255, or floats from 0 to 1 (black to white), or, where a float above 1 is among them,
from 0 to 255. Anything else is refused.

Axes: a picture is (H, W), (H, W, C) or (C, H, W) with C of 1, 3 or 4. Where both ends could be C, as in (3, 224, 3), an
array has its channels last, and a PyTorch tensor first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vlprompt.errors import DataError

CHANNELS = (1, 3, 4)

VALUES_RULE = "whole numbers must be 0 to 255, floats 0 to 1 or 0 to 255"
SHAPES_RULE = "of shape (H, W), (H, W, C) or (C, H, W) with C of 1, 3 or 4"


def picture_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One picture as uint8 of shape (H, W), (H, W, 3) or (H, W, 4).

    Raises:
        DataError: it has another shape or values, or no pixels; the sentence has the rule.
    """
    is_picture = array.ndim == 2 or (array.ndim == 3 and has_channels(array.shape))
    if not is_picture or 0 in array.shape or array.dtype.kind not in "uif":
        raise DataError(
            f"it has type {array.dtype} and shape {array.shape}; it must be numbers {SHAPES_RULE} ({VALUES_RULE})."
        )
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return _eight_bits(array)


def has_channels(shape: tuple[int, ...]) -> bool:
    """Whether the last or the first of three axes could be the channels."""
    return len(shape) == 3 and (shape[2] in CHANNELS or shape[0] in CHANNELS)


def channels_last(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A tensor's picture (..., C, H, W) as (..., H, W, C), where its channels are first; else as it is."""
    return np.moveaxis(array, -3, -1) if array.ndim >= 3 and array.shape[-3] in CHANNELS else array


def _eight_bits(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # NaN neither
        raise DataError(f"its values are from {low:.4g} to {high:.4g}; {VALUES_RULE}.")
    if array.dtype.kind != "f":
        return array.astype(np.uint8)
    return np.rint(array * (255 if high <= 1 else 1)).astype(np.uint8)
