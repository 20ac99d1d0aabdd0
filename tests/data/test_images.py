"""Opening images: every mode and format becomes upright RGB, every fault a sentence."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlprompt.data import images, upright
from vlprompt.data.images import describe, find_unreadable, image_key, open_image, pixel_key
from vlprompt.data.samples import EncodedImage, Sample
from vlprompt.data.upright import to_rgb
from vlprompt.errors import DataError, UnreadableImageError


class Scene:
    """A composed image of one colour."""

    def __init__(self, colour: str) -> None:
        self.content_key = f"scene {colour}"
        self.colour = colour

    def open(self) -> Image.Image:
        return Image.new("RGB", (3, 2), self.colour)


def pixel(source, at=(0, 0)) -> tuple[int, ...]:
    image = open_image(source)
    assert image.mode == "RGB"
    return image.getpixel(at)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_a_path_may_be_a_string(write_picture) -> None:
    assert pixel(str(write_picture("red.png"))) == (255, 0, 0)


def test_exif_orientation_is_honoured(tmp_path) -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.paste("black", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left side is the top
    upright = open_image(saved(image, tmp_path / "turned.jpg", exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 2))[0] < 50 < 200 < upright.getpixel((5, 17))[0]


def test_what_was_turned_is_not_turned_again_when_it_is_saved_and_opened(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("jpg", "png", "webp"):
        turned = open_image(saved(Image.new("RGB", (20, 10)), tmp_path / f"turned.{suffix}", exif=exif))
        assert turned.size == (10, 20)
        assert open_image(saved(turned, tmp_path / f"again-{suffix}.png")).size == (10, 20)
        assert open_image(turned).size == (10, 20)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_does_not_stop_the_picture(tmp_path) -> None:
    path = saved(Image.new("RGB", (8, 8), "red"), tmp_path / "odd.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff")
    assert open_image(path).size == (8, 8)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))])
def test_transparency_is_laid_on_white(tmp_path, mode, colour) -> None:
    assert pixel(saved(Image.new(mode, (4, 4), colour), tmp_path / "clear.png")) == (255, 255, 255)


def test_half_transparent_red_on_white_is_pink(tmp_path) -> None:
    path = saved(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), tmp_path / "half.png")
    assert pixel(path) == pytest.approx((255, 127, 127), abs=1)


def test_a_palette_keeps_its_colours_and_its_transparent_entry_is_white(tmp_path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    path = saved(image, tmp_path / "palette.png", transparency=1)
    assert [pixel(path, (0, 0)), pixel(path, (1, 0))] == [(0, 0, 255), (255, 255, 255)]


def test_a_transparent_colour_of_an_rgb_picture_is_white(tmp_path) -> None:
    path = saved(Image.new("RGB", (2, 2), (1, 2, 3)), tmp_path / "key.png", transparency=(1, 2, 3))
    assert pixel(path) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_to_eight(tmp_path, suffix) -> None:
    grey = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    path = saved(Image.fromarray(grey), tmp_path / f"deep.{suffix}")
    assert Image.open(path).mode.startswith("I;16")
    assert [pixel(path, (x, 0))[0] for x in range(3)] == [0, 100, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 25700, 65535]], np.int32), [0, 100, 255]),
        (np.array([[0, 500_000, 1_000_000]], np.int32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
    ],
)
def test_wide_grey_values_are_scaled(values, expected) -> None:
    image = Image.fromarray(values)
    assert [pixel(image, (x, 0))[0] for x in range(3)] == expected


def test_a_name_that_no_file_can_have_is_told_as_such() -> None:
    with pytest.raises(UnreadableImageError, match="no file can have a name with a NUL character"):
        open_image("a\0b.png")


def test_a_picture_without_a_single_number_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="none of its pixels is a finite number"):
        open_image(Image.fromarray(np.full((3, 3), np.nan, np.float32)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa"])
def test_every_other_mode_becomes_rgb(mode) -> None:
    assert open_image(Image.new(mode, (5, 4))).size == (5, 4)


def test_cmyk_white_is_white(tmp_path) -> None:
    path = saved(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), tmp_path / "print.jpg")
    assert min(pixel(path)) >= 250


def test_of_an_animation_the_first_frame_counts(tmp_path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert pixel(tmp_path / "moving.gif") == (255, 0, 0)


@pytest.mark.parametrize(("shape", "expected"), [((4, 5), 9), ((4, 5, 1), 9), ((4, 5, 3), 9), ((4, 5, 4), 255 - 9 + 0)])
def test_arrays_of_these_shapes_are_images(shape, expected) -> None:
    array = np.full(shape, 9, np.uint8)
    assert open_image(array).size == (5, 4)
    assert pixel(array)[0] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("array", [np.zeros(shape, np.uint8) for shape in [(5, 5, 2), (7,), (0, 5, 3)]])
def test_other_arrays_are_refused_with_their_type_and_shape(array) -> None:
    with pytest.raises(DataError, match=r"it has type \w+ and shape .*must be numbers of shape \(H, W\)"):
        open_image(array)


def test_something_else_is_refused_with_its_type() -> None:
    with pytest.raises(DataError, match=r"an image \(dict\) cannot be read as an image: it is neither a path"):
        open_image({})  # type: ignore[arg-type]


def test_a_composed_image_is_opened_by_itself() -> None:
    assert pixel(Scene("blue")) == (0, 0, 255)


def damaged(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.jpg"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("I am no picture")
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(noise).save(content, "jpeg")
        path.write_bytes(content.getvalue()[:2000])
    return path


REASONS = {
    "empty": "it is empty",
    "text": "it is not an image",
    "folder": "it is a folder",
    "missing": "there is no such file",
    "truncated": "it is damaged or cut short",
}


@pytest.mark.parametrize("kind", REASONS)
def test_an_unreadable_file_is_named_with_the_reason(tmp_path, kind) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(UnreadableImageError) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path} cannot be read as an image: {REASONS[kind]}")


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "webp", "tif"])
def test_truncated_files_of_every_common_format_are_noticed(tmp_path, suffix) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = saved(noise, tmp_path / f"whole.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImageError):
        open_image(path)


def test_a_truncated_picture_in_memory_is_noticed(tmp_path) -> None:
    with pytest.raises(UnreadableImageError, match=r"an image \(Pillow image\) cannot be read"):
        open_image(Image.open(damaged(tmp_path, "truncated")))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "F", "I;16", "LAB", "CMYK"])
@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(mode, size) -> None:
    with pytest.raises(DataError, match=rf"it has no pixels \({size[0]} x {size[1]}\)"):
        open_image(Image.new(mode, size))
    with pytest.raises(DataError, match=r"it has no pixels"):
        to_rgb(Image.new(mode, size))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
@pytest.mark.parametrize("open_or_hash", [open_image, image_key])
def test_pipes_and_devices_are_refused_without_waiting(tmp_path, open_or_hash) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"pipe.png cannot be read as an image: it is a pipe, not a regular file\.$"):
        open_or_hash(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"it is a device, not a regular file"):
        open_or_hash(tmp_path / "endless.png")


def test_a_file_is_hashed_within_a_bound(write_picture, monkeypatch) -> None:
    photo = write_picture("photo.png")
    monkeypatch.setattr(images, "MOST_HASHED_BYTES", photo.stat().st_size)
    assert image_key(photo) == image_key(EncodedImage(photo.read_bytes()))
    monkeypatch.setattr(images, "MOST_HASHED_BYTES", photo.stat().st_size - 1)
    with pytest.raises(DataError, match=r"photo.png cannot be read as an image: the file has more than"):
        image_key(photo)


def test_the_bytes_of_a_file_are_the_file(write_picture) -> None:
    photo = write_picture("photo.png")
    encoded = EncodedImage(photo.read_bytes(), "somewhere/photo.png")
    assert open_image(encoded).tobytes() == open_image(photo).tobytes()
    assert image_key(encoded) == image_key(photo)
    assert describe(encoded, 3) == "somewhere/photo.png"
    with pytest.raises(
        UnreadableImageError, match=r"^an image \(bytes\) cannot be read as an image: it is not an image"
    ):
        open_image(EncodedImage(b"no picture"))
    assert "no picture" not in repr(EncodedImage(b"no picture"))


def test_a_pixel_key_is_the_same_however_the_picture_is_stored(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    stored = [saved(picture, tmp_path / f"a.{suffix}") for suffix in ("png", "bmp", "tif")]
    stored.append(saved(picture, tmp_path / "b.png", compress_level=0))
    keys = {pixel_key(open_image(source)) for source in [*stored, pixels, picture, pixels / np.float32(255)]}
    assert keys == {image_key(pixels)}
    assert pixel_key(open_image(pixels[::-1])) not in keys
    assert len({image_key(path) for path in stored}) == 4


def test_a_pixel_key_of_a_large_picture_is_that_of_its_bytes_in_one_piece(monkeypatch) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 30, 3), dtype=np.uint8))
    whole = pixel_key(picture)
    monkeypatch.setattr(upright, "TILE_SIDE", 16)
    assert pixel_key(picture) == whole


def test_a_picture_beyond_pillows_limit_is_a_sentence(write_picture, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    with pytest.raises(DataError, match=r"limit against decompression bombs"):
        open_image(write_picture("large.png"))


def test_all_unreadable_images_are_found_with_their_reasons(tmp_path, write_picture) -> None:
    good = write_picture("good.png")
    images = [damaged(tmp_path, "empty"), good, damaged(tmp_path, "text"), np.zeros(3, np.uint8), Scene("red")]
    steps = []
    failures = find_unreadable(
        [Sample(image, 0, "any") for image in images], progress=lambda done, total: steps.append((done, total))
    )
    assert list(failures) == [str(images[0]), str(images[2]), "image 3 (array)"]
    assert failures[str(images[0])] == "it is empty (0 bytes)."
    assert steps == [(n, 5) for n in range(1, 6)]


def test_a_file_key_follows_its_bytes_and_not_its_name(write_picture) -> None:
    red, again, blue = write_picture("a/red.png"), write_picture("b/other.png"), write_picture("blue.png", "blue")
    assert image_key(red) == image_key(str(again)) != image_key(blue)


def test_a_key_in_memory_follows_the_pixels_and_the_shape() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert image_key(array) == image_key(Image.fromarray(array)) != image_key(array.reshape(4, 2, 3))


def test_a_composed_image_has_its_own_key() -> None:
    assert image_key(Scene("red")) == image_key(Scene("red")) != image_key(Scene("blue"))


def test_the_key_of_a_missing_file_is_a_sentence(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no such file"):
        image_key(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("source", "index", "words"),
    [
        (Path("a/b.png"), 3, "a/b.png"),
        (np.zeros((1, 1), np.uint8), 12, "image 12 (array)"),
        (Image.new("L", (1, 1)), 0, "image 0 (Pillow image)"),
        (Scene("red"), 1, "image 1 (composed)"),
    ],
)
def test_an_image_is_described_so_that_its_owner_finds_it(source, index, words) -> None:
    assert describe(source, index).replace("\\", "/") == words
