"""What callers call images: ordered collections of pictures, and never one picture alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vlprompt.data.image_lists import image_list
from vlprompt.data.images import image_key, open_image
from vlprompt.data.samples import EncodedImage
from vlprompt.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
TENSOR = torch.from_numpy(PIXELS).permute(2, 0, 1)


def png(pixels: np.ndarray = PIXELS) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


class Series:
    """What a pandas Series shows of itself."""

    def __init__(self, values: list) -> None:
        self.values, self.iloc = values, None

    def tolist(self) -> list:
        return self.values


class Frame:
    """What a pandas DataFrame shows of itself."""

    def __init__(self, **columns: list) -> None:
        self.columns = list(columns)
        self._values = list(columns.values())

    @property
    def iloc(self) -> Frame:
        return self

    def __getitem__(self, place: tuple[slice, int]) -> Series:
        return Series(self._values[place[1]])

    def __iter__(self):
        return iter(self.columns)


ONE_PICTURE = {
    "path": "a.png",
    "Path": Path("a.png"),
    "Pillow image": Image.fromarray(PIXELS),
    "array": PIXELS,
    "array with channels first": PIXELS.transpose(2, 0, 1),
    "array with one channel": PIXELS[:, :, :1],
    "grey array": PIXELS[:, :, 0],
    "float array": PIXELS / 255,
    "tensor": TENSOR,
    "grey tensor": TENSOR[0],
    "bytes": png(),
    "bytearray": bytearray(png()),
    "open file": io.BytesIO(png()),
    "encoded": EncodedImage(png()),
    "Hugging Face row": {"bytes": png(), "path": "a.png"},
}


@pytest.mark.parametrize("kind", ONE_PICTURE)
def test_one_picture_alone_is_refused(kind) -> None:
    with pytest.raises(DataError, match=r"^images is one .*it must be a list of images, such as \[image\]"):
        image_list(ONE_PICTURE[kind])


@pytest.mark.parametrize("kind", ONE_PICTURE)
def test_one_picture_in_a_list_is_one_picture(kind) -> None:
    (source,) = image_list([ONE_PICTURE[kind]])
    if not isinstance(source, Path) and "grey" not in kind and "one channel" not in kind:
        assert np.array_equal(np.asarray(open_image(source)), PIXELS)


@pytest.mark.parametrize(
    "several",
    [
        np.stack([PIXELS, PIXELS]),
        np.stack([PIXELS, PIXELS]) / 255,
        np.stack([PIXELS, PIXELS]).transpose(0, 3, 1, 2),
        torch.stack([TENSOR, TENSOR]),
        torch.stack([TENSOR, TENSOR]).float() / 255,
        (image for image in (PIXELS, TENSOR)),
        map(np.asarray, [PIXELS, PIXELS]),
        (PIXELS, png()),
        [{"bytes": png(), "path": None}, io.BytesIO(png())],
        {"a": PIXELS, "b": PIXELS}.values(),
        Series([PIXELS, png()]),
        Frame(image=[{"bytes": png(), "path": None}, PIXELS]),
    ],
    ids=lambda several: type(several).__name__,
)
def test_several_pictures_come_one_by_one(several) -> None:
    sources = image_list(several)
    assert len(sources) == 2
    assert all(np.array_equal(np.asarray(open_image(source)), PIXELS) for source in sources)


def test_several_grey_pictures_are_an_array_without_channels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    assert [source.shape for source in image_list(grey)] == [(28, 28)] * 7
    with pytest.raises(DataError, match=r"several grey ones: list\(images\)"):
        image_list(grey[:3])
    assert len(image_list(list(grey[:3]))) == 3


@pytest.mark.parametrize(
    "paths",
    [
        np.array(["a.png", "b.png"]),
        np.array(["a.png", "b.png"], object),
        np.array([["a.png"], ["b.png"]], object),
        Series(["a.png", Path("b.png")]),
        Frame(path=["a.png", "b.png"]),
    ],
    ids=["text", "objects", "a column", "Series", "DataFrame"],
)
def test_paths_may_stand_in_an_array_or_a_column(paths) -> None:
    assert image_list(paths) == [Path("a.png"), Path("b.png")]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ({"a.png", "b.png"}, r"images is a set, which has no order"),
        (frozenset(), r"images is a set"),
        ({"image": ["a.png"]}, r"images is a dict; it must be a list"),
        (7, r"images is a int; it must be a list"),
        (None, r"images is a NoneType; it must be a list"),
        (Frame(path=["a.png"], label=["cat"]), r"a DataFrame with 2 columns \('path', 'label'\); give one"),
        (np.array([["a.png", "cat"]]), r"an array of 2 axes, \(1, 2\); of paths it must be one column"),
        (np.zeros((2, 2, 2, 2, 3)), r"an array of shape \(2, 2, 2, 2, 3\)"),
        (np.zeros((2, 5, 5, 2)), r"an array of shape \(2, 5, 5, 2\)"),
        (np.zeros(3), r"an array of shape \(3,\)"),
        (["a.png", None], r"^image 1 \(NoneType\) cannot be used; it must be a path"),
        ([[1, 2], [3, 4]], r"^image 0 \(list\) cannot be used"),
        ([("a.png", "cat")], r"^image 0 \(tuple\) cannot be used"),
        ([float("nan")], r"^image 0 \(float\) cannot be used"),
        ([{"bytes": None, "path": None}], r"^image 0 has neither bytes nor a path"),
        ([io.StringIO("text")], r"^image 0 is a file that is open for text"),
    ],
)
def test_what_is_no_list_of_pictures_is_a_sentence(images, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        image_list(images)
    assert len(str(caught.value)) < 300


def test_an_open_file_is_read_and_has_its_name(write_picture) -> None:
    photo = write_picture("photo.png")
    with photo.open("rb") as file:
        (source,) = image_list([file])
    assert str(source) == str(photo)
    assert image_key(source) == image_key(photo)


def test_a_hugging_face_row_is_its_bytes_or_its_path() -> None:
    by_bytes, by_path = image_list([{"bytes": png(), "path": "x/a.png"}, {"bytes": None, "path": "x/b.png"}])
    assert by_bytes == EncodedImage(png(), "x/a.png")
    assert by_path == Path("x/b.png")


def test_an_open_file_at_its_end_is_read_from_its_start() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    first, again = (image_list([file])[0] for _ in range(2))
    assert isinstance(first, EncodedImage)
    assert first == again
    assert first.data.startswith(b"\x89PNG")


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO(b"a picture")
    file.close()
    with pytest.raises(DataError, match=r"image 0 is an open file that cannot be read \(.*closed"):
        image_list([file])
