"""Pictures as a method that reads pixels gets them: batches of preprocessed pixels, never more than a few at hand.

Training sees the same crops as methods on features do: view number e of an image in epoch e (`views.FreshViews`), which
depends on the image's pixels, the seed and e only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vlprompt.data.images import ImageSource
from vlprompt.errors import DataError, UnreadableImagesError
from vlprompt.features.content_keys import reasons_by_name
from vlprompt.features.extraction import FeatureExtractor, normalise
from vlprompt.features.loading import Block, Blocks, Request, load_blocks
from vlprompt.features.transforms import EvaluationTransform, Transform, ViewTransform


class EvaluationPixels:
    """Pictures under the test transform, read anew each time that they are gone through.

    Args:
        extractor: whose backbone's preprocessing, batches and way with unreadable pictures to use. Where these are
            skipped, all pictures are looked at first.
    """

    def __init__(self, extractor: FeatureExtractor, images: Sequence[ImageSource]) -> None:
        self._extractor, self._images = extractor, images
        self.kept = np.arange(len(images))
        if extractor.on_unreadable == "skip":
            failures = {place: why for block in self._blocks() for place, why in block.failures.items()}
            extractor.report_unreadable(images, failures)
            self.kept = np.setdiff1d(self.kept, list(failures))

    def __len__(self) -> int:
        """n, the number of images that can be read, as far as is known."""
        return len(self.kept)

    def __iter__(self) -> Iterator[Tensor]:
        """Batches (B, 3, H, W) in the images' order.

        Raises:
            UnreadableImagesError: images that cannot be read, all of them.
        """
        failures: dict[int, str] = {}
        done = 0
        with self._extractor.reporting(len(self), "Images") as report:
            for block in self._blocks():
                failures |= block.failures
                # Once the call is bound to fail, the rest is only opened, to name all that cannot be read at once.
                if block.places and not failures:
                    yield _tensor(self._extractor, block)
                done += len(block.places) + len(block.failures)
                report(done, len(self))
        if failures:
            raise UnreadableImagesError(reasons_by_name(self._images, failures))

    def _blocks(self) -> Iterator[Block]:
        places = np.split(self.kept, range(self._extractor.batch_size, len(self.kept), self._extractor.batch_size))
        transform = EvaluationTransform(self._extractor.backbone.image)
        return _blocks(self._extractor, self._images, [some.tolist() for some in places], transform, 0)


class TrainingPixels:
    """Training pictures, augmented anew for every epoch.

    Args:
        extractor: whose backbone's preprocessing and way with unreadable pictures to use.
        seed: of the crops.
        views: after so many epochs the same crops come again; None: never.

    Raises:
        UnreadableImagesError: images that cannot be read, all of them, unless they are skipped.
    """

    def __init__(
        self, extractor: FeatureExtractor, images: Sequence[ImageSource], seed: int, views: int | None = None
    ) -> None:
        self._extractor, self._views = extractor, views
        self._transform = ViewTransform(extractor.backbone.image, seed)
        looked_at = EvaluationPixels(extractor, images)
        if extractor.on_unreadable == "fail":
            for _ in looked_at:
                pass
        self.kept = looked_at.kept
        self._images = [images[place] for place in self.kept.tolist()]

    def __len__(self) -> int:
        return len(self._images)

    def batches(self, epoch: int, places: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        """Pixels (B, 3, H, W) of some images at a time.

        Args:
            epoch: counts from 0.
            places: of the images of each batch, among those that can be read.

        Raises:
            DataError: an image that could be read before no longer can.
        """
        view = epoch if self._views is None else epoch % self._views
        for block in _blocks(self._extractor, self._images, places, self._transform, view):
            if block.failures:
                raise DataError("images changed while training: some that could be read no longer can")
            yield _tensor(self._extractor, block)


def _blocks(
    extractor: FeatureExtractor,
    images: Sequence[ImageSource],
    places: Sequence[Sequence[int]],
    transform: Transform,
    view: int,
) -> Iterator[Block]:
    """One view of some images at a time."""
    requests = [[Request(place, images[place], (view,)) for place in some] for some in places]
    with extractor.kept_memory(len(images)):
        yield from load_blocks(Blocks(requests, transform, extractor.max_pixels), extractor.workers, extractor.cores())


def _tensor(extractor: FeatureExtractor, block: Block) -> Tensor:
    return normalise(torch.from_numpy(block.pixels).to(extractor.backbone.device), extractor.backbone.image)
