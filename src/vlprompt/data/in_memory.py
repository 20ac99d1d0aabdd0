"""Images and labels that are Python lists: whatever `image_lists` takes, with class names or numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from vlprompt.data.checks import (
    check_class_names,
    check_dataset,
    check_same_length,
    is_number,
    normal_name,
    refuse_numbers,
)
from vlprompt.data.image_lists import image_list
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, UnknownNameError, quoted


def label_images(images: Any, labels: Iterable[Any], class_names: Sequence[str] | None = None) -> tuple[Sample, ...]:
    """Pairs images with labels; nothing is opened.

    Args:
        images: whatever `image_lists.image_list` takes: paths, Pillow images, arrays, tensors, bytes, open files...
        labels: one per image: class names (in any Unicode normal form), or numbers that count from 0 into
            `class_names`. NumPy's and PyTorch's
            scalars are taken as what they hold.
        class_names: the classes in the order of their labels; by default the names among `labels`, sorted.

    Raises:
        DataError: no images, one image alone, other numbers of images than labels, something that is no image, a label
            that is neither text nor a whole number or out of range, empty or repeated class names.
        UnknownNameError: a label is not among `class_names`.
    """
    sources = image_list(images)
    values = [_plain(label) for label in labels]
    check_same_length(sources, values)
    names = list(class_names) if class_names is not None else _names_among(values)
    check_class_names(names)
    places = {normal_name(name): place for place, name in enumerate(names)}
    numbers = [_number(value, index, names, places) for index, value in enumerate(values)]
    return tuple(Sample(source, number, names[number]) for source, number in zip(sources, numbers, strict=True))


def samples_of_classes(images: Any, labels: Sequence[int], names: Sequence[str]) -> tuple[Sample, ...]:
    """Pairs images with the numbers of classes whose names are known; nothing is opened.

    Raises:
        DataError: no images, other numbers of images than labels, or something that is no image.
    """
    sources = image_list(images)
    check_same_length(sources, labels)
    return tuple(Sample(source, label, names[label]) for source, label in zip(sources, labels, strict=True))


def dataset_from_lists(
    images: Any,
    labels: Iterable[Any],
    *,
    test_images: Any = (),
    test_labels: Iterable[Any] = (),
    class_names: Sequence[str] | None = None,
    name: str = "pictures",
    template: str = "a photo of a {}.",
) -> Dataset:
    """A data set of lists, with test images if given; arguments and errors as in `label_images`.

    Raises:
        DataError: also when fewer than two classes have images, one of `class_names` has none, names are
            numbers, or one path has two labels.
    """
    train_labels, test_values = [_plain(label) for label in labels], [_plain(label) for label in test_labels]
    if class_names is None:
        class_names = _names_among(train_labels + test_values)
        refuse_numbers(class_names, "give whole numbers as labels, and class_names that say what they mean")
    refuse_numbers(class_names, "give class_names in words, such as 'giant panda'")
    tests = image_list(test_images)
    train = label_images(images, train_labels, class_names)
    test = label_images(tests, test_values, class_names) if tests or test_values else ()
    refuse_two_labels(train)
    refuse_two_labels(test, "test ")
    present = {sample.label for sample in (*train, *test)}
    for label, class_name in enumerate(class_names):
        if label not in present:
            raise DataError(f"the class {class_name!r} has no images; add some or leave it out of class_names.")
    dataset = Dataset(name, train, (), test, template)
    check_dataset(dataset)
    return dataset


def refuse_two_labels(samples: Sequence[Sample], what: str = "") -> None:
    """Raises a `DataError` when one path stands there with two labels."""
    first: dict[Path, int] = {}
    for place, sample in enumerate(samples):
        if isinstance(sample.image, Path):
            earlier = first.setdefault(sample.image, place)
            if samples[earlier].label != sample.label:
                raise DataError(
                    f"{sample.image} stands among the {what}images twice with different labels: number {earlier} is "
                    f"{quoted(samples[earlier].class_name)}, number {place} {quoted(sample.class_name)}."
                )


def _plain(label: Any) -> Any:
    """A scalar of NumPy or PyTorch as the Python value that it holds."""
    return label.item() if hasattr(label, "item") and getattr(label, "ndim", 0) == 0 else label


def _names_among(values: Sequence[Any]) -> list[str]:
    names = {value for value in values if isinstance(value, str)}
    if len(names) == 0 and values:
        what = "numbers" if isinstance(values[0], int | float) else "no text"
        raise DataError(f"labels are {what} such as {quoted(values[0])}; give class_names to say what they mean.")
    return sorted(names)


def _number(value: Any, index: int, names: Sequence[str], places: dict[str, int]) -> int:
    if isinstance(value, str):
        if normal_name(value) in places:
            return places[normal_name(value)]
        if is_number(value):
            raise DataError(
                f"label {index} is the text {value!r}, which is none of the class names; labels that count into "
                "class_names must be whole numbers, not text."
            )
        raise UnknownNameError("class (a label says so)", value, names)
    if not isinstance(value, bool) and isinstance(value, Integral):
        if not 0 <= int(value) < len(names):
            raise DataError(
                f"label {index} is {value}; with {len(names)} class names it must be 0 to {len(names) - 1}."
            )
        return int(value)
    raise DataError(f"label {index} is {value!r}; it must be a class name or a whole number.")
