"""Labels of every kind come out as they went in, and prompts have words for them."""

from __future__ import annotations

import enum
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning

from vlprompt.data.labels import ClassNamesWarning, classes_named, classes_of, classes_saved, label_array
from vlprompt.errors import DataError, UnknownNameError

WORDS = ["a cat", "a dog", "an emu"]


class Animal(enum.Enum):
    """Labels that have no order of their own."""

    DOG = "dog"
    CAT = "cat"


@pytest.mark.parametrize(
    ("labels", "classes", "kind"),
    [
        ([2, 0, 1, 0], [0, 1, 2], np.int64),
        (np.array([7, 3, 7], np.int8), [3, 7], np.int8),
        (np.array([2, 1], np.uint64), [1, 2], np.uint64),
        ([np.int64(1), np.int64(0)], [0, 1], np.int64),
        (torch.tensor([1, 0, 1]), [0, 1], np.int64),
        ([torch.tensor(1), torch.tensor(0)], [0, 1], np.int64),
        ([True, False], [False, True], np.bool_),
        ([1.0, -1.0], [-1.0, 1.0], np.float64),
        (["dog", "cat", "dog"], ["cat", "dog"], np.str_),
        (np.array(["dog", "cat"], object), ["cat", "dog"], np.object_),
        ([("cat", 1), ("cat", 0)], [("cat", 0), ("cat", 1)], np.object_),
        ([Animal.DOG, Animal.CAT], [Animal.CAT, Animal.DOG], np.object_),
    ],
)
@pytest.mark.filterwarnings("ignore::vlprompt.data.labels.ClassNamesWarning")
def test_classes_are_the_sorted_labels_of_the_callers_type(labels, classes, kind):
    found = classes_of(labels)
    assert found.values.tolist() == classes
    assert found.values.dtype.type is kind
    assert found.values[found.places(labels)].tolist() == label_array(labels).tolist()


# NumPy drops a NUL at the end of text.
TEXT = st.text(st.characters(min_codepoint=1, codec="latin-1"), min_size=1)


@given(st.one_of(*[st.lists(each, min_size=1) for each in (TEXT, st.integers(-9, 9), st.booleans())]))
def test_whatever_the_labels_are_their_places_give_them_back(labels):
    with warnings.catch_warnings(action="ignore"):
        found = classes_of(labels)
    assert found.values[found.places(labels)].tolist() == labels
    assert found.values.tolist() == sorted(set(labels))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("cat", "labels is the one text 'cat'"),
        (["cat", None], "label 1 is None"),
        (["cat", float("nan")], "label 1 is nan"),
        ([1.0, np.nan], "label 1 is nan"),
        ([0.0, np.inf], "label 1 is inf"),
        ([0, 0.5], "label 1 is 0.5; labels name classes, so numbers must be whole"),
        ([1, "1"], "labels are of several kinds"),
        ([True, 1], "labels are of several kinds"),
        ([[0, 1], [1, 0]], r"labels have the shape \(2, 2\)"),
        ([[0, 1], [1]], "lists of different lengths"),
        (np.zeros((2, 2)), r"labels have the shape \(2, 2\)"),
        ([{"a": 1}, {"b": 2}], "label 0 is {'a': 1}; it must be a class name"),
        (np.array([b"cat", b"dog"]), "which is bytes"),
    ],
)
def test_labels_that_are_none_are_refused_in_a_sentence(labels, sentence):
    with pytest.raises(DataError, match=sentence):
        classes_of(labels)


def test_a_column_of_labels_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        assert label_array(np.array([["a"], ["b"]])).tolist() == ["a", "b"]


def test_two_labels_of_the_same_text_are_refused():
    class Same:
        def __init__(self, value):
            self.value = value

        def __str__(self):
            return "same"

    with pytest.raises(DataError, match="two labels both read 'same'"):
        classes_of([Same(1), Same(2)])


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"  # as keyboards write it, and as a Mac's folders do


