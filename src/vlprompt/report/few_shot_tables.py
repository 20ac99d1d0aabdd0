"""The few-shot tables, a block for each test: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vlprompt.escaping import for_csv, for_markdown, for_terminal
from vlprompt.report.captions import counted
from vlprompt.report.few_shot import FewShotSummary, Figure
from vlprompt.report.few_shot_words import SPREAD, few_shot_caption, serves, test_title
from vlprompt.report.tables import AVERAGE, RULES, as_plain_text, show_half_width, show_mean

_NAME_WIDTH = 20


def terminal_few_shot(summary: FewShotSummary, width: int, *, bold: bool = True) -> RenderableType:
    """A table for each test, at most `width` columns wide, and who serves when.

    Args:
        bold: whether bold letters will be seen as such.
    """
    parts: list[RenderableType] = []
    for test in _tests(summary):
        for shots in _fitting(summary, width):
            title = Text(f"{test_title(summary, test)}, by training pictures a class", style="bold")
            parts += [title, _terminal_table(summary, test, shots, bold), Text("")]
    if parts:
        title = Text("The best, and what does not clearly differ from it", style="bold")
        parts += [title, _serving_table(summary), Text("")]
    return Group(*parts, Text(for_terminal(few_shot_caption(summary, bold=bold)), style="dim"))


def plain_few_shot(summary: FewShotSummary, width: int = 100) -> str:
    """The terminal's tables without colours."""
    return as_plain_text(terminal_few_shot(summary, width, bold=False), width)


def markdown_few_shot(summary: FewShotSummary) -> str:
    """The tables as GitHub Markdown."""
    blocks = [_markdown_table(summary, test) for test in _tests(summary)]
    return "\n".join([*blocks, for_markdown(few_shot_caption(summary)), ""])


def csv_few_shot(summary: FewShotSummary) -> str:
    """The numbers unrounded, one line a data set (or their average), test, method and number of shots.

    A method that learns nothing has 0 shots, 0 seeds and no half widths.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([
        "dataset", "test", "method", "backbone", "shots", "seeds", "accuracy", "accuracy_half_width", "sets_deviation",
        "balanced",
    ])  # fmt: skip
    rows = {**summary.cells, **{(AVERAGE, *key): figure for key, figure in summary.averages.items()}}
    for (dataset, test, method, shots), figure in rows.items():
        learns = summary.kinds[method] != "zero-shot"
        if (dataset != AVERAGE or len(summary.datasets) > 1) and (learns or shots == summary.shots[0]):
            names = [for_csv(name) for name in (dataset, test, method, summary.backbone)]
            writer.writerow([*names, shots if learns else 0, *_numbers(figure, learns=learns)])
    return stream.getvalue()


def _numbers(figure: Figure, *, learns: bool) -> list[str]:
    half_width = figure.mean.half_width if learns else None
    deviation = figure.deviation
    return [
        str(figure.mean.count if learns else 0),
        repr(figure.mean.mean),
        "" if half_width is None else repr(half_width),
        "" if deviation is None else repr(deviation),
        repr(figure.balanced),
    ]


def _tests(summary: FewShotSummary) -> list[str]:
    """The tests that have averages."""
    return [test for test in summary.tests if summary.averaged[test]]


def _fitting(summary: FewShotSummary, width: int) -> list[tuple[int, ...]]:
    """The numbers of shots that fit beside each other, table by table."""
    names = min(max(len(for_terminal(method)) for method in summary.methods), _NAME_WIDTH)
    cell = max(len(_cell(figure)) for figure in summary.averages.values()) + 2
    count = max(1, (width - names - len(SPREAD) - 2) // cell)
    return [summary.shots[i : i + count] for i in range(0, len(summary.shots), count)]


def _new_table() -> Table:
    return Table(box=RULES, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)


def _terminal_table(summary: FewShotSummary, test: str, shots: Sequence[int], bold: bool) -> Table:
    table = _new_table()
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    for number in shots:
        table.add_column(f"{number:>5}", no_wrap=True)
    has_spread = shots[-1] == summary.shots[-1] and len(summary.averaged[test]) > 1
    if has_spread:
        table.add_column(SPREAD, justify="right", no_wrap=True)
    for method in summary.methods:
        cells = [_terminal_cell(summary, test, method, number, bold) for number in shots]
        spread = [Text(_spread(summary, test, method), style="dim")] if has_spread else []
        table.add_row(Text(for_terminal(method)), *cells, *spread)
    return table


def _serving_table(summary: FewShotSummary) -> Table:
    """Which method serves when: a row for each number of shots."""
    table = _new_table()
    table.add_column("shots", justify="right")
    for test in _tests(summary):
        table.add_column(test_title(summary, test), overflow="fold")
    for shots in summary.shots:
        table.add_row(str(shots), *(for_terminal(serves(summary, test, shots, str)) for test in _tests(summary)))
    return table


def _terminal_cell(summary: FewShotSummary, test: str, method: str, shots: int, bold: bool) -> Text:
    figure = summary.averages.get((test, method, shots))
    if figure is None:
        return Text("    -", style="dim")
    style = "bold" if bold and summary.leaders(test, shots) == [method] else ""
    mean, half_width = _cell(figure)[:5], _cell(figure)[5:]
    return Text.assemble((mean, style), (half_width, "dim"))


def _cell(figure: Figure) -> str:
    """Mean and half width, the means one below the other."""
    return f"{show_mean(figure.mean):>5} {show_half_width(figure.mean)}".rstrip()


def _markdown_table(summary: FewShotSummary, test: str) -> str:
    spread = [SPREAD] if len(summary.averaged[test]) > 1 else []
    head = [for_markdown(test_title(summary, test)), *(counted(number, "shot") for number in summary.shots), *spread]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method in summary.methods:
        cells = [_markdown_cell(summary, test, method, number) for number in summary.shots]
        rows.append([for_markdown(method), *cells, *[_spread(summary, test, method) for _ in spread]])
    best = [for_markdown(serves(summary, test, number, str)) for number in summary.shots]
    rows.append(["best", *best, *["" for _ in spread]])
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows] + [""])


def _markdown_cell(summary: FewShotSummary, test: str, method: str, shots: int) -> str:
    figure = summary.averages.get((test, method, shots))
    if figure is None:
        return "-"
    mean = show_mean(figure.mean)
    mean = f"**{mean}**" if summary.leaders(test, shots) == [method] else mean
    return f"{mean} {show_half_width(figure.mean)}".strip()


def _spread(summary: FewShotSummary, test: str, method: str) -> str:
    """Standard deviation over data sets, with most shots."""
    figure = summary.averages.get((test, method, summary.shots[-1]))
    return "-" if figure is None or figure.deviation is None else f"{figure.deviation:.1f}"
