"""Tables as people have them: CSV with commas, semicolons or tabs, as Excel and other programs save them.

The separator is the first of comma, semicolon and tab with which the header (or, where there may be none, every row)
has what it must have; for a `.tsv` tabs come first. A first line `sep=;`, which Excel understands, decides it. Lines
end at line feeds and carriage returns only, and every quotation mark must be closed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from vlprompt.errors import DataError
from vlprompt.files.text_files import lines_of, read_text

Row: TypeAlias = "tuple[int, list[str]]"
"""The line on which a row begins, and its cells as they are."""

SEPARATORS = (",", ";", "\t")

_SAID = re.compile(r"\ufeff?sep=(.)[\r\n]+")


def read_table(path: Path, what: str, fits: Callable[[list[str]], bool], every_row: bool = False) -> Iterator[Row]:
    """The rows of a table; those without anything in them are left out.

    Args:
        what: the file is, in words, for messages.
        fits: whether cells are those of a header (of every row, with `every_row`), by which the separator is found.

    Raises:
        DataError: the file cannot be read, or is no CSV: the message names the line where a row begins.
    """
    text = read_text(path, what)
    said = _SAID.match(text)
    if said:
        return _rows(text[said.end() :], said[1], str(path), skipped=1)
    order = ("\t", ",", ";") if path.suffix.lower() == ".tsv" else SEPARATORS
    return _rows(text, _separator(text, order, fits, every_row), str(path))


def _separator(text: str, order: Sequence[str], fits: Callable[[list[str]], bool], every_row: bool) -> str:
    counts = dict.fromkeys(order, 1)
    for separator in order:
        rows = _rows(text, separator, "")
        with suppress(DataError):
            first = next(rows, (1, []))[1]
            counts[separator] = len(first)
            if fits(first) and (not every_row or all(fits(cells) for _, cells in rows)):
                return separator
    return max(order, key=lambda separator: counts[separator])


def _rows(text: str, separator: str, source: str, skipped: int = 0) -> Iterator[Row]:
    # Some programs write `a.png, "a cat"`. Elsewhere a blank stays: the name of a file may begin with one.
    blanks = re.search(rf'{re.escape(separator)} +"', text) is not None
    reader = csv.reader(lines_of(text), delimiter=separator, strict=True, skipinitialspace=blanks)
    line = skipped + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{source}:{line} is not CSV: {error}; perhaps a quotation mark is not closed (inside quotes, one is "
            "written twice)."
        ) from error
