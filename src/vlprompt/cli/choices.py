"""What method="auto" chose, told on stderr: a table of what competed, and the reason."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vlprompt.cli.output import note
from vlprompt.cli.wording import as_typed
from vlprompt.escaping import for_terminal
from vlprompt.streams import is_terminal, say

HEADINGS = ("method", "right %", "95% interval", "seconds", "")
TITLES = {
    "pictures": "For the classes trained on, by cross-validation on their pictures:",
    "new_names": "For names without pictures, on the pictures of classes that were held out:",
}


def note_choices(choices: Mapping[str, Mapping[str, Any]]) -> None:
    """Every table with its reason."""
    for what, choice in choices.items():
        note(TITLES[what])
        _show([_cells(row) for row in choice["rows"]])
        note(f"Chosen: {choice['why']}")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    remark = "chosen" if row["chosen"] else ""
    remark = "; ".join(words for words in (remark, as_typed(row["note"])) if words)
    return (
        row["method"],
        "-" if row["accuracy"] is None else f"{row['accuracy']:.1f}",
        "-" if row["low"] is None else f"{row['low']:.1f} to {row['high']:.1f}",
        "-" if row["seconds"] is None else f"{row['seconds']:.2f}",
        remark,
    )


def _show(rows: Sequence[Sequence[str]]) -> None:
    if not is_terminal(sys.stderr):
        every = [HEADINGS, *rows]
        widths = [max(len(row[column]) for row in every) for column in range(len(HEADINGS) - 1)]
        for row in every:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            say("  ".join([*cells, row[-1]]).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        fixed = {"no_wrap": True} if heading else {"overflow": "fold"}
        table.add_column(heading, **fixed)  # type: ignore[arg-type]
    for row in rows:
        style = "bold green" if row[-1].startswith("chosen") else "dim" if row[-1].startswith("not tried") else ""
        table.add_row(*(Text(for_terminal(cell), style=style) for cell in row))
    Console(stderr=True).print(table, markup=False, emoji=False, highlight=False)
