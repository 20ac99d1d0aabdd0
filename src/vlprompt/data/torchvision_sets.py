"""Data set objects in the manner of torchvision: a length, items of (image, label), and names of their classes.

Known by their attributes, so that neither torch nor torchvision is imported. Files are listed without being opened
where the object has a list of them (`samples` or `imgs`); other items are opened when their image is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vlprompt.data.checks import check_class_names, check_dataset, refuse_numbers
from vlprompt.data.formats import is_image_file
from vlprompt.data.images import image_key, to_rgb
from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.splits import keep_labels
from vlprompt.errors import DataError
from vlprompt.settings_checks import LARGEST, plain, shown

LABEL_ATTRIBUTES = ("targets", "labels", "_labels", "y")
"""Where torchvision's data sets keep their labels, so that no picture is opened to learn them."""

NAME_ATTRIBUTES = ("classes", "categories")


@dataclass(frozen=True, eq=False)
class IndexedImage:
    """The image of one item of a data set object, opened when it is needed."""

    data_set: Any
    index: int

    @property
    def content_key(self) -> str:
        """The key of the pixels; the item is opened for it."""
        return image_key(self.open())

    def open(self) -> Image.Image:
        """The image, RGB; a `DataError` when the item's image is not a Pillow image or array."""
        image = self.data_set[self.index][0]
        if hasattr(image, "detach") or not (isinstance(image, Image.Image) or hasattr(image, "__array_interface__")):
            raise DataError(
                f"item {self.index} of {_name(self.data_set)} is a {type(image).__name__}; the data set must give "
                "Pillow images, so make it without a transform."
            )
        return to_rgb(image if isinstance(image, Image.Image) else Image.fromarray(image))


def samples_from_data_set(data_set: Any, class_names: Sequence[str] | None = None) -> tuple[Sample, ...]:
    """The labelled images of a torchvision data set object, or of a `torch.utils.data.Subset` of one.

    Args:
        data_set: has `__len__` and `__getitem__` with (Pillow image, whole number).
        class_names: by label; by default the object's `classes` or `categories`. Of several names for a class (as
            torchvision's ImageNet has) the first counts.

    Raises:
        DataError: no class names are known, a label has none, or names are empty or repeated.
    """
    if hasattr(data_set, "dataset") and hasattr(data_set, "indices"):
        whole = samples_from_data_set(data_set.dataset, class_names)
        return tuple(whole[index] for index in data_set.indices)
    if isinstance(class_names, str):
        raise DataError(f"class_names is the one text {shown(class_names)}; it must be a list.")
    names = list(class_names) if class_names is not None else _class_names(data_set)
    check_class_names(names)
    refuse_numbers(names, "give class_names in words, such as 'giant panda'")
    labels = _labels(data_set)
    images = _images(data_set)
    for index, label in enumerate(labels):
        if not 0 <= label < len(names):
            raise DataError(
                f"item {index} of {_name(data_set)} has label {label}, but there are {len(names)} class names."
            )
    return tuple(Sample(image, label, names[label]) for image, label in zip(images, labels, strict=True))


def dataset_from_data_sets(
    train: Any,
    *,
    test: Any = None,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    template: str = "a photo of a {}.",
) -> Dataset:
    """A data set of one or two torchvision objects; classes without images are left out, labels count from 0.

    Raises:
        DataError: as `samples_from_data_set`; fewer than two classes have images.
    """
    parts = [samples_from_data_set(part, class_names) if part is not None else () for part in (train, test)]
    labels = sorted({sample.label for part in parts for sample in part})
    chosen = [keep_labels(part, labels) for part in parts]
    dataset = Dataset(name or _name(train), chosen[0], (), chosen[1], template)
    check_dataset(dataset)
    return dataset


def is_data_set(source: object) -> bool:
    """Whether it looks like a torchvision data set: items by number and names of classes, or a subset of one."""
    if hasattr(source, "dataset") and hasattr(source, "indices"):
        return is_data_set(source.dataset)
    named = any(hasattr(source, attribute) for attribute in NAME_ATTRIBUTES)
    return named and hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _images(data_set: Any) -> list[Path | IndexedImage]:
    listed = getattr(data_set, "samples", None) or getattr(data_set, "imgs", None)
    if listed and len(listed) == len(data_set):
        paths = [Path(item[0]) for item in listed if isinstance(item[0], (str, Path))]
        if len(paths) == len(listed) and all(map(is_image_file, paths)):
            return list(paths)
    return [IndexedImage(data_set, index) for index in range(len(data_set))]


def _labels(data_set: Any) -> list[int]:
    change = getattr(data_set, "target_transform", None)
    for attribute in LABEL_ATTRIBUTES:
        labels = getattr(data_set, attribute, None)
        if labels is not None and len(labels) == len(data_set):
            numbers = [_whole(data_set, index, label) for index, label in enumerate(labels)]
            return numbers if change is None else [_whole(data_set, *item) for item in enumerate(map(change, numbers))]
    return [_whole(data_set, index, data_set[index][1]) for index in range(len(data_set))]


def _whole(data_set: Any, index: int, label: Any) -> int:
    value = plain(label)
    if not isinstance(value, int | float) or not abs(value) < LARGEST or value != int(value):
        raise DataError(f"item {index} of {_name(data_set)} has the label {shown(value)}; it must be a whole number.")
    return int(value)


def _class_names(data_set: Any) -> list[str]:
    """The names in the order of the labels, which `class_to_idx` says where there is one of the same names."""
    for attribute in NAME_ATTRIBUTES:
        names = getattr(data_set, attribute, None)
        if names is not None:
            listed = [_first_name(name) for name in names]
            places = getattr(data_set, "class_to_idx", None)
            if isinstance(places, dict) and sorted(places.values(), key=str) == sorted(range(len(listed)), key=str):
                listed = sorted(listed, key=lambda name: places[name]) if places.keys() == set(listed) else listed
            return listed
    raise DataError(f"{_name(data_set)} has no attribute `classes`; give class_names.")


def _first_name(name: Any) -> Any:
    """The first of several names; what is no text is refused with the names."""
    return name[0] if isinstance(name, list | tuple) and name else name


def _name(data_set: Any) -> str:
    return type(getattr(data_set, "dataset", data_set)).__name__
