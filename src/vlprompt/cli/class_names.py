"""Class names on the command line (--class-names, and what `convert` takes): a file of them, or names with commas."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from vlprompt.errors import DataError, quoted


def names_from(value: str, called: str = "--class-names") -> list[str]:
    """The names that a value gives; a name that has a comma stands in quotes.

    Args:
        called: the argument, for messages.

    Raises:
        DataError: the file cannot be used, the names are not parted by commas, or it is one name only.
    """
    from vlprompt.data.checks import normal_name
    from vlprompt.data.class_names import READERS, read_class_names

    path = Path(value)
    # os.path, unlike Path, takes a name that is too long as one that does not exist.
    if (value and os.path.exists(path)) or ("," not in value and path.suffix.lower() in READERS):
        names = read_class_names(path)
    else:
        names = [normal_name(name) for name in _listed(value, called)]
    if len(names) < 2:
        raise DataError(
            f"{called} gives only {quoted(names[0])}; at least two class names are needed, with commas or in a file."
        )
    return names


def _listed(value: str, called: str) -> list[str]:
    lines = value.strip("\r\n")
    if "\n" in lines or "\r" in lines:
        raise DataError(
            f"{called} {quoted(value)} has several lines; write commas between the names, or name the file."
        )
    if (value.strip()[:1], value.strip()[-1:]) in (("[", "]"), ("{", "}")):
        raise DataError(
            f"{called} {quoted(value)} stands in brackets; write the names with commas only, or name a .json or .yaml "
            "file of them."
        )
    try:
        rows = list(csv.reader([value], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"{called} {quoted(value)} cannot be read as names with commas: {error}.") from error
    return rows[0] if rows and rows[0] else [value]
