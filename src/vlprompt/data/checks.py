"""What must hold for images, labels and class names before anything is computed with them."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError


def check_same_length(images: Sized, labels: Sized) -> None:
    """Raises a `DataError` unless there are images, and one label each."""
    if len(images) == 0:
        raise DataError("there are no images; at least one image of each of two classes is needed.")
    if len(images) != len(labels):
        raise DataError(f"there are {len(images)} images but {len(labels)} labels; each image needs exactly one.")


def check_class_names(names: Sequence[str]) -> None:
    """Raises a `DataError` when a name is empty or no text, or when two make the same prompt (`comparable_words`)."""
    seen: dict[str, str] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str):
            raise DataError(f"class name {place} is {name!r}; class names must be text.")
        if not _is_unicode(name):
            # Python reads bytes of a file name that are not UTF-8 as lone surrogates.
            raise DataError(f"class name {place} is {name!a}, which is not valid Unicode text; rename its folder.")
        words = comparable_words(name)
        if not words:
            raise DataError(f"class name {place} is {name!r}; a class name needs at least one word.")
        if words in seen:
            raise DataError(_same_words(seen[words], name))
        seen[words] = name


def check_dataset(dataset: Dataset, minimum_classes: int = 2, *, names_may_repeat: bool = False) -> None:
    """Raises a `DataError` when there are no images, fewer classes than needed, or unusable class names or words.

    The names must differ, and so must what prompts say for them (`Dataset.prompt_names`).

    Args:
        names_may_repeat: as in published data sets: two of ImageNet's classes are "missile".
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
    if not names_may_repeat:
        check_labels(names)
        check_class_names(dataset.prompt_names)


def check_labels(labels: Sequence[str]) -> None:
    """Raises a `DataError` when a class's own name is empty, no valid text, or given twice."""
    seen: set[str] = set()
    for place, label in enumerate(labels):
        if not isinstance(label, str):
            raise DataError(f"class name {place} is {label!r}; class names must be text.")
        if not _is_unicode(label):
            raise DataError(f"class name {place} is {label!a}, which is not valid Unicode text; rename its folder.")
        if not label.strip():
            raise DataError(f"class name {place} is {label!r}; a class name needs at least one word.")
        if label in seen:
            raise DataError(_same_words(label, label))
        seen.add(label)


def comparable_words(class_name: str) -> str:
    """The name as a prompt sees it: underscores and runs of blanks are one blank, and case does not count."""
    return " ".join(class_name.replace("_", " ").split()).casefold()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _same_words(first: str, second: str) -> str:
    if first == second:
        return f"the class name {first!r} is given twice; each class needs its own."
    return (
        f"the class names {first!r} and {second!r} are the same words to the model (case, blanks and underscores do "
        "not count); rename or merge one of them."
    )
