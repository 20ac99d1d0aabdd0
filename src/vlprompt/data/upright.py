"""Pillow images of any mode as upright RGB of 8 bits.

A picture is converted in tiles, so that no second copy of it in a wide type is made; each pixel is computed as if the
whole picture were converted at once. Transparency is laid on white. Grey of more than 8 bits is scaled, not clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from PIL import ExifTags, Image, ImageCms

from vlprompt.data.decoding import shrinking
from vlprompt.errors import DataError

TILE_SIDE = 1024

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF's orientation."""

Box = tuple[int, int, int, int]
Convert = Callable[[Image.Image], Image.Image]


def to_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode as upright RGB of 8 bits; the image itself where it is that already.

    A picture of more than `EXACT_PIXELS` is shrunk by a whole number.

    Raises:
        DataError: it has no pixels.
        Exception: whatever Pillow raises when it cannot be decoded.
    """
    if 0 in image.size:
        raise DataError(f"it has no pixels ({image.width} x {image.height}).")
    image.load()
    turn = _turn(image)
    factor = shrinking(image.width * image.height)
    if image.mode != "RGB" or image.has_transparency_data or factor > 1:
        image = _in_tiles(image, _conversion(image), factor)
    if turn is None:
        return image
    image = image.transpose(turn)
    for says_orientation in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        image.info.pop(says_orientation, None)  # else who saves it turns it again
    return image


def bands(image: Image.Image) -> Iterator[Image.Image]:
    """The image in bands of whole rows, from top to bottom; a small one as it is."""
    rows = max(1, TILE_SIDE**2 // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn it, as its EXIF orientation says; damaged EXIF data says nothing."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _in_tiles(image: Image.Image, convert: Convert, factor: int) -> Image.Image:
    """The image converted tile by tile, and shrunk by `factor`."""
    if factor == 1 and max(image.size) <= TILE_SIDE:
        return convert(image)
    whole = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for box in _tiles(image.size, factor):
        tile = convert(image.crop(box))
        whole.paste(tile.reduce(factor) if factor > 1 else tile, (box[0] // factor, box[1] // factor))
    return whole


def _tiles(size: tuple[int, int], factor: int = 1) -> Iterator[Box]:
    """Boxes that cover a picture; their corners are multiples of `factor`."""
    side = TILE_SIDE // factor * factor
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def _conversion(image: Image.Image) -> Convert:
    """How to convert the tiles of an image to RGB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        to_eight_bits = _scaling(image)
        return lambda tile: _flattened(to_eight_bits(tile))
    if image.mode == "LAB":
        from_lab = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return lambda tile: cast(Image.Image, ImageCms.applyTransform(tile, from_lab))
    return _flattened


def _flattened(tile: Image.Image) -> Image.Image:
    if tile.has_transparency_data:
        tile = tile.convert("RGBA")
        white = Image.new("RGBA", tile.size, "white")
        tile = Image.alpha_composite(white, tile)
    return tile.convert("RGB")


def _scaling(image: Image.Image) -> Convert:
    """How grey of 16 or 32 bits or floats is scaled to 0..255.

    Integers up to 65535 are taken as 16 bits and floats up to 1 as a fraction of white, whatever the picture's
    brightest pixel; other ranges are stretched between the darkest and the brightest pixel.
    """
    if image.mode.startswith("I;16"):
        table = np.rint(np.arange(65536.0) * (255 / 65535.0)).astype(np.uint8)
        return lambda tile: Image.fromarray(table[np.asarray(tile)])
    ranges = [(tile.min(), tile.max()) for tile in (_values(image.crop(box)) for box in _tiles(image.size))]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high == 0 and not any(np.isfinite(np.asarray(image.crop(box))).any() for box in _tiles(image.size)):
        raise DataError("none of its pixels is a finite number.")
    white = 65535.0 if image.mode != "F" else 1.0 if high <= 1 else 255.0
    stretched = low < 0 or high > white
    black, white = (low, max(high - low, 1e-12)) if stretched else (0.0, white)

    def scaled(tile: Image.Image) -> Image.Image:
        values = _values(tile) - black if stretched else _values(tile)
        return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))

    return scaled


def _values(tile: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(tile).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
