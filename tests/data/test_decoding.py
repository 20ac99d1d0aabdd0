"""What a picture takes is known before it is decoded, and bounded."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.bombs import GREY, PALETTE, RGB, RGBA, write_png
from vlprompt.data import decoding
from vlprompt.data.decoding import is_quiet, memory_of, open_header, shrinking
from vlprompt.data.formats import readable_formats
from vlprompt.data.images import find_unreadable, open_image
from vlprompt.data.limits import check_max_pixels
from vlprompt.data.samples import EncodedImage, Sample
from vlprompt.errors import SettingsError, UnreadableImageError

SIDE = 13_300


def header_of(path: Path) -> Image.Image:
    return open_header(io.BytesIO(path.read_bytes()))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("colours", "depth"), [(RGBA, 8), (RGB, 16), (RGB, 8)])
def test_a_picture_that_takes_too_much_is_refused_before_it_is_decoded(tmp_path, colours, depth) -> None:
    bomb = write_png(tmp_path / "bomb.png", SIDE, SIDE // 100, colours, depth)
    content = bytearray(bomb.read_bytes())
    content[16:24] = SIDE.to_bytes(4, "big") * 2  # the header alone says how large it is
    with pytest.raises(UnreadableImageError) as caught:
        open_image(EncodedImage(_with_right_checksum(content)))
    assert caught.value.reason.startswith(f"it has 13300 x 13300 pixels (PNG, {'RGBA' if colours == RGBA else 'RGB'})")
    assert (
        "which take 884 MB to decode; at most 800 MB are used, more with max_pixels=110556250." in caught.value.reason
    )


def _with_right_checksum(png: bytearray) -> bytes:
    import zlib

    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    return bytes(png)


def test_the_limit_is_the_callers(tmp_path) -> None:
    photo = write_png(tmp_path / "photo.png", 100, 50, RGBA, 8)
    assert open_image(photo, max_pixels=5000).size == (100, 50)
    with pytest.raises(UnreadableImageError, match=r"more with max_pixels=5000\.$"):
        open_image(photo, max_pixels=4999)
    assert list(find_unreadable([Sample(photo, 0, "any")], max_pixels=4999)) == [str(photo)]
    assert not find_unreadable([Sample(photo, 0, "any")], max_pixels=5000)


def test_a_file_with_too_many_bytes_is_refused_before_it_is_opened(tmp_path) -> None:
    photo = write_png(tmp_path / "photo.png", 10, 10, RGB, 8)
    with photo.open("ab") as file:
        file.truncate(10_000)
    with pytest.raises(
        UnreadableImageError, match=r"the file has 0 MB; at most 0 MB are read, more with max_pixels=3334"
    ):
        open_image(photo, max_pixels=3333)
    assert open_image(photo, max_pixels=3334).size == (10, 10)


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", None, True])
def test_a_limit_that_is_no_number_of_pixels_is_refused(value) -> None:
    with pytest.raises(SettingsError, match=r"max_pixels is .*; it must be a whole number of at least 1"):
        check_max_pixels(value)


KINDS = [
    *(("PNG", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16")),
    *(("TIFF", mode) for mode in ("CMYK", "LAB", "F", "RGB")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    *((form, "RGB") for form in ("WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "TGA")),
]

PEAKS = """
import re, sys
from vlprompt.data.images import open_image
open_image(sys.argv[1])
for path in sys.argv[1:]:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak counts from here
    peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
    before = peak()
    open_image(path)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_the_estimate_holds_in_a_process_that_decodes_it(tmp_path) -> None:
    paths = {}
    for form, mode in KINDS:
        if form in readable_formats():
            paths[form, mode] = tmp_path / f"{form}-{mode}".replace(";", "")
            Image.new(mode, (3000, 2500)).save(paths[form, mode], form)
    command = [sys.executable, "-c", PEAKS, *map(str, paths.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for (kind, path), taken in zip(paths.items(), done.stdout.split(), strict=True):
        # Beside the picture: a few tiles, and the libraries that are loaded on the way.
        assert int(taken) <= memory_of(header_of(path)) + 40_000_000, kind


def test_a_progressive_jpeg_is_known_to_hold_all_its_coefficients(tmp_path) -> None:
    for name, progressive in (("plain.jpg", False), ("progressive.jpg", True)):
        Image.new("RGB", (400, 300)).save(tmp_path / name, progressive=progressive)
    plain, progressive = (memory_of(header_of(tmp_path / f"{name}.jpg")) for name in ("plain", "progressive"))
    # Two bytes for each of 1.5 numbers a pixel, as colours have half the width and height.
    assert (plain, progressive) == (4 * 120_000, 4 * 120_000 + 2 * 1.5 * 120_000)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": Image.Exif()}, {"save_all": True}])
@pytest.mark.parametrize("size", [(8, 5), (700, 33)])
def test_a_webps_size_is_read_before_its_decoder_gets_memory(options, size) -> None:
    content = io.BytesIO()
    options = {**options, **({"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"} if "exif" in options else {})}
    Image.new("RGB", size).save(content, "WEBP", **options)
    assert decoding._webp_size(content.getvalue()[:32]) == size
    needed = -(-16 * size[0] * size[1] // 8)
    with pytest.raises(UnreadableImageError, match=rf"it has {size[0]} x {size[1]} pixels .WEBP."):
        open_image(EncodedImage(content.getvalue()), max_pixels=needed - 1)


def test_a_very_large_jpeg_is_decoded_at_a_part_of_its_size(tmp_path, monkeypatch) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8)).resize((4000, 3000)).save(
        photo
    )
    assert open_image(photo).size == (4000, 3000)
    monkeypatch.setattr(decoding, "EXACT_PIXELS", 4_000_000)
    assert open_image(photo).size == (2000, 1500)
    monkeypatch.setattr(decoding, "EXACT_PIXELS", 100_000)
    assert open_image(photo).size == (250, 188)


@pytest.mark.parametrize(("pixels", "factor"), [(1, 1), (64_000_000, 1), (64_000_001, 2), (256_000_001, 3)])
def test_what_is_used_has_at_most_the_exact_size(pixels, factor) -> None:
    assert shrinking(pixels) == factor


@pytest.mark.parametrize(
    ("width", "colours", "depth", "expected"),
    [
        (3000, RGB, 8, True),
        (4000, RGB, 8, False),
        (3000, RGBA, 8, False),
        (4000, GREY, 8, False),
        (2000, PALETTE, 1, True),
    ],
)
def test_small_pictures_are_decoded_beside_a_model(tmp_path, width, colours, depth, expected) -> None:
    path = write_png(tmp_path / "photo.png", width, width, colours, depth)
    assert is_quiet(io.BytesIO(path.read_bytes())) is expected


@pytest.mark.parametrize("form", ["TIFF", "AVIF", "JPEG2000", "TGA", "ICO"])
def test_uncommon_formats_are_not(form) -> None:
    content = io.BytesIO()
    Image.new("RGB", (16, 16)).save(content, form)
    content.seek(0)
    assert not is_quiet(content)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff damaged"])
def test_what_cannot_be_opened_needs_no_process_of_its_own(content) -> None:
    assert is_quiet(io.BytesIO(content))
