"""The table of a comparison, like the CoCoOp paper's Table 1: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.box import Box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlprompt.escaping import for_csv, for_markdown, for_terminal
from vlprompt.report.summary import INTERVALS, Cell, Estimate, Summary

COLUMNS = ("base", "new", "H")
AVERAGE = "average"
_METHOD_WIDTH = 21
"""Space of 3, three columns of 4 or 5 characters, spaces of 2 between them."""
_NAME_WIDTH = 28
_RULES = Box("    \n    \n ── \n    \n ── \n ── \n    \n    \n")
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
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, force_terminal=False).print(
        terminal_table(summary, width, bold=False)
    )
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def caption(summary: Summary, *, bold: bool = True) -> str:
    """What the numbers are, in the words that stand under every table."""
    seeds = f"{len(summary.seeds)} seed{'' if len(summary.seeds) == 1 else 's'}"
    over = f"; average over {_over(summary)}" if summary.averaged else ""
    return (
        f"Accuracy in percent on test images; {summary.backbone}, {summary.shots} shots, {seeds}: "
        f"{INTERVALS[summary.interval]}. H: harmonic mean of the two averages{over}."
        + (" Bold: best, with an interval above all others'." if bold else "")
    )


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
    """The numbers unrounded, one line a data set and method, for further computing."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [f"{column}{suffix}" for column in ("base", "new", "h") for suffix in ("", "_half_width")]
    writer.writerow(["dataset", "method", "backbone", "shots", "seeds", *names])
    for label, dataset in _rows(summary):
        for method in summary.methods:
            if (cell := _cell(summary, dataset, method)) is None:
                continue
            numbers = [
                n for e in cell.columns for n in (repr(e.mean), "" if e.half_width is None else repr(e.half_width))
            ]
            names = [for_csv(name) for name in (label, method, summary.backbone)]
            writer.writerow([*names, summary.shots, cell.base.count, *numbers])
    return stream.getvalue()


def show_mean(estimate: Estimate) -> str:
    """One decimal, as published."""
    return f"{estimate.mean:.1f}"


def show_half_width(estimate: Estimate) -> str:
    """The interval behind a mean, or nothing where there is none to show."""
    return f"±{estimate.half_width:.1f}" if estimate.half_width is not None and estimate.count > 1 else ""


def _over(summary: Summary) -> str:
    if len(summary.averaged) == len(summary.datasets):
        return f"the {len(summary.averaged)} data sets" if len(summary.averaged) > 1 else "the one data set"
    return f"the {len(summary.averaged)} of {len(summary.datasets)} data sets that every method has results for"


def _rows(summary: Summary) -> list[tuple[str, str | None]]:
    rows: list[tuple[str, str | None]] = [(dataset, dataset) for dataset in summary.datasets]
    return [*rows, (AVERAGE, None)] if summary.averaged else rows


def _cell(summary: Summary, dataset: str | None, method: str) -> Cell | None:
    return summary.average.get(method) if dataset is None else summary.cells.get((dataset, method))


def _method_group(summary: Summary, methods: Sequence[str]) -> Table:
    """Tables beside each other: the names, then three columns a method; all have the same rows and row heights."""
    beside = Table.grid(padding=(0, 3, 0, 0))
    beside.add_row(_name_column(summary), *[_method_columns(summary, method) for method in methods])
    return beside


def _name_column(summary: Summary) -> Table:
    table = Table(box=_RULES, padding=0, show_edge=False, title=" ")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    for label, dataset in _rows(summary):
        _section_before_average(table, dataset)
        table.add_row(Text(f"{for_terminal(label)}\n"))
    return table


def _method_columns(summary: Summary, method: str) -> Table:
    title = Text(for_terminal(method), style="bold not italic", overflow="ellipsis", no_wrap=True)
    table = Table(box=_RULES, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False, title=title)
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
