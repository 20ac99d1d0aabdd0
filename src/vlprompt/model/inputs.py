"""What a method is given of pictures, in each place where it meets them: before training, in training, in prediction.

All doors make a method's input here, so that what a method reads is decided in one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vlprompt.features import EvaluationPixels, FeatureExtractor, TrainingFeatures, TrainingPixels
    from vlprompt.methods.method import Method
    from vlprompt.recipes import TrainingSettings


def training_inputs(
    method: Method, images: Sequence[Any], extractor: FeatureExtractor, settings: TrainingSettings
) -> tuple[TrainingFeatures | TrainingPixels, list[int]]:
    """The stream of augmented inputs, epoch by epoch, and the places of the images that can be read."""
    from vlprompt.features import TrainingPixels, training_features

    if method.reads == "pixels":
        pixels = TrainingPixels(extractor, images, settings.seed, settings.views)
        return pixels, pixels.kept.tolist()
    return training_features(extractor, images, settings)


def test_inputs(
    method: Method, images: Sequence[Any], extractor: FeatureExtractor
) -> tuple[Tensor | EvaluationPixels, np.ndarray]:
    """The inputs of the images that can be read, under the test transform, and their places (k,).

    Features (k, E), or pixels, of which only a batch is at hand at a time.
    """
    from vlprompt.features import EvaluationPixels

    if method.reads == "pixels":
        pixels = EvaluationPixels(extractor, images)
        return pixels, pixels.kept
    return frozen_features(images, extractor)


def frozen_features(images: Sequence[Any], extractor: FeatureExtractor) -> tuple[Tensor, np.ndarray]:
    """The frozen encoder's features (k, E) of the images that can be read, and their places (k,)."""
    import torch

    extracted = extractor.extract(images)
    return torch.from_numpy(extracted.values), extracted.kept
