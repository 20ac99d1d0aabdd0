"""Many classes: score all by the expansion, encode the few best exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import DataError, MethodError, SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.output import ScreenedPath
from vlprompt.progress import OnProgress
from vlprompt.screening.expansion import Expansion, candidates_needed, expand

AGREEMENT = 0.999
"""Share of training images whose exact winner must be among the candidates, by default."""

IMAGES_AT_ONCE = 64

MARGIN = 1
"""Candidates beyond those that the calibration images needed: a few hundred images cannot show one in a thousand."""


@dataclass(frozen=True, eq=False)
class Screen:
    """An expansion of a fitted method's class features, with how many candidates it needs.

    Attributes:
        expansion: of the method's classes, in their order.
        candidates: k, the classes encoded exactly for each image.
        agreement: the share of the calibration images whose exact winner is among their candidates, `MARGIN` of these
            not counted.
        images: how many calibration images there were.
    """

    expansion: Expansion
    candidates: int
    agreement: float
    images: int


@torch.no_grad()
def calibrate(
    method: Method,
    path: ScreenedPath,
    image_features: Tensor,
    agreement: float = AGREEMENT,
    on_progress: OnProgress | None = None,
) -> Screen:
    """Expand the method's class features and measure on training images how many candidates they need.

    Args:
        path: that the method declares.
        image_features: of training images, (n, E).
        agreement: share of them, up to 1, whose exact winner must be among the candidates.
        on_progress: called with how often all classes have been encoded, and how often they will be.

    Raises:
        DataError: no images.
        SettingsError: an agreement outside (0, 1].
        MethodError: the path gives other logits than the method.
    """
    if not len(image_features):
        raise DataError("screening is calibrated on training images, and there are none.")
    if not 0 < agreement <= 1:
        raise SettingsError(f"agreement is {agreement}; it must be above 0 and at most 1.")
    images = method.encode_images(image_features)
    hidden = path.activation(images)
    total, done = len(images) + 2 * hidden.shape[1] + 1, 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    def encode(some: Tensor) -> Tensor:
        features = path.class_features(some)
        told(len(some))
        return features

    expansion = expand(encode, hidden)
    exact = []
    for batch in image_features.split(IMAGES_AT_ONCE):
        exact.append(method.predict_logits(batch).argmax(1))
        told(len(batch))
    winners = torch.cat(exact).to(images.device)
    _check_path(method, path, image_features[:1])
    needed, reached = candidates_needed(expansion.scores(images, hidden), winners, agreement)
    return Screen(expansion, min(needed + MARGIN, len(method.class_names)), reached, len(images))


def _check_path(method: Method, path: ScreenedPath, images: Tensor) -> None:
    """Raise MethodError where the path gives other logits than the method: it would be screened into wrong answers."""
    encoded = method.encode_images(images)
    declared = method.output(encoded, path.class_features(path.activation(encoded))).logits
    own = method(images).logits
    # Batches are laid out otherwise, so that the last digits differ; exp(s) of 100 leaves 1e-2 of single precision's.
    if not torch.allclose(declared, own, rtol=1e-3, atol=1e-2):
        raise MethodError(
            f"screening of the method {type(method).__name__} gives class features whose logits differ from those of "
            f"its forward by {float((declared - own).abs().max()):.3g}; they must be the same."
        )


@torch.no_grad()
def screened_logits(
    method: Method, path: ScreenedPath, screen: Screen, image_features: Tensor, batch_size: int = IMAGES_AT_ONCE
) -> tuple[Tensor, Tensor]:
    """Logits of all classes, exact for each image's candidates.

    Args:
        image_features: (n, E).

    Returns:
        Logits (n, N) and which of them are exact (n, N). The others are first-order approximations, all of them below
        the best exact one, so that the winner is always an encoded class.
    """
    logits, exact = [], []
    for batch in image_features.split(batch_size):
        approximate, encoded = _screened_batch(method, path, screen, batch)
        logits.append(approximate.cpu())
        exact.append(encoded.cpu())
    return torch.cat(logits), torch.cat(exact)


def _screened_batch(
    method: Method, path: ScreenedPath, screen: Screen, image_features: Tensor
) -> tuple[Tensor, Tensor]:
    images = method.encode_images(image_features)
    numbers = path.activation(images)
    cosines = screen.expansion.scores(images, numbers)
    best = cosines.topk(screen.candidates, dim=1).indices  # (B, k)
    features = F.normalize(path.features_of(numbers, best), dim=-1)
    true_cosines = torch.einsum("be,bke->bk", images, features)
    approximate, exact = method.scaled(cosines), method.scaled(true_cosines)
    # Below the best exact logit, not at it: of equal logits the first class would win, encoded or not. The step down is
    # one of single precision, the type of the logits that are returned.
    winner = exact.max(1, keepdim=True).values.float()
    below = torch.nextafter(winner, torch.full_like(winner, float("-inf")))
    logits = approximate.minimum(below.to(approximate.dtype)).scatter(1, best, exact)
    return logits, torch.zeros_like(logits, dtype=torch.bool).scatter(1, best, True)
