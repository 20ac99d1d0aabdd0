"""The tables of any protocol by its tests: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlprompt.escaping import for_csv, for_markdown, for_terminal
from vlprompt.report.by_test import ByTest, TestTable
from vlprompt.report.estimates import INTERVALS, Estimate
from vlprompt.report.tables import RULES, show_half_width, show_mean

_NAME_WIDTH = 28
_LEAST_COLUMN = 9


def terminal_by_test(summary: ByTest, width: int, *, bold: bool = True) -> RenderableType:
    """The tables, each at most `width` columns wide; those of single data sets only where there is no average.

    Args:
        bold: whether bold letters will be seen as such.
    """
    parts: list[RenderableType] = []
    for table in summary.main:
        parts.append(Text(for_terminal(title_of_table(summary, table)), style="bold"))
        parts += [part for columns in _fitting(table, width) for part in (_terminal(table, columns, bold), Text(""))]
    if summary.words:
        parts += [Text(for_terminal(summary.words_title), style="bold"), _words_table(summary), Text("")]
    return Group(*parts, Text(for_terminal(by_test_caption(summary, bold=bold)), style="dim"))


def markdown_by_test(summary: ByTest) -> str:
    """All tables as GitHub Markdown."""
    blocks = [_markdown(summary, table) for table in (*summary.main, *summary.each)]
    if summary.words:
        rows = [f"| {for_markdown(method)} | {for_markdown(words)} |" for method, words in summary.words.items()]
        blocks.append("\n".join([f"| {for_markdown(summary.words_title)} | |", "| --- | --- |", *rows, ""]))
    return "\n".join([*blocks, for_markdown(by_test_caption(summary)), ""])


def csv_by_test(summary: ByTest) -> str:
    """The numbers unrounded, one line a table, method and column; what learns nothing has 0 shots and seeds."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", "method", "backbone", "shots", "seeds", "test", "accuracy", "accuracy_half_width"])
    for table in (*summary.main, *summary.each):
        for method, row in table.rows.items():
            learns = method in summary.learned
            for column, cell in row.items():
                half = repr(cell.half_width) if learns and cell.half_width is not None else ""
                counts = (table.shots, cell.count) if learns else (0, 0)
                names = [for_csv(name) for name in (table.title, method, summary.backbone)]
                writer.writerow([*names, *counts, for_csv(column), repr(cell.mean), half])
    return stream.getvalue()


def title_of_table(summary: ByTest, table: TestTable) -> str:
    """The title, with the number of shots where there are several."""
    shots = f", {table.shots} shot{'s' if table.shots != 1 else ''}" if len(summary.shots) > 1 else ""
    return f"{summary.heading}: {table.title}{shots}"


def by_test_caption(summary: ByTest, *, bold: bool = True) -> str:
    """The words under the tables.

    Args:
        bold: whether bold letters will be seen as such.
    """
    shown = any(cell.half_width for table in summary.main for row in table.rows.values() for cell in row.values())
    sentences = [
        f"Accuracy in percent on test images; {summary.backbone}, {setting_by_test(summary)}.",
        f"{INTERVALS[summary.interval][0].upper()}{INTERVALS[summary.interval][1:]}." if shown else "",
        summary.note,
        "Bold where an interval lies wholly above all others." if bold and shown else "",
    ]
    return " ".join(filter(None, sentences))


def setting_by_test(summary: ByTest) -> str:
    """Shots and seeds in words."""
    if not summary.shots:
        return "nothing is learned"
    shots, seeds = (", ".join(map(str, values)) for values in (summary.shots, summary.seeds))
    words = "shot" if summary.shots == (1,) else "shots"
    return f"{shots} {words}, seed{'s' if len(summary.seeds) > 1 else ''} {seeds}"


def _fitting(table: TestTable, width: int) -> list[Sequence[str]]:
    """The columns in groups that fit beside the names of the methods."""
    groups: list[list[str]] = [[]]
    room = left = width - min(_NAME_WIDTH, max((len(method) for method in table.rows), default=0)) - 2
    for column in table.columns:
        needed = max(_LEAST_COLUMN, len(column)) + 2
        if groups[-1] and needed > left:
            groups.append([])
            left = room
        groups[-1].append(column)
        left -= needed
    return [group for group in groups if group]


def _words_table(summary: ByTest) -> Table:
    shown = Table(box=RULES, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, show_header=False)
    shown.add_column("", no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    shown.add_column("")
    for method, words in summary.words.items():
        shown.add_row(Text(for_terminal(method)), Text(for_terminal(words)))
    return shown


def _terminal(table: TestTable, columns: Sequence[str], bold: bool) -> Table:
    shown = Table(box=RULES, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    shown.add_column("", no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    for column in columns:
        shown.add_column(for_terminal(column), justify="right", min_width=_LEAST_COLUMN, no_wrap=True)
    for method, row in table.rows.items():
        cells = [_terminal_cell(row.get(c), bold and table.best(c) == method) for c in columns]
        shown.add_row(Text(for_terminal(method)), *cells)
    return shown


def _terminal_cell(cell: Estimate | None, best: bool) -> Text:
    if cell is None:
        return Text("-", style="dim")
    half_width = show_half_width(cell)
    return Text.assemble((show_mean(cell), "bold" if best else ""), (f" {half_width}" if half_width else "", "dim"))


def _markdown(summary: ByTest, table: TestTable) -> str:
    head = [title_of_table(summary, table), *table.columns]
    lines = [" | ".join(map(for_markdown, head)), " | ".join(["---", *["---:"] * len(table.columns)])]
    for method, row in table.rows.items():
        lines.append(
            " | ".join([for_markdown(method), *(_markdown_cell(table, c, method, row) for c in table.columns)])
        )
    return "\n".join([*(f"| {line} |" for line in lines), ""])


def _markdown_cell(table: TestTable, column: str, method: str, row: dict[str, Estimate]) -> str:
    if column not in row:
        return "-"
    mean = show_mean(row[column])
    return f"{f'**{mean}**' if table.best(column) == method else mean} {show_half_width(row[column])}".strip()
