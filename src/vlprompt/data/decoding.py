"""Picture files decoded within bounds: what a picture will take is computed from its header, before it is decoded.

One bound holds for all formats, in bytes, because formats differ widely in what they take: a grey PNG a byte a pixel,
a WebP sixteen. Each picture may take 8 bytes for each of `max_pixels`, 800 MB unless asked otherwise.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import Image

from vlprompt.data.formats import SNIFFED_BYTES, format_of, needed_for_format, readable_formats
from vlprompt.data.limits import BYTES_A_PIXEL, FILE_BYTES_A_PIXEL, MAX_PIXELS
from vlprompt.errors import DataError

EXACT_PIXELS = 64_000_000
"""Up to so many pixels a picture is used as it is; larger ones are shrunk by a whole number first."""

QUIET_BYTES = 40_000_000
"""What a picture may take to be decoded beside a loaded model; see `apart`."""

QUIET_FILE_BYTES = 16_000_000

QUIET_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP"})
"""The formats of nearly all pictures; their headers cannot ask for much."""

_DECODER_BYTES = {"WEBP": 16, "AVIF": 14, "HEIF": 14, "JPEG2000": 20, "QOI": 8}
"""Bytes a pixel while decoding, the picture itself included, as measured with Pillow 13."""

_PLAIN_FORMATS = frozenset({"JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "PPM", "TGA"})
"""Formats whose decoders take nothing but the picture itself."""

_BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1}
_COEFFICIENT_BYTES = 2
_POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")


def open_bounded(file: BinaryIO, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, int]:
    """The picture in a file, not decoded yet, and how many bytes it is going to take.

    A very large JPEG is going to be decoded at a half, a quarter or an eighth of its size.

    Raises:
        DataError: the file or the picture is too large.
        Exception: whatever Pillow raises when it cannot be opened.
    """
    _check_file_size(file, max_pixels)
    _check_webp(file, max_pixels)
    image = open_header(file)
    return image, check_memory(image, max_pixels)


def open_header(file: BinaryIO) -> Image.Image:
    """The picture in a file, not decoded yet; a very large JPEG is going to be decoded at a part of its size."""
    image = Image.open(file, formats=readable_formats())
    if image.format in ("JPEG", "MPO") and (factor := shrinking(image.width * image.height)) > 1:
        part = next(part for part in (2, 4, 8) if part >= min(factor, 8))
        full = image.size
        image.draft(image.mode, (image.width // part, image.height // part))
        image.info["full_size"] = full
    return image


def memory_of(image: Image.Image) -> int:
    """Bytes that decoding a picture and converting it to RGB take, from its header; measured, and rounded up."""
    stored = 2 if image.mode.startswith("I;16") else _BYTES_OF_MODE.get(image.mode, 4)
    pixels = image.width * image.height
    full_width, full_height = image.info.get("full_size", image.size)
    form = image.format or ""
    decoder = stored if form in _PLAIN_FORMATS else _DECODER_BYTES.get(form, 2 * stored)
    bytes_taken = decoder * pixels
    if image.info.get("progressive"):
        # The coefficients of the whole picture are held, whatever part of its size it is decoded at.
        bytes_taken += int(_COEFFICIENT_BYTES * _samples_a_pixel(image) * full_width * full_height)
    is_rgb = image.mode == "RGB" and "transparency" not in image.info
    factor = shrinking(pixels)
    return bytes_taken + (0 if is_rgb and factor == 1 else 4 * pixels // factor**2)


def check_memory(image: Image.Image, max_pixels: int) -> int:
    """The bytes that a picture takes to decode and convert; raises DataError when they are too many."""
    takes = memory_of(image)
    width, height = image.info.get("full_size", image.size)
    _check_bytes(takes, f"{width} x {height} pixels ({image.format}, {image.mode})", max_pixels)
    return takes


def _check_bytes(takes: int, what: str, max_pixels: int) -> None:
    most = BYTES_A_PIXEL * max_pixels
    if takes > most:
        needed = -(-takes // BYTES_A_PIXEL)
        raise DataError(
            f"it has {what}, which take {takes / 1e6:,.0f} MB to decode; at most {most / 1e6:,.0f} MB are used, more "
            f"with max_pixels={needed}."
        )


def shrinking(pixels: int) -> int:
    """The whole number by which both sides of a picture of so many pixels are divided before it is used."""
    factor = 1
    while pixels > EXACT_PIXELS * factor**2:
        factor += 1
    return factor


def is_quiet(file: BinaryIO) -> bool:
    """Whether a file can be decoded beside a loaded model: of a common format, and not large."""
    start = file.read(SNIFFED_BYTES)
    if not start:
        return True
    if format_of(start) not in QUIET_FORMATS or _size_of(file) > QUIET_FILE_BYTES:
        return False
    width, height = _webp_size(start)
    if _DECODER_BYTES["WEBP"] * width * height > QUIET_BYTES:
        return False
    file.seek(0)
    try:
        return memory_of(open_header(file)) <= QUIET_BYTES
    except Exception:  # opening it again says what is wrong
        return True


def no_picture_reason(file: BinaryIO) -> str:
    """Why Pillow does not know the format of a file."""
    file.seek(0)
    start = file.read(SNIFFED_BYTES)
    form = format_of(start)
    needed = None if form is None else needed_for_format(form)
    if needed is not None:
        return f"it is one of the {needed}."
    if form is not None:
        return f"it is damaged or cut short (it begins as {form} does)."
    if start.startswith(_POSTSCRIPT):
        return "it is PostScript, a program, which is not run."
    return "it is not an image of any format that is read."


def _samples_a_pixel(image: Image.Image) -> float:
    """How many numbers a JPEG has for each pixel: 3 of RGB, 1.5 where colours are kept at half the width and height."""
    layers = getattr(image, "layer", None) or [(0, 1, 1, 0)] * len(image.getbands())
    shares = [across * down for _, across, down, *_ in layers]
    return sum(shares) / max(1, max(shares))


def _check_webp(file: BinaryIO, max_pixels: int) -> None:
    """Pillow gets the memory for a WebP's decoder when it opens it, so its size is read here first."""
    width, height = _webp_size(file.read(SNIFFED_BYTES))
    file.seek(0)
    _check_bytes(_DECODER_BYTES["WEBP"] * width * height, f"{width} x {height} pixels (WEBP)", max_pixels)


def _webp_size(start: bytes) -> tuple[int, int]:
    """Width and height of the WebP file that begins so (RFC 9649); (0, 0) for anything else."""
    if format_of(start) != "WEBP" or len(start) < 30:
        return 0, 0
    if start[12:16] == b"VP8X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if start[12:16] == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(start[26:28], "little") & 0x3FFF, int.from_bytes(start[28:30], "little") & 0x3FFF


def _check_file_size(file: BinaryIO, max_pixels: int) -> None:
    most, size = FILE_BYTES_A_PIXEL * max_pixels, _size_of(file)
    if size > most:
        needed = -(-size // FILE_BYTES_A_PIXEL)
        raise DataError(
            f"the file has {size / 1e6:,.0f} MB; at most {most / 1e6:,.0f} MB are read, more with max_pixels={needed}."
        )


def _size_of(file: BinaryIO) -> int:
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size
