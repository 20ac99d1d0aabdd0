"""What method="auto" chose, told on stderr: a table of what competed, and the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlprompt.cli.output import note, note_table
from vlprompt.cli.wording import as_typed

HEADINGS = ("method", "right %", "95% interval", "seconds", "")
TITLES = {
    "pictures": "For the classes trained on, by cross-validation on their pictures:",
    "new_names": "For names without pictures, on the pictures of classes that were held out:",
}


def note_choices(choices: Mapping[str, Mapping[str, Any]]) -> None:
    """Every table with its reason."""
    for what, choice in choices.items():
        note(TITLES[what])
        rows = [_cells(row) for row in choice["rows"]]
        note_table(HEADINGS, rows, [_style(row[-1]) for row in rows])
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


def _style(remark: str) -> str:
    return "bold green" if remark.startswith("chosen") else "dim" if remark.startswith("not tried") else ""
