"""The class names of --class-names: a file of them, or names with commas."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from vlprompt.errors import DataError, quoted


def names_from(value: str) -> list[str]:
    """The names that a value of --class-names gives; a name that has a comma stands in quotes.

    Raises:
        DataError: the file cannot be used, a quotation mark is not closed, or it is one name only.
    """
    from vlprompt.data.checks import normal_name
    from vlprompt.data.class_names import READERS, read_class_names

    path = Path(value)
    # os.path, unlike Path, takes a name that is too long as one that does not exist.
    if (value and os.path.exists(path)) or ("," not in value and path.suffix.lower() in READERS):
        names = read_class_names(path)
    else:
        names = [normal_name(name) for name in _listed(value)]
    if len(names) < 2:
        raise DataError(
            f"--class-names gives only {quoted(names[0])}; at least two class names are needed, with commas or in a "
            "file."
        )
    return names


def _listed(value: str) -> list[str]:
    try:
        rows = list(csv.reader([value], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"--class-names {quoted(value)} cannot be read as names with commas: {error}.") from error
    return rows[0] if rows and rows[0] else [value]
