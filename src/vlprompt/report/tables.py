"""The table of a comparison, like the CoCoOp paper's Table 1: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import fmean

from rich.box import Box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlprompt.escaping import for_csv, for_markdown, for_terminal
from vlprompt.report.captions import caption
from vlprompt.report.estimates import Estimate
from vlprompt.report.summary import Cell, Summary

COLUMNS = ("base", "new", "H")
AVERAGE = "average"
_METHOD_WIDTH = 21
"""Space of 3, three columns of 4 or 5 characters, spaces of 2 between them."""
_NAME_WIDTH = 28
RULES = Box("    \n    \n ── \n    \n ── \n ── \n    \n    \n")
"""A rule under the head and one above the average."""


def terminal_table(summary: Summary, width: int, *, bold: bool = True) -> RenderableType:
    """The table for `width` columns; methods that do not fit beside each other go into a second table.

    Args:
        bold: whether bold letters will be seen as such.
    """
    names = [*summary.datasets, AVERAGE]
    name_width = min(max(len(for_terminal(name)) for name in names), _NAME_WIDTH)
    fitting = max(1, (width - name_width) // _METHOD_WIDTH)
    groups = [summary.methods[i : i + fitting] for i in range(0, len(summary.methods), fitting)]
    tables = [part for group in groups for part in (_method_group(summary, group), Text(""))]
    return Group(*tables, Text(for_terminal(caption(summary, bold=bold)), style="dim"))


def plain_text(summary: Summary, width: int = 100) -> str:
    """The terminal's table without colours."""
    return as_plain_text(terminal_table(summary, width, bold=False), width)


def as_plain_text(shown: RenderableType, width: int) -> str:
    """What a terminal of a width would show, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, force_terminal=False).print(shown)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def markdown_table(summary: Summary) -> str:
    """The table as GitHub Markdown."""
    head = ["", *(f"{method} {column}" for method in summary.methods for column in COLUMNS)]
    ruler = ["---", *["---:"] * (len(head) - 1)]
    lines = ["| " + " | ".join(for_markdown(cell) for cell in head) + " |", "| " + " | ".join(ruler) + " |"]
    for label, dataset in _rows(summary):
        cells = [for_markdown(label)]
        for method in summary.methods:
            cells += _markdown_cells(summary, dataset, method)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", for_markdown(caption(summary)), ""])


def csv_table(summary: Summary) -> str:
    """The numbers unrounded, one line a data set and method, for further computing.

    A method that learns nothing has 0 shots, 0 seeds and no half widths.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [f"{column}{suffix}" for column in ("base", "new", "h") for suffix in ("", "_half_width")]
    balanced_names = ["base_balanced", "new_balanced", "threads"]
    writer.writerow(["dataset", "method", "backbone", "shots", "seeds", *names, *balanced_names])
    for label, dataset in _rows(summary):
        for method in summary.methods:
            if (cell := _cell(summary, dataset, method)) is None:
                continue
            learns = method in summary.learned
            numbers = [
                n
                for e in cell.columns
                for n in (repr(e.mean), repr(e.half_width) if learns and e.half_width is not None else "")
            ]
            shots, seeds = (summary.shots, cell.base.count) if learns else (0, 0)
            balanced, threads = _balanced_and_threads(summary, dataset, method)
            names = [for_csv(name) for name in (label, method, summary.backbone)]
            writer.writerow([*names, shots, seeds, *numbers, *map(repr, balanced), threads])
    return stream.getvalue()


def _balanced_and_threads(summary: Summary, dataset: str | None, method: str) -> tuple[list[float], str]:
    """Balanced accuracy on base and new classes, and the numbers of threads, of a row or of the average row."""
    rows = summary.averaged if dataset is None else [dataset]
    halves = zip(*(summary.balanced[row, method] for row in rows), strict=True)
    counts = sorted({count for row in rows for count in summary.threads[row, method]})
    return [fmean(values) for values in halves], " and ".join(map(str, counts))


def show_mean(estimate: Estimate) -> str:
    """One decimal, as published."""
    return f"{estimate.mean:.1f}"


def show_half_width(estimate: Estimate) -> str:
    """The interval behind a mean, or nothing where there is none to show."""
    return f"±{estimate.half_width:.1f}" if estimate.half_width is not None and estimate.count > 1 else ""


def _rows(summary: Summary) -> list[tuple[str, str | None]]:
    rows: list[tuple[str, str | None]] = [(dataset, dataset) for dataset in summary.datasets]
    return [*rows, (AVERAGE, None)] if summary.shows_average else rows


def _cell(summary: Summary, dataset: str | None, method: str) -> Cell | None:
    return summary.average.get(method) if dataset is None else summary.cells.get((dataset, method))


def _method_group(summary: Summary, methods: Sequence[str]) -> Table:
    """Tables beside each other: the names, then three columns a method; all have the same rows and row heights."""
    beside = Table.grid(padding=(0, 3, 0, 0))
    beside.add_row(_name_column(summary), *[_method_columns(summary, method) for method in methods])
    return beside


def _name_column(summary: Summary) -> Table:
    table = Table(box=RULES, padding=0, show_edge=False, title=" ")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    for label, dataset in _rows(summary):
        _section_before_average(table, dataset)
        table.add_row(Text(f"{for_terminal(label)}\n"))
    return table


def _method_columns(summary: Summary, method: str) -> Table:
    title = Text(for_terminal(method), style="bold not italic", overflow="ellipsis", no_wrap=True)
    table = Table(box=RULES, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, title=title)
    for column in COLUMNS:
        table.add_column(column, justify="right", min_width=4, no_wrap=True)
    for _, dataset in _rows(summary):
        _section_before_average(table, dataset)
        cell = _cell(summary, dataset, method)
        table.add_row(*(_terminal_cell(summary, dataset, method, cell, index) for index in range(len(COLUMNS))))
    return table


def _section_before_average(table: Table, dataset: str | None) -> None:
    if dataset is None:
        table.add_section()


def _terminal_cell(summary: Summary, dataset: str | None, method: str, cell: Cell | None, column: int) -> Text:
    if cell is None:
        return Text("-\n", style="dim")
    estimate = cell.columns[column]
    best = summary.best(dataset, column) == method
    return Text.assemble((show_mean(estimate), "bold" if best else ""), "\n", (show_half_width(estimate), "dim"))


def _markdown_cells(summary: Summary, dataset: str | None, method: str) -> list[str]:
    cell = _cell(summary, dataset, method)
    if cell is None:
        return ["-"] * len(COLUMNS)
    shown = []
    for column, estimate in enumerate(cell.columns):
        mean = show_mean(estimate)
        mean = f"**{mean}**" if summary.best(dataset, column) == method else mean
        shown.append(f"{mean} {show_half_width(estimate)}".strip())
    return shown
