"""What is refused before anything is computed."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.checks import (
    check_class_names,
    check_dataset,
    check_same_length,
    check_training_images,
    comparable_words,
    is_number,
    normal_name,
    refuse_numbers,
)
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError


def dataset_of(*names: str) -> Dataset:
    return Dataset("pets", tuple(Sample(Path("any.png"), label, name) for label, name in enumerate(names)))


def test_images_and_labels_of_different_length_are_refused_with_both_numbers() -> None:
    with pytest.raises(DataError, match=r"there are 3 images but 2 labels"):
        check_same_length([1, 2, 3], ["cat", "dog"])


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"there are no images"):
        check_same_length([], [])


def test_a_data_set_without_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"pets holds no images"):
        check_dataset(dataset_of())


def test_one_class_only_is_refused_with_its_name() -> None:
    with pytest.raises(DataError, match=r"pets has only the class 'cat'; at least 2 classes are needed"):
        check_dataset(dataset_of("cat"))


def test_a_data_set_without_training_images_is_refused_with_what_it_has() -> None:
    tested = replace(dataset_of(), test=dataset_of("cat", "dog").train)
    with pytest.raises(DataError, match=r"pets has no images to train on, only test images"):
        check_training_images(tested)


def test_a_data_set_with_training_images_of_one_class_is_refused_with_its_name() -> None:
    whole = dataset_of("cat", "dog")
    with pytest.raises(DataError, match=r"pets has images to train on of the class 'cat' only; at least 2"):
        check_training_images(replace(whole, train=whole.train[:1], test=whole.train))


@pytest.mark.parametrize(
    "sign", ["\u200c", "\u200d", "\u200e", "\u202e", "\u2069", "\ufe0f", "\u061c"], ids=lambda sign: f"{ord(sign):04x}"
)
def test_signs_that_nobody_sees_tell_no_classes_apart(sign) -> None:
    with pytest.raises(DataError, match="are the same words to the model"):
        check_class_names(["cat", f"cat{sign}"])
    with pytest.raises(DataError, match="needs at least one word"):
        check_class_names(["cat", sign])


def test_joiners_within_emoji_tell_classes_apart() -> None:
    check_class_names(["\U0001f469\u200d\U0001f680", "\U0001f469\U0001f680"])


def test_one_class_is_enough_where_that_is_said() -> None:
    check_dataset(dataset_of("cat"), minimum_classes=1)


@pytest.mark.parametrize("name", ["", "  ", "_", "\t\n"])
def test_an_empty_class_name_is_refused_with_its_place(name) -> None:
    with pytest.raises(DataError, match=r"class name 1 is .* needs at least one word"):
        check_class_names(["cat", name])


def test_a_class_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match=r"class name 0 is 7; class names must be text"):
        check_class_names([7])  # type: ignore[list-item]


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(DataError, match=r"'cat' is given twice"):
        check_class_names(["cat", "dog", "cat"])


@pytest.mark.parametrize("other", ["golden retriever", "Golden_Retriever", "golden  retriever ", "GOLDEN_retriever"])
def test_two_names_of_the_same_words_are_refused_with_both(other) -> None:
    with pytest.raises(DataError, match=r"'golden_retriever' and '.*' are the same words"):
        check_class_names(["golden_retriever", other])


@pytest.mark.parametrize("label", ["", "  ", "\udce9"])
def test_a_label_that_is_no_text_is_refused_whatever_its_words(label) -> None:
    dataset = replace(dataset_of("cat", label), class_words={label: "dog"})
    with pytest.raises(DataError, match=r"class name 1 is "):
        check_dataset(dataset)


def test_a_label_of_two_classes_is_refused_where_names_may_not_repeat() -> None:
    with pytest.raises(DataError, match=r"'cat' is given twice"):
        check_dataset(replace(dataset_of("cat", "cat"), class_words={"cat": "kitten"}))


def test_published_names_may_repeat() -> None:
    check_dataset(replace(dataset_of("missile", "missile"), names_are_published=True))


@pytest.mark.parametrize(
    "other",
    ["cafe\u0301 d'or", "caf\u00e9 d\u2019or", "CAF\u00c9 d'or", "caf\u00e9\u200b d&#39;or", "caf\u00e9\u00a0d'or"],
)
def test_two_names_that_look_the_same_are_refused(other) -> None:
    with pytest.raises(DataError, match=r"are the same words|are one name in two spellings"):
        check_class_names(["caf\u00e9 d'or", other])


def test_two_spellings_of_unicode_are_told_apart_by_their_signs() -> None:
    with pytest.raises(DataError, match=r"'caf\\xe9' and 'cafe\\u0301' are one name in two spellings"):
        check_class_names(["caf\u00e9", "cafe\u0301"])


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\x1b[0m", "a\u2028b", "a\x00"])
def test_control_characters_in_a_name_are_refused(name) -> None:
    with pytest.raises(DataError, match=r"class name 1 is .*, which has the control character U\+[0-9A-F]{4}; take it"):
        check_class_names(["cat", name])


@given(st.text(max_size=8))
def test_the_normal_name_is_the_same_for_every_form_of_unicode_and_of_itself(name) -> None:
    normal = normal_name(name)
    assert normal == normal_name(normal) == normal_name(unicodedata.normalize("NFD", name))
    assert not set(normal) & set("\t\n\r\x0b\x0c\x85\u2028\u2029\u00a0")
    assert comparable_words(normal) == comparable_words(name)


@pytest.mark.parametrize(
    "name",
    [
        "0",
        "007",
        "-1",
        "+2",
        "0.0",
        "1e3",
        "1_000",
        "1,000",
        "1,5",
        " 7 ",
        "0x1F",
        "\u0663",
        "\u00bd",
        "\u22121",
        "1 2",
    ],
)
def test_numbers_in_any_writing_are_known(name) -> None:
    assert is_number(name)
    with pytest.raises(DataError, match=r"is a number, which says nothing to the model; give words"):
        refuse_numbers(["cat", name], "give words")


@pytest.mark.parametrize(
    "name", ["cat", "737-200", "A300B4", "2012 BMW", "nan", "infinity", "", "-", "e", "10/11", "1st"]
)
def test_what_is_more_than_a_number_is_a_name(name) -> None:
    assert not is_number(name)
    refuse_numbers([name], "give words")


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), max_size=8))
def test_names_pass_exactly_when_their_words_differ_and_are_not_empty(names) -> None:
    words = [comparable_words(name) for name in names]
    usable = all(words) and len(set(words)) == len(words)
    if usable:
        check_class_names(names)
    else:
        with pytest.raises(DataError):
            check_class_names(names)
