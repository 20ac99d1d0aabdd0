"""Weights of pictures, as scikit-learn hands them to `fit` and `score`."""

from __future__ import annotations

from typing import Any

import numpy as np

from vlprompt.errors import DataError
from vlprompt.settings_checks import shown


def checked_weights(weights: Any, count: int) -> np.ndarray:
    """The weights as numbers (n,).

    Raises:
        DataError: they are not one finite number of at least 0 for each of `count` images, or all 0.
    """
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight is {shown(weights)}; it must be a number for each image.") from error
    if values.ndim == 0:
        values = np.full(count, float(values))
    if values.shape != (count,):
        raise DataError(
            f"sample_weight has the shape {values.shape}; there must be one weight for each of {count} images."
        )
    wrong = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(wrong):
        raise DataError(f"sample_weight[{wrong[0]}] is {values[wrong[0]]}; weights must be at least 0.")
    if not values.any():
        raise DataError("sample_weight is 0 for every image (all weights are zero); at least one must be above 0.")
    return values


def check_weights(weights: Any, count: int, *, uses_pictures: bool) -> None:
    """Check weights that a method is fitted with.

    Args:
        uses_pictures: whether it is trained; the published loss weighs all images alike, so other weights would train
            something else, while what learns nothing ignores them.

    Raises:
        DataError: as `checked_weights`, or the weights differ and the method learns.
    """
    values = checked_weights(weights, count)
    # Up to rounding: equal weights that were normalised may differ in their last digits.
    if uses_pictures and not np.allclose(values, values[0], rtol=1e-6, atol=0):
        raise DataError(
            f"sample_weight has different weights ({values.min():g} to {values.max():g}), but the published loss "
            "weighs all images alike; leave it out, or give rare classes as many images as others with `shots`."
        )
