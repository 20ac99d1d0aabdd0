"""Lists of images with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlprompt.data.in_memory import dataset_from_lists, label_images
from vlprompt.errors import DataError, UnknownNameError

ARRAY = np.zeros((4, 4, 3), np.uint8)


def test_paths_pillow_images_and_arrays_may_be_mixed() -> None:
    picture = Image.new("RGB", (4, 4))
    samples = label_images(["a.png", Path("b.png"), picture, ARRAY], ["cat", "dog", "cat", "ant"])
    assert [sample.label for sample in samples] == [1, 2, 1, 0]
    assert samples[0].image == Path("a.png")
    assert samples[2].image is picture
    assert samples[3].image is ARRAY


def test_an_array_of_images_is_a_list_of_images() -> None:
    samples = label_images(np.zeros((3, 4, 4, 3), np.uint8), np.array(["b", "a", "b"]))
    assert [(sample.class_name, sample.image.shape) for sample in samples] == [
        ("b", (4, 4, 3)),
        ("a", (4, 4, 3)),
        ("b", (4, 4, 3)),
    ]


@pytest.mark.parametrize("labels", [[1, 0], np.array([1, 0]), torch.tensor([1, 0])])
def test_numbers_count_into_the_class_names(labels) -> None:
    samples = label_images([ARRAY, ARRAY], labels, ["cat", "dog"])
    assert [(sample.label, sample.class_name) for sample in samples] == [(1, "dog"), (0, "cat")]


def test_class_names_set_the_order_of_text_labels() -> None:
    samples = label_images([ARRAY, ARRAY], ["cat", "dog"], ["dog", "emu", "cat"])
    assert [sample.label for sample in samples] == [2, 0]


@pytest.mark.parametrize(
    ("images", "labels", "names", "sentence"),
    [
        ([], [], None, r"there are no images"),
        ([ARRAY] * 3, ["cat", "dog"], None, r"there are 3 images but 2 labels"),
        ([ARRAY] * 2, [0, 1], None, r"labels are numbers such as 0; give class_names"),
        ([ARRAY] * 2, [None, None], None, r"labels are no text such as None; give class_names"),
        ([ARRAY] * 2, [0, 2], ["cat", "dog"], r"label 1 is 2; with 2 class names it must be 0 to 1"),
        ([ARRAY] * 2, [0, -1], ["cat", "dog"], r"label 1 is -1"),
        ([ARRAY] * 2, [0, 0.5], ["cat", "dog"], r"label 1 is 0.5; it must be a class name or a whole number"),
        ([ARRAY] * 2, ["cat", None], None, r"label 1 is None"),
        ([ARRAY] * 2, [True, False], ["cat", "dog"], r"label 0 is True"),
        ([ARRAY] * 2, ["cat", " "], None, r"needs at least one word"),
        ([ARRAY] * 2, ["big_cat", "Big cat"], None, r"are the same words"),
        ([ARRAY] * 2, ["cat", "dog"], ["cat", "dog", "cat"], r"'cat' is given twice"),
        ([ARRAY, 7], ["cat", "dog"], None, r"image 1 \(int\) cannot be used; it must be a path"),
        ("a.png", ["cat"], None, r"images is one path, 'a.png'; it must be a list"),
        (
            Image.new("L", (2, 2)),
            ["cat"],
            None,
            r"images is one picture; it must be a list of images, such as \[image\]",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence(images, labels, names, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        label_images(images, labels, names)


def test_a_label_that_is_no_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"named 'cst'; did you mean cat"):
        label_images([ARRAY], ["cst"], ["cat", "dog"])


def test_training_and_test_lists_share_their_labels() -> None:
    dataset = dataset_from_lists([ARRAY] * 2, ["cat", "emu"], test_images=[ARRAY], test_labels=["dog"])
    assert dataset.class_names == ["cat", "dog", "emu"]
    assert [sample.label for sample in (*dataset.train, *dataset.test)] == [0, 2, 1]


def test_a_class_without_images_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"the class 'dog' has no images"):
        dataset_from_lists([ARRAY] * 2, ["cat", "emu"], class_names=["cat", "dog", "emu"])


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match=r"pictures has only the class 'cat'"):
        dataset_from_lists([ARRAY], ["cat"])


@given(st.lists(st.sampled_from(["ant", "Bee", "cat", "dog"]), min_size=1))
def test_labels_are_contiguous_and_follow_the_sorted_names(labels) -> None:
    samples = label_images([ARRAY] * len(labels), labels)
    names = sorted(set(labels))
    assert [names[sample.label] for sample in samples] == labels


def test_labels_and_class_names_meet_in_any_form_of_unicode_and_keep_their_own() -> None:
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    assert [sample.class_name for sample in label_images([ARRAY, ARRAY], [nfd, "bar"], [nfc, "bar"])] == [nfc, "bar"]
    assert {sample.class_name for sample in label_images([ARRAY, ARRAY], [nfd, "bar"])} == {nfd, "bar"}
    with pytest.raises(DataError, match=r"are one name in two spellings"):
        label_images([ARRAY, ARRAY], [nfc, nfd])


def test_one_path_with_two_labels_is_refused_with_both_places() -> None:
    with pytest.raises(DataError, match=r"a.png stands among the images twice .*number 0 is 'cat', number 2 'dog'"):
        dataset_from_lists(["a.png", "b.png", Path("a.png")], ["cat", "dog", "dog"])
    assert len(dataset_from_lists(["a.png", "b.png", "a.png"], ["cat", "dog", "cat"]).train) == 3


def test_texts_that_are_numbers_are_no_class_names() -> None:
    with pytest.raises(DataError, match=r"names '0', '1' are numbers.*give whole numbers as labels, and class"):
        dataset_from_lists([ARRAY, ARRAY], ["0", "1"])
    with pytest.raises(DataError, match=r"class names '0.0' is a number.*give class_names in words"):
        dataset_from_lists([ARRAY, ARRAY], [0, 1], class_names=["0.0", "cat"])
    with pytest.raises(DataError, match=r"label 0 is the text '0', which is none of the class names"):
        dataset_from_lists([ARRAY, ARRAY], ["0", "1"], class_names=["cat", "dog"])
