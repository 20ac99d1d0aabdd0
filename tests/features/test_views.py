from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.features.small_encoder import SmallEncoder, random_pixels
from vlprompt.errors import DataError, UnreadableImagesError
from vlprompt.features import CachedViews, FeatureExtractor, FreshViews, UnreadableImagesWarning


def in_memory(count: int) -> list[np.ndarray]:
    return [random_pixels(seed) for seed in range(count)]


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
def test_epochs_take_the_cached_views_in_turn(kind: Callable) -> None:
    values = kind(np.arange(24, dtype=np.float32).reshape(4, 3, 2))
    views = CachedViews(values)
    assert len(views) == 4
    for epoch in range(7):
        assert torch.equal(views.epoch(epoch), torch.as_tensor(values)[:, epoch % 3])
        assert views.epoch(epoch).is_contiguous()


@pytest.mark.parametrize("shape", [(4, 2), (4, 0, 2)])
def test_values_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="shape"):
        CachedViews(np.zeros(shape, np.float32))


def test_a_fresh_epoch_is_the_view_of_its_number(encoder: SmallEncoder) -> None:
    images = in_memory(5)
    extractor = FeatureExtractor(encoder, cache=None)
    expected = extractor.views(images, 11, seed=3).values
    fresh = FreshViews(extractor, images, 3, ahead=4)
    assert len(fresh) == 5
    for epoch in range(11):
        np.testing.assert_allclose(fresh.epoch(epoch).numpy(), expected[:, epoch], rtol=0, atol=1e-6)


def test_what_an_epoch_sees_does_not_depend_on_where_training_started(encoder: SmallEncoder) -> None:
    images = in_memory(5)
    extractor = FeatureExtractor(encoder, cache=None, batch_size=3)
    from_start, resumed = (FreshViews(extractor, images, 3, epochs=10, ahead=4) for _ in range(2))
    all_epochs = [from_start.epoch(epoch) for epoch in range(10)]
    for epoch in (6, 7, 8, 9):
        assert torch.equal(resumed.epoch(epoch), all_epochs[epoch])


def test_no_view_beyond_the_last_epoch_is_encoded(encoder: SmallEncoder) -> None:
    fresh = FreshViews(FeatureExtractor(encoder, cache=None), in_memory(5), 3, epochs=10, ahead=4)
    for epoch in range(10):
        fresh.epoch(epoch)
    assert encoder.encoded == 50


def test_fresh_views_leave_nothing_on_disk(encoder: SmallEncoder, cache: Path) -> None:
    FreshViews(FeatureExtractor(encoder), in_memory(3), 1).epoch(0)
    assert not list(cache.rglob("*.npy"))


def test_unreadable_images_are_left_out_of_every_epoch_when_skipped(encoder: SmallEncoder, tmp_path: Path) -> None:
    images = [*in_memory(2), tmp_path / "missing.png", random_pixels(7)]
    fresh = FreshViews(FeatureExtractor(encoder, on_unreadable="skip"), images, 1, ahead=1)
    with pytest.warns(UnreadableImagesWarning):
        assert fresh.kept.tolist() == [0, 1, 3]
    with pytest.warns(UnreadableImagesWarning):
        assert fresh.epoch(1).shape == (3, 8)


def test_unreadable_images_fail_by_default(encoder: SmallEncoder, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImagesError, match=r"missing\.png"):
        FreshViews(FeatureExtractor(encoder), [tmp_path / "missing.png"], 1).epoch(0)


def test_an_image_that_vanishes_while_training_is_noticed(
    encoder: SmallEncoder, photos: Callable[..., list[Path]]
) -> None:
    images = photos(3)
    fresh = FreshViews(FeatureExtractor(encoder, on_unreadable="skip"), images, 1, ahead=1)
    fresh.epoch(0)
    images[1].unlink()
    with pytest.warns(UnreadableImagesWarning), pytest.raises(DataError, match="changed while training"):
        fresh.epoch(1)
