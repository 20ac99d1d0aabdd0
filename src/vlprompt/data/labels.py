"""Labels as Python has them (text, whole numbers, truth values, anything hashable), and the classes that they make.

Labels that are text name their classes. Labels that are numbers do not say what prompts should say, so `class_names`
does: a mapping {0: "cat", 1: "dog"}, or a list of the words in the order of the sorted labels. scikit-learn numbers
text labels in their sorted order before it hands them on (`VotingClassifier`, `cross_val_predict`), which such a list,
or a mapping from the text labels, fits.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlprompt.data.checks import is_number, refuse_numbers
from vlprompt.data.class_words import reword
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, UnknownLabelsWarning, UnknownNameError
from vlprompt.settings_checks import plain, shown
from vlprompt.wording import some_of

KINDS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": {"False": False, "True": True}.__getitem__,
}
"""How a label of each kind is made of its text."""


class ClassNamesWarning(UserWarning):
    """Prompts have nothing better to say for a class than its number, or a class that was named has no picture."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes that labels make.

    Attributes:
        values: the labels, each once, (N,), of the caller's type.
        names: the same as text.
        class_words: what prompts say for a class, by its name, where that is not the name itself.
    """

    values: np.ndarray
    names: list[str]
    class_words: dict[str, str]

    @property
    def kind(self) -> str:
        """What the labels are, one of `KINDS`; whatever else they are, their text remains when they are saved."""
        return {"i": "int", "u": "int", "f": "float", "b": "bool"}.get(self.values.dtype.kind, "str")

    def places(self, labels: Any) -> np.ndarray:
        """The place of each label among the classes, (n,); -1 for a label that is none of them.

        Classes that are numbers are also found by their words.
        """
        by_words = {self.class_words.get(name, name): place for place, name in enumerate(self.names)}
        known: dict[Any, int] = {} if _is_text(self.values) else by_words
        known |= {_comparable(value): place for place, value in enumerate(self.values)}
        return np.array([known.get(_comparable(label), -1) for label in label_array(labels)], dtype=np.int64)


def classes_of(labels: Any, class_names: Sequence[str] | Mapping[Any, str] | None = None) -> Classes:
    """The classes among the labels, sorted, with what prompts say for them.

    Args:
        labels: one per picture.
        class_names: for numbers, their words: a mapping from labels, or a list in the order of the sorted labels, or by
            labels that count from 0. For text, the classes that there are, or a mapping to words where these differ.

    Raises:
        DataError: labels or class names that cannot be used.
        UnknownNameError: a label that is text is not among a list of `class_names`.

    Warns:
        ClassNamesWarning: labels are numbers and nothing says what they mean, or a class that is named has no picture.
    """
    array = label_array(labels)
    values = _distinct(array)
    names = [str(_comparable(value)) for value in values]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two labels both read {shown(twice)}; labels must differ as text, too.")
    words = _words(values, names, class_names)
    if class_names is not None:
        refuse_numbers(words, "give class_names in words, such as 'giant panda'")
    return Classes(values, names, {name: said for name, said in zip(names, words, strict=True) if said != name})


def classes_named(names: Sequence[str] | Mapping[Any, str]) -> Classes:
    """The classes of a list of names, or of a mapping from labels to words, in the order given.

    Raises:
        DataError: names or words that are no text; labels that cannot be used.
    """
    labels = [names] if isinstance(names, str) else list(names)
    if isinstance(names, Mapping):
        values, said = label_array(labels), [_text(words, place) for place, words in enumerate(names.values())]
    else:
        values = label_array([_text(name, place) for place, name in enumerate(labels)])
        said = labels
    texts = [str(_comparable(value)) for value in values]
    return Classes(values, texts, {text: words for text, words in zip(texts, said, strict=True) if text != words})


def classes_saved(names: Sequence[str], kind: str) -> Classes:
    """The classes of a saved model, of their kind again.

    Raises:
        ValueError: a name is not of the kind.
    """
    try:
        values = [KINDS[kind](name) for name in names]
    except KeyError as error:
        raise ValueError(f"{error} is no label of the kind {kind}") from error
    for name, value in zip(names, values, strict=True):
        if str(value) != name:  # "01" would be the same label as "1"
            raise ValueError(f"{name!r:.80} is no label of the kind {kind}")
    return Classes(np.array(values), list(names), {})


def with_words(dataset: Dataset, class_names: Sequence[str] | Mapping[Any, str] | None) -> Dataset:
    """The data set with other words for its classes; it knows itself which classes there are.

    Raises:
        DataError: class names that are no mapping.
        UnknownNameError: words for a class that does not exist.
    """
    if class_names is None:
        return dataset
    if not isinstance(class_names, Mapping):
        raise DataError("class_names is a list, but a Dataset has its own classes; give a mapping to words instead.")
    reword(dataset.class_names, class_names, "class_names")  # refuses unknown ones
    words = {name: _text(said, place) for place, (name, said) in enumerate(class_names.items())}
    merged = {**dataset.class_words, **words}
    return replace(dataset, class_words={name: said for name, said in merged.items() if said != name})


def check_known(labels: Any, places: np.ndarray) -> None:
    """Raise DataError for labels that are none of the classes, as `Classes.places` has found them."""
    for place in np.flatnonzero(places < 0):
        label = shown(plain(label_array(labels)[place]))
        raise DataError(f"label {place} is {label}, which is none of the classes that the classifier was fitted on.")


def warn_of_unknown(labels: Any, places: np.ndarray) -> None:
    """One UnknownLabelsWarning for labels that are none of the classes, as happens in a fold."""
    unknown = label_array(labels)[places < 0]
    if len(unknown):
        warnings.warn(
            f"{len(unknown)} label{'s' * (len(unknown) > 1)} such as {shown(plain(unknown[0]))} are none of the "
            "classes that the classifier was fitted on; their images count as wrong.",
            UnknownLabelsWarning,
            stacklevel=3,
        )


def label_array(labels: Any) -> np.ndarray:
    """Labels as an array (n,), of one kind; arrays keep their type.

    Raises:
        DataError: they are not one per picture, of several kinds, missing (None, NaN), or measures instead of classes.
    """
    if labels is None:
        raise DataError("labels are missing; there must be one for each image.")
    if isinstance(labels, Mapping | AbstractSet) or not (isinstance(labels, Iterable) or hasattr(labels, "__array__")):
        raise DataError(f"labels is a {type(labels).__name__}; it must be a list with a label for each image.")
    if isinstance(labels, str | bytes):
        raise DataError(f"labels is the one text {shown(labels)}; it must be a list with a label for each image.")
    if hasattr(labels, "detach"):  # a tensor, perhaps on a GPU
        labels = labels.detach().cpu()
    array = np.asarray(labels) if hasattr(labels, "__array__") else _from_list([plain(label) for label in labels])
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        column = "A column-vector y was passed when a 1d array was expected; its entries are taken as the labels."
        warnings.warn(column, DataConversionWarning, stacklevel=3)
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"labels have the shape {array.shape}; there must be one for each image.")
    if array.dtype.kind == "S":
        _refuse_bytes(0, array[0])
    if array.dtype.kind == "O":
        array = _of_one_kind(array)
    if array.dtype.kind in "fc":
        _refuse_measures(array)
    return array


def _comparable(label: Any) -> Any:
    """A label by which others are found: text in Unicode's normal form C, in which all names are kept."""
    label = plain(label)
    # What is text and more, as the members of a StrEnum are, counts as its text.
    return unicodedata.normalize("NFC", str.__str__(label)) if isinstance(label, str) else label


