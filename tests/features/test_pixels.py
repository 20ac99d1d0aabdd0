"""What methods that read pixels get of pictures, against what the encoder gets of the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.features.small_encoder import SmallEncoder, random_pixels
from vlprompt.errors import DataError, UnreadableImagesError
from vlprompt.features import EvaluationPixels, FeatureExtractor, FreshViews, TrainingPixels, UnreadableImagesWarning


def in_memory(count: int) -> list[np.ndarray]:
    return [random_pixels(seed) for seed in range(count)]


def damaged(photos: Callable[..., list[Path]], *places: int) -> list[Path]:
    images = photos(5)
    for place in places:
        images[place].write_bytes(b"no picture")
    return images


def test_training_sees_the_crops_whose_features_other_methods_see(encoder: SmallEncoder) -> None:
    images, extractor = in_memory(5), FeatureExtractor(encoder, cache=None)
    pixels, fresh = TrainingPixels(extractor, images, 3), FreshViews(extractor, images, 3)
    assert len(pixels) == 5
    for epoch in (0, 1, 6):
        batches = list(pixels.batches(epoch, [[4, 2], [0], [1, 3]]))
        assert [len(batch) for batch in batches] == [2, 1, 2]
        features = torch.cat([encoder.encode_images(batch) for batch in batches])
        torch.testing.assert_close(features, fresh.epoch(epoch)[[4, 2, 0, 1, 3]], rtol=0, atol=1e-6)


def test_crops_come_again_after_as_many_epochs_as_there_are_views(encoder: SmallEncoder) -> None:
    pixels = TrainingPixels(FeatureExtractor(encoder, cache=None), in_memory(3), 3, views=2)
    first, second, third = (torch.cat(list(pixels.batches(epoch, [[0, 1, 2]]))) for epoch in range(3))
    assert torch.equal(first, third)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_tested_is_on_the_pixels_that_the_encoder_gets(encoder: SmallEncoder, count: int) -> None:
    images, extractor = in_memory(count), FeatureExtractor(encoder, cache=None, batch_size=2)
    pixels = EvaluationPixels(extractor, images)
    assert len(pixels) == count
    for _ in range(2):  # as often as one likes
        batches = list(pixels)
        assert all(1 <= len(batch) <= 2 for batch in batches)
        features = [encoder.encode_images(batch) for batch in batches]
        expected = torch.from_numpy(extractor.extract(images).values)
        torch.testing.assert_close(torch.cat([expected[:0], *features]), expected, rtol=0, atol=1e-6)


def test_all_that_cannot_be_read_is_named_at_once(encoder: SmallEncoder, photos: Callable[..., list[Path]]) -> None:
    extractor, images = FeatureExtractor(encoder, cache=None, batch_size=2), damaged(photos, 1, 4)
    for read in (lambda: list(EvaluationPixels(extractor, images)), lambda: TrainingPixels(extractor, images, 1)):
        with pytest.raises(UnreadableImagesError) as refusal:
            read()
        assert all(images[place].name in str(refusal.value) for place in (1, 4))
        assert images[0].name not in str(refusal.value)


def test_what_cannot_be_read_is_skipped_with_a_warning(
    encoder: SmallEncoder, photos: Callable[..., list[Path]]
) -> None:
    extractor = FeatureExtractor(encoder, cache=None, batch_size=2, on_unreadable="skip")
    images = damaged(photos, 1, 2)
    readable = [images[place] for place in (0, 3, 4)]
    with pytest.warns(UnreadableImagesWarning, match="2 images were skipped"):
        pixels = EvaluationPixels(extractor, images)
    assert pixels.kept.tolist() == [0, 3, 4]
    assert torch.equal(torch.cat(list(pixels)), torch.cat(list(EvaluationPixels(extractor, readable))))
    with pytest.warns(UnreadableImagesWarning, match="2 images were skipped"):
        training = TrainingPixels(extractor, images, 1)
    (batch,) = training.batches(0, [[0, 1, 2]])
    (expected,) = TrainingPixels(extractor, readable, 1).batches(0, [[0, 1, 2]])
    assert torch.equal(batch, expected)


def test_a_picture_that_goes_while_training_ends_it(encoder: SmallEncoder, photos: Callable[..., list[Path]]) -> None:
    images = photos(3)
    pixels = TrainingPixels(FeatureExtractor(encoder, cache=None), images, 1)
    images[1].unlink()
    with pytest.raises(DataError, match="images changed while training"):
        list(pixels.batches(1, [[0, 1, 2]]))
