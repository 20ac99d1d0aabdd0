"""Printing: tables for a terminal, tab-separated lines for a pipe, JSON where it was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from vlprompt.files import displayable, json_text


def print_json(value: Any) -> None:
    """A value as JSON."""
    print(json_text(json.dumps(value, indent=2, ensure_ascii=False)))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere one tab-separated line a row, without headings."""
    if not sys.stdout.isatty():
        for row in rows:
            print(displayable("\t".join(row)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(displayable, row))
    Console().print(table, markup=False)


def note(line: str) -> None:
    """A line for the person at the terminal, on stderr, so that stdout holds results only."""
    print(displayable(line), file=sys.stderr)


def names_from(value: str) -> list[str]:
    """Class names: a text file with one a line, or names with commas."""
    import os
    from pathlib import Path

    from vlprompt.data.text_files import read_text

    path = Path(value)
    # os.path, unlike Path, takes a name that is too long as one that does not exist.
    if "," not in value and (os.path.isfile(path) or path.suffix in (".txt", ".csv")):
        return [line.strip() for line in read_text(path, "class names file").splitlines() if line.strip()]
    return [name.strip() for name in value.split(",")]