def _from_list(labels: list[Any]) -> np.ndarray:
    """Whatever the labels are, one entry for each: tuples stay labels, and a 1 does not become the text '1'."""
    array = np.empty(len(labels), dtype=object)
    for place, label in enumerate(labels):
        array[place] = label
    if any(isinstance(label, list | np.ndarray) for label in labels):
        return _from_rows(labels)
    array = _of_one_kind(array)
    return np.array([str.__str__(label) for label in array], dtype=str) if _is_text(array) else array


def _from_rows(labels: list[Any]) -> np.ndarray:
    """Rows in a list, whose shape is told later."""
    try:
        return np.array(labels)
    except ValueError as error:
        raise DataError("labels are lists of different lengths; there must be one label for each image.") from error


def _of_one_kind(array: np.ndarray) -> np.ndarray:
    """An array of objects, as one of numbers or truth values where all are that."""
    for place, label in enumerate(array):
        if _is_missing(label):
            raise DataError(f"label {place} is {label}; every image needs a label (Input contains NaN or None).")
        _refuse_bytes(place, label)
    kinds = {_kind(plain(label)) for label in array}
    if len(kinds) > 1:
        raise DataError(f"labels are of several kinds ({', '.join(sorted(kinds))}); they must be all of one.")
    kind = next(iter(kinds), "text")
    if kind == "other":
        for place, label in enumerate(array):
            _refuse_unhashable(place, label)
        return array
    return array if kind == "text" else np.array([plain(label) for label in array])