@pytest.mark.parametrize(("fitted", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_label_is_known_in_every_spelling_of_unicode_and_comes_out_as_it_was(fitted, asked):
    found = classes_of([fitted, "bar"], {asked: "a coffee house"})
    assert found.values.tolist() == ["bar", fitted]
    assert found.class_words == {COMPOSED: "a coffee house"}
    assert found.places([asked, "bar"]).tolist() == [1, 0]


def test_two_spellings_of_one_label_are_no_two_classes():
    with pytest.raises(DataError, match="two labels both read"):
        classes_of([COMPOSED, DECOMPOSED])


# --- words ---


@pytest.mark.parametrize("labels", [[2, 0, 1], [30, 10, 20], [3, 1, 2], [1.0, -1.0, 0.0], np.array([2, 0, 1], np.int8)])
def test_a_list_of_words_is_in_the_order_of_the_sorted_labels(labels):
    found = classes_of(labels, WORDS)
    assert [found.class_words[name] for name in found.names] == WORDS


@pytest.mark.parametrize(
    "names", [{0: "a cat", 2: "an emu"}, {"0": "a cat", "2": "an emu"}, {0: "a cat", 1: "b", 2: "an emu"}]
)
def test_a_mapping_gives_each_label_its_words(names):
    assert classes_of([2, 0], names).class_words == {"0": "a cat", "2": "an emu"}


def test_labels_that_count_from_0_may_lack_some_as_in_a_fold():
    assert classes_of([2, 0], WORDS).class_words == {"0": "a cat", "2": "an emu"}


@pytest.mark.parametrize("labels", [[1, 2], [5, 6], [-1, 1]])
def test_a_list_that_could_mean_two_things_is_refused(labels):
    with pytest.raises(DataError, match=r"class_names has 3 entries for the 2 labels .*; give a mapping"):
        classes_of(labels, WORDS)


def test_numbers_of_text_labels_find_the_words_of_the_text():
    assert classes_of([1, 0], {"n02": "a dog", "n01": "a cat"}).class_words == {"0": "a cat", "1": "a dog"}


def test_text_labels_keep_their_own_words_where_a_mapping_has_none():
    assert classes_of(["cat", "dog"], {"dog": "a small dog", "elk": "an elk"}).class_words == {"dog": "a small dog"}


@pytest.mark.filterwarnings("error")
def test_text_labels_need_no_words():
    assert classes_of(["dog", "cat"]).class_words == {}


@pytest.mark.parametrize(
    "labels", [[0, 1], ["0", "1"], ["1e3", "0x1f"], ["1,5", "\u00bd"], ["-1", "1"], ["0.0", "1.0"], [False, True]]
)
def test_a_number_alone_is_never_what_a_prompt_says(labels):
    with pytest.warns(ClassNamesWarning, match="labels are (numbers|truth values) such as"):
        found = classes_of(labels)
    assert [found.class_words[name] for name in found.names] == [f"class {name}" for name in found.names]


@pytest.mark.parametrize("names", [["7", "8"], {0: "7", 1: "8"}])
def test_words_that_are_numbers_are_refused(names):
    with pytest.raises(DataError, match="'7', '8' are numbers, which say nothing to the model"):
        classes_of([0, 1], names)


def test_a_class_without_pictures_is_left_out_and_named():
    with pytest.warns(ClassNamesWarning, match="no image is labelled 'emu'"):
        assert classes_of(["cat", "dog"], ["dog", "emu", "cat"]).names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("labels", "names", "error", "sentence"),
    [
        (["cst"], ["cat", "dog"], UnknownNameError, "did you mean cat"),
        (["cat"], ["cat", "cat"], DataError, "'cat' is given twice"),
        (["cat"], {"dog": "a dog"}, DataError, "no words for the label 'cat'"),
        ([0, 1], {0: "a cat"}, DataError, "no words for the label 1"),
        ([0, 1], ["a cat", 7], DataError, "class name 1 is 7"),
        ([0, 1], {0: "a cat", 1: " "}, DataError, "class name 1 is ' '"),
        ([0, 1], "a cat", DataError, "class_names is the one text"),
    ],
)
def test_words_that_do_not_fit_are_refused(labels, names, error, sentence):
    with pytest.raises(error, match=sentence):
        classes_of(labels, names)


def test_classes_can_be_named_with_labels_of_any_kind_in_any_order():
    found = classes_named({7: "an okapi", 3: "a quokka"})
    assert (found.values.tolist(), found.names, found.kind) == ([7, 3], ["7", "3"], "int")
    assert found.class_words == {"7": "an okapi", "3": "a quokka"}


@pytest.mark.parametrize("names", [[7, 3], ["okapi", None], ["okapi", ""], {"a": 3, "b": "bee"}, {None: "a", "b": "b"}])
def test_names_and_words_of_classes_must_be_text(names):
    with pytest.raises(DataError):
        classes_named(names)


@pytest.mark.parametrize("labels", [["b", "a"], [2, 1], [True, False], [2.0, -1.0]])
@pytest.mark.filterwarnings("ignore::vlprompt.data.labels.ClassNamesWarning")
def test_saved_labels_are_of_their_kind_again(labels):
    found = classes_of(labels)
    again = classes_saved(found.names, found.kind)
    assert again.values.tolist() == found.values.tolist()
    assert again.values.dtype.kind == found.values.dtype.kind


@pytest.mark.parametrize(("names", "kind"), [(["a"], "int"), (["1"], "bool"), (["x"], "float"), (["a"], "tuple")])
def test_text_that_is_no_label_of_its_kind_is_refused(names, kind):
    with pytest.raises(ValueError, match="kind|literal|could not convert"):
        classes_saved(names, kind)


class Kind(str, enum.Enum):  # noqa: UP042 (a StrEnum would print its text)
    """Text with a name."""

    ANT = "an ant"
    BEE = "a bee"


def test_members_of_an_enumeration_that_are_text_count_as_their_text():
    classes = classes_of([Kind.BEE, Kind.ANT])
    assert classes.values.tolist() == ["a bee", "an ant"]
    assert classes.places(["an ant", Kind.BEE, Kind.ANT]).tolist() == [1, 0, 1]


class NAType:
    """Like pandas' NA, which has no truth value when it is compared."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "labels are missing"),
        (5, "labels is a int; it must be a list"),
        ({0: "cat", 1: "dog"}, "labels is a dict; it must be a list"),
        ({"cat", "dog"}, "labels is a set; it must be a list"),
        ([b"cat", b"dog"], "label 0 is b'cat', which is bytes"),
        (["cat", NAType()], "label 1 is .*every image needs a label"),
    ],
)
def test_what_is_no_list_of_labels_is_named(labels, said):
    with pytest.raises(DataError, match=said):
        label_array(labels)


@pytest.mark.parametrize("class_names", [5, {"cat", "dog"}, (name for name in ("cat", "dog")), {"cat": 1}.keys()])
def test_class_names_that_are_no_list_are_refused(class_names):
    with pytest.raises(DataError, match="it must be a list or a mapping"):
        classes_of([0, 1], class_names)


def test_an_empty_list_of_class_names_is_named():
    with pytest.raises(DataError, match="class_names is empty"):
        classes_of(["cat", "dog"], [])


def test_a_saved_label_that_another_would_equal_is_refused():
    with pytest.raises(ValueError, match="'01' is no label of the kind int"):
        classes_saved(["1", "01"], "int")
