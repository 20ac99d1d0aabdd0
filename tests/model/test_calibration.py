from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vlprompt.model.calibration import BINS, calibration_of, pooled


def logits_of(*confidences: float) -> torch.Tensor:
    """Two classes, of which the first one has these probabilities."""
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in confidences])


def test_the_error_is_the_mean_gap_between_accuracy_and_confidence_of_the_bins():
    made = calibration_of(logits_of(0.9, 0.9, 0.9, 0.6), np.array([True, True, False, True]))
    # Three pictures at 90% of which two are right, one at 60% that is right.
    assert made.error == pytest.approx((3 * abs(90 - 200 / 3) + 1 * abs(60 - 100)) / 4, abs=1e-4)
    assert sum(made.pictures) == 4
    assert (made.pictures[math.ceil(0.9 * BINS) - 1], made.correct[math.ceil(0.9 * BINS) - 1]) == (3, 2)


def test_certainty_and_a_guess_have_bins_of_their_own():
    made = calibration_of(torch.tensor([[1000.0, 0.0], [0.0, 0.0]]), np.array([True, False]))
    assert (made.pictures[-1], made.confidence[-1], made.pictures[math.ceil(0.5 * BINS) - 1]) == (1, 100.0, 1)


def test_pooling_is_the_same_as_naming_all_pictures_together():
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    right = np.arange(50) % 3 == 0
    whole, parts = calibration_of(logits, right), [calibration_of(logits[i::2], right[i::2]) for i in range(2)]
    together = pooled(parts)
    assert (together.pictures, together.correct) == (whole.pictures, whole.correct)
    assert together.error == pytest.approx(whole.error)
    assert together.confidence == pytest.approx(whole.confidence)
