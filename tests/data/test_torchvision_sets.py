"""Data set objects of torchvision, and others in their manner."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import FakeData, ImageFolder

from vlprompt.data.images import find_unreadable, image_key, open_image
from vlprompt.data.torchvision_sets import IndexedImage, dataset_from_data_sets, is_data_set, samples_from_data_set
from vlprompt.errors import DataError


class Digits:
    """In the manner of torchvision's MNIST, counting how many items are made."""

    classes = ("0 - zero", "1 - one", "2 - two")

    def __init__(self, labels=(2, 0, 2), transform=None) -> None:
        self.targets = torch.tensor(labels)
        self.transform = transform or (lambda image: image)
        self.made = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int):
        self.made += 1
        return self.transform(Image.new("L", (4, 4), 10 * index)), int(self.targets[index])


def test_an_image_folder_gives_its_paths(write_folder) -> None:
    folder = ImageFolder(str(write_folder("pets", cat=2, dog=1)), transform=lambda image: 1 / 0)
    samples = samples_from_data_set(folder)
    assert [(sample.image.name, sample.label, sample.class_name) for sample in samples] == [
        ("0.png", 0, "cat"),
        ("1.png", 0, "cat"),
        ("0.png", 1, "dog"),
    ]


def test_items_are_made_only_when_their_image_is_opened() -> None:
    digits = Digits()
    samples = samples_from_data_set(digits)
    assert [sample.class_name for sample in samples] == ["2 - two", "0 - zero", "2 - two"]
    assert digits.made == 0
    assert open_image(samples[1].image).getpixel((0, 0)) == (10, 10, 10)
    assert digits.made == 1


def test_the_key_of_an_item_follows_its_pixels() -> None:
    first, second, third = (sample.image for sample in samples_from_data_set(Digits()))
    assert image_key(first) == image_key(IndexedImage(Digits(), 0)) != image_key(second)
    assert image_key(second) != image_key(third)


def test_labels_without_a_list_of_them_are_read_from_the_items() -> None:
    samples = samples_from_data_set(FakeData(size=4, image_size=(3, 8, 8), num_classes=2), ["cat", "dog"])
    assert len(samples) == 4
    assert open_image(samples[0].image).size == (8, 8)


def test_a_target_transform_is_applied() -> None:
    digits = Digits()
    digits.target_transform = lambda label: 2 - label
    assert [sample.label for sample in samples_from_data_set(digits)] == [0, 2, 0]


def test_a_subset_gives_its_part() -> None:
    subset = torch.utils.data.Subset(Digits(), [1, 2])
    assert is_data_set(subset)
    assert [sample.label for sample in samples_from_data_set(subset)] == [0, 2]


def test_of_several_names_for_a_class_the_first_counts() -> None:
    digits = Digits()
    digits.classes = [("tench", "Tinca tinca"), ("goldfish",), ("great white shark", "man-eater")]
    assert samples_from_data_set(digits)[0].class_name == "great white shark"


def test_in_a_data_set_labels_count_from_zero_without_absent_classes() -> None:
    dataset = dataset_from_data_sets(Digits((2, 0)), test=Digits((2, 2)))
    assert dataset.class_names == ["0 - zero", "2 - two"]
    assert [sample.label for sample in (*dataset.train, *dataset.test)] == [1, 0, 1, 1]
    assert dataset.name == "Digits"


def test_a_transform_to_tensors_is_refused_with_what_to_do() -> None:
    samples = samples_from_data_set(Digits(transform=lambda image: torch.zeros(3, 4, 4)))
    with pytest.raises(DataError, match=r"item 0 of Digits is a Tensor; .* make it without a transform"):
        open_image(samples[0].image)
    assert len(find_unreadable(samples)) == 3


def test_arrays_as_items_are_images() -> None:
    samples = samples_from_data_set(Digits(transform=lambda image: np.asarray(image.convert("RGB"))))
    assert open_image(samples[2].image).getpixel((0, 0)) == (20, 20, 20)


def test_an_object_without_class_names_is_refused_with_what_to_do() -> None:
    fake = FakeData(size=2)
    assert not is_data_set(fake)
    with pytest.raises(DataError, match=r"FakeData has no attribute `classes`; give class_names"):
        samples_from_data_set(fake)


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"item 0 of Digits has label 2, but there are 2 class names"):
        samples_from_data_set(Digits(), ["zero", "one"])


@pytest.mark.parametrize("other", [["a.png"], "a.png", np.zeros((2, 4, 4, 3)), {"classes": 1}])
def test_lists_and_arrays_are_no_data_set_objects(other) -> None:
    assert not is_data_set(other)


def test_classes_that_are_numbers_need_class_names() -> None:
    digits = Digits()
    digits.classes = ("0", "1", "2")  # type: ignore[misc]
    with pytest.raises(DataError, match=r"class names '0', '1', '2' are numbers.*give class_names in words"):
        samples_from_data_set(digits)
    assert samples_from_data_set(digits, ["zero", "one", "two"])[0].class_name == "two"


def items(labels, names, **more):
    """A data set object with such labels and names."""
    given = Digits((0, 1))
    given.targets, given.classes = labels, names
    vars(given).update(more)
    return given


def test_names_are_in_the_order_that_class_to_idx_says() -> None:
    samples = samples_from_data_set(items([0, 1], ["cat", "dog"], class_to_idx={"dog": 0, "cat": 1}))
    assert [sample.class_name for sample in samples] == ["dog", "cat"]


@pytest.mark.parametrize("label", ["a", None, 0.5, float("nan"), [0, 1], np.array([0, 1])])
def test_labels_that_are_no_whole_numbers_are_a_sentence(label) -> None:
    with pytest.raises(DataError, match=r"item 1 of Digits has the label .*; it must be a whole number"):
        samples_from_data_set(items([0, label], ["cat", "dog"]))


@pytest.mark.parametrize("name", [7, None, ()])
def test_names_that_are_no_text_are_a_sentence(name) -> None:
    with pytest.raises(DataError, match=r"class name 1 is .*; class names must be text"):
        samples_from_data_set(items([0, 1], ["cat", name]))


def test_names_that_are_one_text_are_refused() -> None:
    with pytest.raises(DataError, match=r"class_names is the one text 'ab'; it must be a list"):
        samples_from_data_set(Digits((0, 1)), "ab")
