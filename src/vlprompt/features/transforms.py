"""Pixels for the image encoder: OpenCLIP's test transform, and the random crops of the published training recipe.

Both work on Pillow images and stop at uint8; scaling and normalisation follow for a whole batch at once on the
encoder's device. Nothing here imports torch, so that worker processes start quickly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Protocol

import numpy as np
from PIL import Image

CROP_SCALE = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
FLIP_PROBABILITY = 0.5

MOST_LENGTHS = 64
"""An image is resized whole up to so many times its width; no filter reaches so far from the centre."""

_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class Preprocessing(Protocol):
    """What a backbone says about its images; see `vlprompt.backbones.ImagePreprocessing`."""

    @property
    def size(self) -> int: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...
    @property
    def interpolation(self) -> str: ...
    @property
    def resize_mode(self) -> str: ...
    @property
    def fill_color(self) -> int: ...


def evaluation_pixels(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """The image as the encoder is tested on it: (size, size, 3) uint8.

    The same as OpenCLIP's `preprocess_val`, except that of an image more than 64 times as long as wide only the middle
    is resized.
    """
    size = preprocessing.size
    interpolation = _INTERPOLATIONS[preprocessing.interpolation]
    width, height = image.size
    if preprocessing.resize_mode == "squash":
        fitted = _resize(image, (size, size), interpolation)
    elif preprocessing.resize_mode == "longest":
        ratio = max(width, height) / size
        fitted = _resize(image, (max(1, round(width / ratio)), max(1, round(height / ratio))), interpolation)
        fitted = _pad(fitted, size, preprocessing.fill_color)
    else:
        image = _middle(image)
        width, height = image.size
        short, long = sorted((width, height))
        scaled = int(size * long / short)
        fitted = _resize(image, (size, scaled) if width <= height else (scaled, size), interpolation)
        fitted = _crop_centre(fitted, size)
    return np.asarray(fitted)


def view_pixels(image: Image.Image, size: int, seed: int, key: str, view: int) -> np.ndarray:
    """View number `view` of the image, as training sees it: (size, size, 3) uint8.

    A random resized crop (bicubic, with antialiasing) and a horizontal flip, as torchvision's `RandomResizedCrop` and
    `RandomHorizontalFlip` compute them; the randomness comes from (seed, key, view) and nothing else.
    """
    random = Random(f"{seed}/{key}/{view}")
    left, top, width, height = crop_box(*image.size, random)
    # Cropped first: resizing with a box would let pixels outside the crop shine in at its edges.
    crop = image.crop((left, top, left + width, top + height))
    crop = _resize(crop, (size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(crop)
    return pixels[:, ::-1] if random.random() < FLIP_PROBABILITY else pixels


def crop_box(width: int, height: int, random: Random) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop, drawn as in torchvision's `RandomResizedCrop.get_params`."""
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    for _ in range(10):
        area = width * height * (CROP_SCALE[0] + (CROP_SCALE[1] - CROP_SCALE[0]) * random.random())
        ratio = math.exp(low + (high - low) * random.random())
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(random.random() * (height - crop_height + 1))
            left = int(random.random() * (width - crop_width + 1))
            return left, top, crop_width, crop_height
    # No crop of a fitting shape was drawn: the largest one in the middle.
    crop_width, crop_height = width, height
    if width / height < CROP_RATIO[0]:
        crop_height = round(width / CROP_RATIO[0])
    elif width / height > CROP_RATIO[1]:
        crop_width = round(height * CROP_RATIO[1])
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def _middle(image: Image.Image) -> Image.Image:
    """The middle of an image that is many times longer than wide, of which the test transform crops the centre.

    Resized whole, an image of 1 x 60000 pixels would become one of 224 x 13440000.
    """
    short, long = sorted(image.size)
    if long <= MOST_LENGTHS * short:
        return image
    # As much at one end as at the other: the centre stays where it is.
    kept = MOST_LENGTHS * short + (long - MOST_LENGTHS * short) % 2
    start = (long - kept) // 2
    box = (0, start, short, start + kept) if image.width == short else (start, 0, start + kept, short)
    return image.crop(box)


def _resize(image: Image.Image, size: tuple[int, int], interpolation: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, interpolation)


def _crop_centre(image: Image.Image, size: int) -> Image.Image:
    left, top = round((image.width - size) / 2.0), round((image.height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def _pad(image: Image.Image, size: int, fill: int) -> Image.Image:
    canvas = Image.new("RGB", (size, size), (fill, fill, fill))
    canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return canvas


class Transform(Protocol):
    """From an image to the pixels of one of its views."""

    @property
    def name(self) -> str:
        """In cache keys; bump the version suffix when pixels change."""
        ...

    @property
    def seed(self) -> int:
        """Of what is random; 0 where nothing is."""
        ...

    @property
    def is_random(self) -> bool:
        """Whether views depend on the seed and the image's pixel key."""
        ...

    def pixels(self, image: Image.Image, key: str, view: int) -> np.ndarray:
        """View number `view` of the image with this pixel key: (size, size, 3) uint8."""
        ...


@dataclass(frozen=True)
class EvaluationTransform:
    """One view, the one that the encoder is tested on."""

    preprocessing: Preprocessing
    name: str = "evaluation-1"
    seed: int = 0
    is_random: bool = False

    def pixels(self, image: Image.Image, key: str, view: int) -> np.ndarray:
        """The image as `evaluation_pixels` fits it."""
        return evaluation_pixels(image, self.preprocessing)


@dataclass(frozen=True)
class ViewTransform:
    """As many random views as are asked for; the same pixels have the same views, however they are stored."""

    preprocessing: Preprocessing
    seed: int
    name: str = "crop-flip-2"
    is_random: bool = True

    def pixels(self, image: Image.Image, key: str, view: int) -> np.ndarray:
        """The random crop of `view_pixels`."""
        return view_pixels(image, self.preprocessing.size, self.seed, key, view)


def as_plain(transform: Transform) -> dict[str, Any] | None:
    """A transform as JSON has it, for another process; None for one that is not of this module."""
    if type(transform) not in (EvaluationTransform, ViewTransform):
        return None
    names = [entry.name for entry in fields(_Preprocessing)]
    preprocessing = {name: getattr(transform.preprocessing, name) for name in names}  # type: ignore[attr-defined]
    return {"seed": transform.seed if transform.is_random else None, "preprocessing": preprocessing}


def from_plain(plain: dict[str, Any]) -> Transform:
    """The transform that `as_plain` described."""
    preprocessing = _Preprocessing(**plain["preprocessing"])
    if plain["seed"] is None:
        return EvaluationTransform(preprocessing)
    return ViewTransform(preprocessing, plain["seed"])


@dataclass(frozen=True)
class _Preprocessing:
    """A `Preprocessing` without torch."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    fill_color: int
