"""How far a classifier's probabilities can be taken at their word (Guo et al. 2017, arXiv 1706.04599).

Of the pictures that are named with a confidence of about 80%, about 80% should be named right. Bins of equal width over
the confidence of the best class, p(y | x) = max softmax(logits), hold both; their mean difference is the expected
calibration error, and a reliability diagram shows them beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
"""As published."""


@dataclass(frozen=True)
class Calibration:
    """The bins of a reliability diagram, from the least confident to the most.

    Attributes:
        error: the expected calibration error (ECE) in points: the mean over the pictures of |accuracy - confidence| of
            their bins.
        pictures: how many are in each bin.
        correct: how many of them were named right.
        confidence: their mean confidence in percent; 0 in an empty bin.
    """

    error: float
    pictures: tuple[int, ...]
    correct: tuple[int, ...]
    confidence: tuple[float, ...]

    @classmethod
    def of_bins(cls, pictures: np.ndarray, correct: np.ndarray, sums: np.ndarray) -> Calibration:
        """What bins with sums of confidences, each between 0 and 1, amount to."""
        error = 100 * float(np.abs(correct - sums).sum() / pictures.sum())
        confidence = 100 * sums / np.maximum(pictures, 1)
        return cls(error, tuple(pictures.tolist()), tuple(correct.tolist()), tuple(confidence.tolist()))


def calibration_of(logits: Tensor, right: np.ndarray) -> Calibration:
    """The calibration of logits (n, N), whose best class is right or not (n,)."""
    # Of the best class alone, so that no second array (n, N) is made.
    confidence = (logits.amax(dim=1) - logits.logsumexp(dim=1)).double().exp().numpy()
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return Calibration.of_bins(
        np.bincount(place, minlength=BINS),
        np.bincount(place[right], minlength=BINS),
        np.bincount(place, weights=confidence, minlength=BINS),
    )


def pooled(calibrations: Iterable[Calibration]) -> Calibration:
    """Several, as if their pictures had been named together."""
    parts = list(calibrations)
    pictures, correct = (np.sum([getattr(part, name) for part in parts], axis=0) for name in ("pictures", "correct"))
    return Calibration.of_bins(
        pictures, correct, np.sum([np.multiply(part.confidence, part.pictures) for part in parts], axis=0) / 100
    )
