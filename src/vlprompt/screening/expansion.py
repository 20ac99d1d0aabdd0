"""Screened inference: which classes are worth encoding exactly (ours, beyond the papers).

A method that declares it (`Method.screening`) lets an image x act on its prompts only through a few numbers a(x). In
CoCoOp these are the E/16 of the Meta-Net's hidden activation, in which the context is linear. So the normalised class
feature is a smooth function of few variables and

    g_i(a) ~ g_i(a0) + J_i (a - a0),      score_i(x) = f(x) . g_i(a(x))

where a0 is the mean over the training images. All classes are scored by one matrix product over the numbers
f (x) [1, a - a0]; the k best are then encoded exactly. How large k must be is measured on training images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Encode = Callable[[Tensor], Tensor]
"""Numbers a (b, h) -> class features (b, N, E), not normalised."""

SMALLEST_STEP = 1e-2
"""Step of the differences for an activation that hardly varies; below it rounding would show."""


@dataclass(frozen=True, eq=False)
class Expansion:
    """The class features to first order.

    Attributes:
        center: a0, (h,).
        weights: (N, (1 + h) E): g_i(a0), then the columns of J_i.
    """

    center: Tensor
    weights: Tensor

    def scores(self, image_features: Tensor, hidden: Tensor) -> Tensor:
        """Approximate cosines: image features (B, E), L2-normalised, and activations (B, h) -> (B, N)."""
        moved = torch.cat([torch.ones_like(hidden[:, :1]), hidden - self.center], dim=1)  # (B, 1 + h)
        return (moved[:, :, None] * image_features[:, None]).flatten(1) @ self.weights.T


@torch.no_grad()
def expand(encode: Encode, hidden: Tensor, images_at_once: int = 8) -> Expansion:
    """Expand the class features around the mean of some images' activations, by central differences.

    The step in each activation is its own standard deviation, so that the slope is the one over the range in which
    images lie rather than that at a point.

    Args:
        hidden: activations of training images, (n, h).
        images_at_once: how many activations to encode together.
    """
    center = hidden.mean(0)
    steps = hidden.std(0, unbiased=False).clamp_min(SMALLEST_STEP)
    points = torch.cat([center[None], center + steps.diag(), center - steps.diag()])
    features = torch.cat([F.normalize(encode(some), dim=-1) for some in points.split(images_at_once)])
    at_center, above, below = features.split([1, len(steps), len(steps)])
    slopes = (above - below) / (2 * steps[:, None, None])  # (h, N, E)
    return Expansion(center, torch.cat([at_center, slopes]).transpose(0, 1).flatten(1))


def candidates_needed(scores: Tensor, exact_winners: Tensor, agreement: float) -> tuple[int, float]:
    """How many of the best-scored classes must be encoded so that the exact winner is among them.

    Args:
        scores: approximate scores (n, N).
        exact_winners: labels that exact inference gives, (n,).
        agreement: share of the images, 0 to 1, for which it must be.

    Returns:
        The smallest such number, and the share that it reaches.
    """
    winners = scores.gather(1, exact_winners[:, None])
    ranks = (scores > winners).sum(1)  # 0 where the winner is also first by score
    found = torch.bincount(ranks).cumsum(0)  # images whose winner is among the best 1, 2, ...
    enough = int((found >= math.ceil(agreement * len(ranks) - 1e-9)).int().argmax())
    return enough + 1, int(found[enough]) / len(ranks)
