"""Arrays as pictures: one rule for the values, one for the axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.arrays import channels_last, picture_of
from vlprompt.errors import DataError

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    "array",
    [
        GREY.astype(np.int64),
        GREY.astype(np.uint16),
        GREY.astype(np.float64),
        GREY.astype(np.float16),
        GREY / 255,
        (GREY / 255).astype(np.float32),
    ],
    ids=lambda array: f"{array.dtype} to {array.max()}",
)
def test_whole_numbers_and_floats_of_either_range_are_the_same_picture(array) -> None:
    assert picture_of(array).dtype == np.uint8
    assert np.array_equal(picture_of(array), GREY)


@given(st.integers(0, 255))
def test_a_fraction_of_white_is_the_nearest_of_256_levels(level) -> None:
    for dtype in (np.float32, np.float64):
        assert picture_of(np.full((2, 2), level / 255, dtype))[0, 0] == level


@pytest.mark.parametrize(
    "array",
    [
        GREY.astype(np.int16) - 1,
        GREY.astype(np.int16) + 1,
        GREY.astype(float) + 0.5,
        (GREY / 255) * 2 - 1,
        np.full((4, 4), np.nan),
        np.full((4, 4), np.inf),
        np.full((4, 4), 65535, np.uint16),
    ],
)
def test_other_values_are_refused_with_their_range_and_the_rule(array) -> None:
    with pytest.raises(DataError, match=r"^its values are from .* to .*; whole numbers must be 0 to 255, floats"):
        picture_of(array)


@pytest.mark.parametrize("array", [np.zeros((4, 4), bool), np.zeros((4, 4), complex), np.full((4, 4), "a")])
def test_what_is_no_number_is_refused(array) -> None:
    with pytest.raises(DataError, match=r"must be numbers of shape \(H, W\)"):
        picture_of(array)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), (5, 6)),
        ((5, 6, 1), (5, 6)),
        ((5, 6, 3), (5, 6, 3)),
        ((5, 6, 4), (5, 6, 4)),
        ((1, 5, 6), (5, 6)),
        ((3, 5, 6), (5, 6, 3)),
        ((4, 5, 6), (5, 6, 4)),
        ((3, 5, 3), (3, 5, 3)),
        ((3, 3, 3), (3, 3, 3)),
    ],
)
def test_channels_are_last_or_else_first(shape, expected) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = picture_of(array)
    assert picture.shape == expected
    if shape[-1] not in (1, 3, 4) and len(shape) == 3:
        assert np.array_equal(picture, array.transpose(1, 2, 0).squeeze())


@pytest.mark.parametrize("shape", [(3, 224, 3), (3, 3, 3), (2, 3, 3, 3), (1, 4, 4)])
def test_where_both_ends_could_be_channels_a_tensors_are_first(shape) -> None:
    array = np.random.default_rng(0).random(shape)
    assert np.array_equal(channels_last(array), np.moveaxis(array, -3, -1))
