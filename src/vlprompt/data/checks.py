"""What must hold for images, labels and class names before anything is computed with them."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence, Sized
from dataclasses import replace

from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, quoted
from vlprompt.files.text_files import is_unicode

_OTHER_BLANKS = re.compile(r"[^\S ]+")
_LOOK_ALIKE = str.maketrans(
    {"_": " ", "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\uff07": "'", "\u201c": '"', "\u201d": '"'}
    | dict.fromkeys("\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\ufe0e\ufe0f\ufeff")
    | dict.fromkeys(map(chr, (*range(0x202A, 0x202F), *range(0x2060, 0x2070))))
)
"""Signs of which another stands in a prompt, or none: nobody sees zero-width spaces, variation selectors and marks of
direction. The joiner U+200D counts within a word, where emoji and scripts of India have it."""


def check_same_length(images: Sized, labels: Sized) -> None:
    """Raises a `DataError` unless there are images, and one label each."""
    if len(images) == 0:
        raise DataError("there are no images; at least one image of each of two classes is needed.")
    if len(images) != len(labels):
        raise DataError(f"there are {len(images)} images but {len(labels)} labels; each image needs exactly one.")


def normal_name(name: str) -> str:
    """A class name, folder name or label as all of ours are compared: in Unicode's normal form C, with plain blanks.

    A Mac writes an accented folder name in another form (NFD) than keyboards do. Tabs, line and page breaks, and every
    other kind of white space, count as one blank; white space around the name does not count.
    """
    return _OTHER_BLANKS.sub(" ", unicodedata.normalize("NFC", name)).strip(" ")


def check_class_names(names: Sequence[str], *, may_repeat: bool = False) -> None:
    """Raises a `DataError` when a name is empty or no text, or when two make the same prompt (`comparable_words`).

    Args:
        may_repeat: the last does not matter.
    """
    seen: dict[str, str] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str):
            raise DataError(f"class name {place} is {quoted(name)}; class names must be text.")
        if not is_unicode(name):
            raise DataError(f"class name {place} is {name!a}, which is not valid Unicode text; rename it.")
        words = comparable_words(name)
        if not words:
            raise DataError(f"class name {place} is {quoted(name)}; a class name needs at least one word.")
        if unprintable := [sign for sign in name if unicodedata.category(sign) in ("Cc", "Zl", "Zp")]:
            raise DataError(
                f"class name {place} is {quoted(name)}, which has the control character U+{ord(unprintable[0]):04X}; "
                "take it out or write a blank."
            )
        if words in seen and not may_repeat:
            raise DataError(_same_words(seen[words], name))
        seen[words] = name


def is_number(name: str) -> bool:
    """Whether a name is nothing but a number, such as 7, 007, -1, 0.0, 1,5, 1e3, 0x1f or ½."""
    text = normal_name(name).replace("_", "").replace(" ", "").replace("\u2212", "-")
    if not any(map(str.isnumeric, text)):
        return False
    if text.isnumeric() or re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text):
        return True
    for candidate in (text.replace(",", "."), text.replace(",", "")):
        try:
            float(candidate)
        except ValueError:
            continue
        return True
    return False


def is_whole_number(name: str) -> bool:
    """Whether it is a whole number in digits, perhaps with a sign, so that names can be sorted as numbers."""
    return re.fullmatch(r"[+-]?[0-9]{1,18}", name) is not None


def refuse_numbers(names: Iterable[str], advice: str) -> None:
    """Raises a `DataError` that lists the names that are numbers, if any: 'a photo of a 0' says nothing to a model.

    Args:
        advice: how to give words instead.
    """
    numbers = [quoted(name) for name in names if isinstance(name, str) and is_number(name)]
    if numbers:
        more = " and others" if len(numbers) > 5 else ""
        are = "is a number, which says" if len(numbers) == 1 else "are numbers, which say"
        raise DataError(f"the class names {', '.join(numbers[:5])}{more} {are} nothing to the model; {advice}.")


def check_dataset(dataset: Dataset, minimum_classes: int = 2) -> None:
    """Raises a `DataError` when there are no images, fewer classes than needed, or unusable class names or words.

    The names must differ, and so must what prompts say for them (`Dataset.prompt_names`), unless they are published.
    """
    samples = (*dataset.train, *dataset.val, *dataset.test)
    if not samples:
        raise DataError(f"{dataset.name} holds no images.")
    names = dataset.class_names
    if len(names) < minimum_classes:
        raise DataError(
            f"{dataset.name} has only the class {names[0]!r}; at least {minimum_classes} classes are needed."
            if len(names) == 1
            else f"{dataset.name} has {len(names)} classes; at least {minimum_classes} are needed."
        )
    if not dataset.names_are_published:
        check_labels(names)
    check_class_names(dataset.prompt_names, may_repeat=dataset.names_are_published)


def check_training_images(dataset: Dataset) -> None:
    """Raises a `DataError` as `check_dataset`, for the training images alone: two classes must have some."""
    if not dataset.train and (dataset.val or dataset.test):
        raise DataError(
            f"{dataset.name} has no images to train on, only {'test' if dataset.test else 'validation'} images; put "
            "some into a train split."
        )
    trained = {sample.class_name for sample in dataset.train}
    if len(trained) == 1 and len(dataset.class_names) > 1:
        raise DataError(
            f"{dataset.name} has images to train on of the class {quoted(*trained)} only; at least 2 classes need some."
        )
    check_dataset(replace(dataset, val=(), test=()))


def check_labels(labels: Sequence[str]) -> None:
    """Raises a `DataError` when a class's own name is empty, no valid text, or given twice."""
    seen: set[str] = set()
    for place, label in enumerate(labels):
        if not isinstance(label, str):
            raise DataError(f"class name {place} is {quoted(label)}; class names must be text.")
        if not is_unicode(label):
            raise DataError(f"class name {place} is {label!a}, which is not valid Unicode text; rename it.")
        if not label.strip():
            raise DataError(f"class name {place} is {quoted(label)}; a class name needs at least one word.")
        if label in seen:
            raise DataError(_same_words(label, label))
        seen.add(label)


def comparable_words(class_name: str) -> str:
    """The name as people see it in a prompt, for finding two that are the same.

    Unicode's normal form, case, blanks and underscores, kinds of quotation marks, HTML's spellings (`&amp;`) and what
    has no width do not count. What a backbone's own tokenizer takes for the same is found where the tokenizer is.
    """
    text = unicodedata.normalize("NFC", html.unescape(class_name)).translate(_LOOK_ALIKE).casefold()
    return " ".join(word.strip("\u200d") for word in unicodedata.normalize("NFC", text).split()).strip()


def _same_words(first: str, second: str) -> str:
    if first == second:
        return f"the class name {quoted(first)} is given twice; each class needs its own."
    if normal_name(first) == normal_name(second):
        return (
            f"the class names {first!a} and {second!a} are one name in two spellings of Unicode or white space; rename "
            "or merge one of them."
        )
    return (
        f"the class names {quoted(first)} and {quoted(second)} are the same words to the model (case, blanks, "
        "underscores, kinds of quotation marks and signs that nobody sees do not count); rename or merge one of them."
    )
