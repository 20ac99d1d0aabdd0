"""Conversion in tiles: each pixel as if the whole picture were converted at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vlprompt.data import decoding, upright
from vlprompt.data.upright import to_rgb

MODES = [
    "1",
    "L",
    "P",
    "LA",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I",
    "F",
    "I;16",
    "I;16B",
]


def noise(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed)
    if mode == "F":
        return Image.fromarray(random.normal(0, 3, (height, width)).astype(np.float32))
    if mode == "I":
        return Image.fromarray(random.integers(-(10**6), 10**6, (height, width)).astype(np.int32))
    if mode.startswith("I;16"):
        grey = random.integers(0, 65536, (height, width)).astype(np.uint16)
        picture = Image.fromarray(grey)
        return picture if mode == "I;16" else Image.frombytes(mode, (width, height), grey.astype(">u2").tobytes())
    colours = Image.fromarray(random.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    if mode in ("P", "PA"):
        picture = colours.convert("RGB").quantize(50)
        return picture if mode == "P" else picture.convert("PA")
    if mode in ("RGBX", "CMYK", "YCbCr", "HSV", "LAB"):
        bands = len(Image.new(mode, (1, 1)).getbands())
        content = random.integers(0, 256, (height, width, bands), dtype=np.uint8).tobytes()
        return Image.frombytes(mode, (width, height), content)
    return colours.convert(mode)


@settings(deadline=None, max_examples=120)
@given(mode=st.sampled_from(MODES), width=st.integers(1, 40), height=st.integers(1, 40), side=st.integers(4, 16))
def test_tiles_change_no_pixel(mode: str, width: int, height: int, side: int) -> None:
    image = noise(mode, width, height, seed=width)
    whole = to_rgb(image)
    before = upright.TILE_SIDE
    upright.TILE_SIDE = side
    try:
        tiled = to_rgb(image)
    finally:
        upright.TILE_SIDE = before
    assert whole.mode == tiled.mode == "RGB"
    assert np.array_equal(np.asarray(whole), np.asarray(tiled))


@pytest.mark.parametrize("info", [{"transparency": 3}, {"transparency": bytes(range(50))}])
def test_tiles_keep_a_palettes_transparency(monkeypatch, info) -> None:
    image = noise("P", 30, 30)
    image.info.update(info)
    whole = to_rgb(image)
    assert not np.array_equal(np.asarray(whole), np.asarray(image.convert("RGB")))
    monkeypatch.setattr(upright, "TILE_SIDE", 8)
    assert np.array_equal(np.asarray(whole), np.asarray(to_rgb(image)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_orientation_is_turned_as_pillow_turns_it(mode, orientation) -> None:
    image = noise(mode, 7, 5)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(np.asarray(to_rgb(image)), np.asarray(to_rgb(ImageOps.exif_transpose(image))))
    assert to_rgb(image).size == ((5, 7) if orientation >= 5 else (7, 5))


def test_an_upright_rgb_picture_is_not_copied() -> None:
    image = noise("RGB", 5, 5)
    assert to_rgb(image) is image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "1"])
@pytest.mark.parametrize("size", [(100, 60), (101, 59), (1, 3000), (2999, 2)])
def test_beyond_the_exact_size_a_picture_is_shrunk_by_a_whole_number(monkeypatch, mode, size) -> None:
    image = noise(mode, *size)
    exact = to_rgb(image)
    monkeypatch.setattr(decoding, "EXACT_PIXELS", 700)
    monkeypatch.setattr(upright, "TILE_SIDE", 16)
    factor = decoding.shrinking(size[0] * size[1])
    assert factor == 3
    shrunk = to_rgb(image)
    assert shrunk.size == (-(-size[0] // factor), -(-size[1] // factor))
    assert np.array_equal(np.asarray(shrunk), np.asarray(exact.reduce(factor)))
