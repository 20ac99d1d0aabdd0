"""What a method is given of pictures, in each place where it meets them: before training, in training, in prediction.

All doors make a method's input here, so that what a method reads is decided in one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vlprompt.features import FeatureExtractor, TrainingFeatures
    from vlprompt.methods.method import Method
    from vlprompt.recipes import TrainingSettings


def training_inputs(
    method: Method, images: Sequence[Any], extractor: FeatureExtractor, settings: TrainingSettings
) -> tuple[TrainingFeatures, list[int]]:
    """The stream of augmented inputs, epoch by epoch, and the places of the images that can be read."""
    from vlprompt.features import training_features

    return training_features(extractor, images, settings)


def test_inputs(method: Method, images: Sequence[Any], extractor: FeatureExtractor) -> tuple[Tensor, np.ndarray]:
    """The inputs (k, ...) of the images that can be read, under the test transform, and their places (k,)."""
    import torch

    extracted = extractor.extract(images)
    return torch.from_numpy(extracted.values), extracted.kept
