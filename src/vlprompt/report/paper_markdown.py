"""Tables of a report as GitHub Markdown."""

from __future__ import annotations

from vlprompt.escaping import for_markdown
from vlprompt.report.paper_tables import Cell, Number, PaperTable


def markdown_of(table: PaperTable) -> str:
    """A table as GitHub Markdown, with its caption below."""
    rulers = ["---"] * table.text_columns + ["---:"] * (len(table.columns) - table.text_columns)
    lines = [[for_markdown(column) for column in table.columns], rulers]
    lines += [[_markdown_cell(cell) for cell in row] for row in table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{for_markdown(table.caption)}\n"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Number):
        return f"{f'**{cell.mean}**' if cell.bold else cell.mean} {cell.half_width}".strip()
    return for_markdown(cell)