def _is_missing(label: Any) -> bool:
    """Whether it is None, or what is not equal to itself, as NaN; of pandas' NA not even that can be said."""
    if label is None or type(label).__name__ == "NAType":
        return True
    return isinstance(label, float) and label != label


def _refuse_bytes(place: int, label: Any) -> None:
    if isinstance(label, bytes):
        raise DataError(f"label {place} is {shown(label)}, which is bytes; decode labels to text.")


def _kind(label: Any) -> str:
    if isinstance(label, bool):
        return "true or false"
    if isinstance(label, int | float):
        return "numbers"
    return "text" if isinstance(label, str) else "other"


def _refuse_unhashable(place: int, label: Any) -> None:
    try:
        hash(label)
    except TypeError as error:
        raise DataError(
            f"label {place} is {shown(label)}; it must be a class name or another hashable value."
        ) from error


def _refuse_measures(array: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(array) | (array != np.round(array)))
    if len(wrong):
        place = int(wrong[0])
        raise DataError(
            f"label {place} is {plain(array[place])}; labels name classes, so numbers must be whole "
            "(Unknown label type: continuous)."
        )


def _distinct(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "O":
        return np.unique(array)
    labels = list(dict.fromkeys(array.tolist()))
    try:
        ordered = sorted(labels)
    except TypeError:  # some hashable values have no order of their own
        ordered = sorted(labels, key=lambda label: (type(label).__name__, str(label)))
    distinct = np.empty(len(ordered), dtype=object)
    distinct[:] = ordered
    return distinct


def _words(values: np.ndarray, names: list[str], class_names: Sequence[str] | Mapping[Any, str] | None) -> list[str]:
    """What prompts say for each class."""
    if class_names is None:
        return _words_of_names(names)
    if isinstance(class_names, str):
        raise DataError(f"class_names is the one text {shown(class_names)}; it must be a list or a mapping.")
    if isinstance(class_names, Mapping):
        return _words_of_mapping(values, names, class_names)
    given = _listed(class_names)
    if _is_text(values):
        return _words_of_list(names, given)
    return [_text(given[place], place) for place in _list_places(values, given)]


def _listed(class_names: Any) -> list[Any]:
    """The entries of a list, an array or a Series."""
    if not isinstance(class_names, Sequence) and not hasattr(class_names, "tolist"):
        raise DataError(f"class_names is {shown(class_names)}; it must be a list or a mapping.")
    if not len(class_names):
        raise DataError("class_names is empty; leave it out, or name every class.")
    return list(class_names)


def _words_of_names(names: list[str]) -> list[str]:
    """The names themselves; a number alone means nothing to a model, and is said to be a class."""
    numerals = [name for name in names if is_number(name) or name in ("True", "False")]
    if numerals:
        what = "truth values" if numerals[0] in ("True", "False") else "numbers"
        warnings.warn(
            f"labels are {what} such as {numerals[0]}, and nothing says what they mean: prompts say 'class "
            f"{numerals[0]}', of which a model knows nothing; give class_names, a mapping from labels to words or a "
            "list of words in the order of the sorted labels.",
            ClassNamesWarning,
            stacklevel=5,
        )
    return [f"class {name}" if name in numerals else name for name in names]


def _words_of_mapping(values: np.ndarray, names: list[str], given: Mapping[Any, str]) -> list[str]:
    words = {_comparable(label): said for label, said in given.items()}
    if not _is_text(values) and words and all(isinstance(label, str) for label in words):
        by_text = {name: words[name] for name in names if name in words}
        if len(by_text) < len(names) and _count_from_0(values, len(words)):
            # scikit-learn has numbered the text labels of the mapping in their sorted order.
            ordered = sorted(words)
            _warn_of_fewer(values, ordered)
            return [_text(words[ordered[int(value)]], int(value)) for value in values]
        words = by_text
        labels: list[Any] = names
    else:
        labels = [_comparable(value) for value in values]
    missing = [label for label in labels if label not in words]
    if missing and (not _is_text(values) or len(missing) == len(labels)):
        raise DataError(f"class_names has no words for the label {shown(missing[0])}; give some for every label.")
    alone = dict(zip(missing, _words_of_names(missing), strict=True))
    return [_text(words.get(label, alone.get(label)), place) for place, label in enumerate(labels)]


def _words_of_list(names: list[str], given: list[Any]) -> list[str]:
    """Labels that are text: the list says which classes there are."""
    given = [_comparable(_text(name, place)) for place, name in enumerate(given)]
    for name in given:
        if given.count(name) > 1:
            raise DataError(f"the class name {name!r} is given twice; each class needs its own.")
    for name in names:
        if name not in given:
            raise UnknownNameError("class (a label says so)", name, given)
    absent = [name for name in given if name not in names]
    if absent:
        warnings.warn(
            f"no image is labelled {', '.join(map(repr, absent[:10]))}{' or others' if len(absent) > 10 else ''}, so "
            "the classifier does not have such a class; `set_class_names` after fitting adds classes without pictures.",
            ClassNamesWarning,
            stacklevel=5,
        )
    return _words_of_names(names)


def _list_places(values: np.ndarray, given: list[Any]) -> list[int]:
    """Where in a list of words each label's are."""
    if len(given) == len(values):
        return list(range(len(given)))
    if _count_from_0(values, len(given)) and values[0] == 0:  # some classes are missing, as in a fold
        _warn_of_fewer(values, given)
        return [int(value) for value in values]
    listed = ", ".join(shown(plain(value)) for value in values[:10])
    raise DataError(
        f"class_names has {len(given)} entries for the {len(values)} labels {listed}{', ...' * (len(values) > 10)}; "
        "give a mapping from labels to words."
    )


def _warn_of_fewer(values: np.ndarray, words: list[Any]) -> None:
    """Say how labels that are fewer than the words are understood: they may be of some other numbering."""
    places = [int(value) for value in values]
    absent = [word for place, word in enumerate(words) if place not in places]
    if absent:
        taken = [word for place, word in enumerate(words) if place in places]
        warnings.warn(
            f"class_names has {len(words)} entries, and the labels are {len(places)} numbers: they are taken for the "
            f"places of {some_of(taken)}, and the classifier has no class {some_of(absent)}.",
            ClassNamesWarning,
            stacklevel=6,
        )


def _count_from_0(values: np.ndarray, count: int) -> bool:
    return values.dtype.kind in "iuf" and len(values) > 0 and values.min() >= 0 and values.max() < count


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind == "U" or all(isinstance(value, str) for value in values)


def _text(words: Any, place: int) -> str:
    if not isinstance(words, str) or not words.strip():
        raise DataError(f"class name {place} is {shown(words)}; class names must be text of at least one word.")
    return str(words)
