"""Printing: tables for a terminal, tab-separated lines for a pipe, JSON where it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vlprompt.cli.wording import as_typed
from vlprompt.escaping import as_json, for_terminal, for_tsv
from vlprompt.streams import is_terminal, say, write_results


def print_json(value: Any) -> None:
    """A value as JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    write_results(as_json(value, encoding=encoding) + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, headings_in_pipes: bool = False) -> None:
    """A table on a terminal; elsewhere one tab-separated line a row, without headings unless they are asked for.

    In such a line a backslash is doubled, and a tab, line break or other control character of a name is written as
    `\\t`, `\\n`, `\\x1b`, so that every row is one line and every name can be had back.
    """
    if not is_terminal(sys.stdout):
        shown = [headings, *rows] if headings_in_pipes else rows
        write_results("".join("\t".join(map(for_tsv, row)) + "\n" for row in shown))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))
    print_rich(table)


def print_rich(renderable: Any) -> None:
    """Something of rich's, in colours, on the terminal."""
    from rich.console import Console

    console = Console()
    with console.capture() as captured:
        console.print(renderable, markup=False, emoji=False, highlight=False)
    write_results(captured.get())


def note(line: str) -> None:
    """A line for the person at the terminal, on stderr, so that stdout holds results only."""
    say(as_typed(line))


def note_table(headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """A table for the person at the terminal, on stderr.

    Args:
        styles: rich's, one a row; all plain by default.
    """
    if not is_terminal(sys.stderr):
        every = [headings, *rows]
        widths = [max(len(row[column]) for row in every) for column in range(len(headings) - 1)]
        for row in every:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            say("  ".join([*cells, row[-1]]).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=place < len(headings) - 1)
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        table.add_row(*(Text(for_terminal(cell), style=style) for cell in row))
    Console(stderr=True).print(table, markup=False, emoji=False, highlight=False)
