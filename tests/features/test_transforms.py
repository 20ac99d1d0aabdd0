from __future__ import annotations

import json
import math
from random import Random

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from tests.features.small_encoder import PREPROCESSING, random_pixels
from vlprompt.backbones import ImagePreprocessing
from vlprompt.features.extraction import normalise
from vlprompt.features.transforms import (
    MOST_LENGTHS,
    EvaluationTransform,
    ViewTransform,
    as_plain,
    crop_box,
    evaluation_pixels,
    from_plain,
    view_pixels,
)

sides = st.integers(1, 90)
seeds = st.integers(0, 10**6)


@settings(deadline=None, max_examples=150)
@given(
    width=sides,
    height=sides,
    size=st.sampled_from([1, 7, 32, 48]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize_mode=st.sampled_from(["shortest", "squash", "longest"]),
    fill=st.sampled_from([0, 127]),
)
def test_the_test_transform_is_open_clips_bit_for_bit(
    width: int, height: int, size: int, interpolation: str, resize_mode: str, fill: int
) -> None:
    if resize_mode == "longest" and round(min(width, height) * size / max(width, height)) == 0:
        return  # OpenCLIP cannot resize to a side of 0 pixels
    if max(width, height) > MOST_LENGTHS * min(width, height):
        return  # of these only the middle is resized
    image = Image.fromarray(random_pixels(width * 100 + height, height, width))
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    theirs = image_transform_v2(
        PreprocessCfg(
            size=size, mean=mean, std=std, interpolation=interpolation, resize_mode=resize_mode, fill_color=fill
        ),
        is_train=False,
    )(image)
    ours = ImagePreprocessing(size, mean, std, interpolation, resize_mode, fill)
    pixels = torch.from_numpy(evaluation_pixels(image, ours).copy())[None]
    assert torch.equal(normalise(pixels, ours)[0], theirs)


@settings(deadline=None, max_examples=100)
@given(width=sides, height=sides, size=st.sampled_from([8, 48]), seed=seeds)
def test_a_view_is_torchvisions_crop_resize_and_flip_of_the_same_box(
    width: int, height: int, size: int, seed: int
) -> None:
    image = Image.fromarray(random_pixels(seed, height, width))
    random = Random(f"{seed}/key/3")
    left, top, crop_width, crop_height = crop_box(width, height, random)
    expected = v2.functional.resized_crop(
        image, top, left, crop_height, crop_width, [size, size], InterpolationMode.BICUBIC, antialias=True
    )
    if random.random() < 0.5:
        expected = v2.functional.horizontal_flip(expected)
    assert np.array_equal(view_pixels(image, size, seed, "key", 3), np.asarray(expected))


@settings(deadline=None)
@given(width=sides, height=sides, seed=seeds)
def test_a_crop_lies_within_the_image_and_has_a_published_shape(width: int, height: int, seed: int) -> None:
    left, top, crop_width, crop_height = crop_box(width, height, Random(seed))
    assert crop_width > 0
    assert crop_height > 0
    assert left >= 0
    assert top >= 0
    assert left + crop_width <= width
    assert top + crop_height <= height


def test_crops_are_distributed_as_torchvisions() -> None:
    # 2,000 draws each: two samples' deciles of one distribution differ by about 0.015.
    torch.manual_seed(0)
    theirs_transform = v2.RandomResizedCrop(48, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))
    probe = torch.empty(3, 100, 120)
    drawn = [theirs_transform.make_params([probe]) for _ in range(2000)]
    theirs = np.array([(p["left"], p["top"], p["width"], p["height"]) for p in drawn])
    random = Random(0)
    ours = np.array([crop_box(120, 100, random) for _ in range(2000)])
    for measure in (
        lambda box: box[:, 2] * box[:, 3] / 12000,
        lambda box: np.log(box[:, 2] / box[:, 3]),
        lambda box: box[:, 0] / np.maximum(120 - box[:, 2], 1),
        lambda box: box[:, 1] / np.maximum(100 - box[:, 3], 1),
    ):
        deciles = [np.quantile(measure(box), np.linspace(0.1, 0.9, 9)) for box in (ours, theirs)]
        assert np.abs(deciles[0] - deciles[1]).max() < 0.05


def test_half_of_the_views_are_flipped() -> None:
    # Left dark, right bright: a flipped view is brighter on its left.
    image = Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 1, 3)))
    views = [view_pixels(image, 8, 1, "key", view) for view in range(400)]
    flipped = sum(int(view[:, 0].mean() > view[:, -1].mean()) for view in views)
    assert abs(flipped - 200) < 3.5 * math.sqrt(100)


def test_a_view_depends_on_seed_key_and_number_only() -> None:
    image = Image.fromarray(random_pixels(0))
    one = view_pixels(image, 8, 1, "key", 0)
    assert np.array_equal(one, view_pixels(image, 8, 1, "key", 0))
    for other in ((2, "key", 0), (1, "yek", 0), (1, "key", 1)):
        assert not np.array_equal(one, view_pixels(image, 8, *other))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_extreme_shapes_have_views(shape: tuple[int, int]) -> None:
    image = Image.fromarray(random_pixels(0, *shape))
    assert view_pixels(image, 8, 1, "key", 0).shape == (8, 8, 3)


def test_pixels_are_normalised_with_channels_last_in_memory() -> None:
    preprocessing = ImagePreprocessing(4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    batch = normalise(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), preprocessing)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch[0, :, 0, 0], torch.tensor([-2.5, -4 / 3, -0.75]))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("extra", [0, 1])
def test_of_a_very_long_image_the_middle_is_resized(turned: bool, extra: int) -> None:
    # A ramp along the image: its centre stays where it is, and no image of 8 x 480000 pixels is made.
    ramp = np.linspace(0, 255, 60000 + extra).astype(np.uint8)[:, None, None].repeat(3, axis=2)
    pixels = evaluation_pixels(Image.fromarray(ramp.swapaxes(0, 1).copy() if turned else ramp), PREPROCESSING)
    assert pixels.shape == (16, 16, 3)
    assert abs(float(pixels.mean()) - 127.5) < 1


@pytest.mark.parametrize("transform", [EvaluationTransform(PREPROCESSING), ViewTransform(PREPROCESSING, seed=7)])
def test_a_transform_travels_as_plain_values(transform) -> None:
    image = Image.fromarray(random_pixels(3, 40, 60))
    plain = as_plain(transform)
    copy = from_plain(json.loads(json.dumps(plain)))
    assert (copy.name, copy.seed, copy.is_random) == (transform.name, transform.seed, transform.is_random)
    assert np.array_equal(copy.pixels(image, "key", 2), transform.pixels(image, "key", 2))
