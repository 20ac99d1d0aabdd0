"""What training sees of the images, epoch by epoch: fresh crops as published, or a fixed number of cached ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vlprompt.data.images import ImageSource
from vlprompt.errors import DataError
from vlprompt.features.extraction import FeatureExtractor
from vlprompt.recipes import TrainingSettings


class TrainingFeatures(Protocol):
    """A stream of image features, one set an epoch."""

    def __len__(self) -> int:
        """n, the number of images."""
        ...

    def epoch(self, epoch: int) -> Tensor:
        """Features (n, E), float32, not normalised, for this epoch, which counts from 0."""
        ...


class CachedViews:
    """k augmented views of each image stand for the endless stream: epoch e sees view e mod k.

    Args:
        values: features of all views, (n, k, E).
    """

    def __init__(self, values: np.ndarray | Tensor) -> None:
        features = torch.as_tensor(np.array(values) if isinstance(values, np.ndarray) else values)
        if features.ndim != 3 or features.shape[1] == 0:
            raise DataError(f"cached views have shape (images, views, features), not {tuple(features.shape)}")
        # One epoch's features lie together.
        self._views = features.transpose(0, 1).contiguous()

    def __len__(self) -> int:
        return self._views.shape[1]

    def epoch(self, epoch: int) -> Tensor:
        """Features (n, E) of view `epoch` mod k."""
        return self._views[epoch % len(self._views)]


class FreshViews:
    """Every image is augmented and encoded anew for every epoch, as published: epoch e sees view number e.

    Views are computed for `ahead` epochs at a time, in whole blocks from epoch 0 on, so that an image is opened once
    for all of them; what an epoch sees does not depend on where training started.

    Args:
        epochs: no view is computed for an epoch from this one on.
        ahead: epochs in a block.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        images: Sequence[ImageSource],
        seed: int,
        *,
        epochs: int | None = None,
        ahead: int = 8,
    ) -> None:
        self._extractor, self._images, self._seed = extractor, images, seed
        self._epochs, self._ahead = epochs, ahead
        self._start = -1
        self._block: CachedViews | None = None
        self._kept: np.ndarray | None = None

    @property
    def kept(self) -> np.ndarray:
        """Places (n,) of the images that can be read; others only with `on_unreadable="skip"`."""
        if self._kept is None:
            self._compute(0)
        assert self._kept is not None
        return self._kept

    def __len__(self) -> int:
        return len(self.kept)

    def epoch(self, epoch: int) -> Tensor:
        """Features (n, E) of view number `epoch`.

        Raises:
            UnreadableImagesError: images that cannot be read.
            DataError: an image that could be read in an earlier epoch no longer can.
        """
        start = epoch - epoch % self._ahead
        if self._block is None or start != self._start:
            self._compute(start)
        assert self._block is not None
        return self._block.epoch(epoch - start)

    def _compute(self, start: int) -> None:
        count = self._ahead
        if self._epochs is not None:
            count = max(1, min(count, self._epochs - start))
        views = self._extractor.views(self._images, count, self._seed, first=start, cached=False)
        if self._kept is not None and not np.array_equal(views.kept, self._kept):
            raise DataError("images changed while training: some that could be read no longer can, or the reverse")
        self._start, self._kept, self._block = start, views.kept, CachedViews(views.values)


def training_features(
    extractor: FeatureExtractor, images: Sequence[ImageSource], settings: TrainingSettings
) -> tuple[TrainingFeatures, list[int]]:
    """The stream of augmented features that the settings ask for, and the places of the images that can be read."""
    if settings.views is None:
        fresh = FreshViews(extractor, images, settings.seed, epochs=settings.epochs)
        return fresh, fresh.kept.tolist()
    views = extractor.views(images, min(settings.views, settings.epochs), settings.seed)
    return CachedViews(views.values), views.kept.tolist()
