"""The tables of a report as papers print them, apart from how they are written: for LaTeX and Markdown.

A cell is a mean with its interval, or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlprompt.experiments.records import ResultRecord
from vlprompt.report.by_test import ByTest, TestTable, among_all_names, by_test
from vlprompt.report.by_test_tables import by_test_caption, title_of_table
from vlprompt.report.captions import caption
from vlprompt.report.drawing import signed
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.few_shot import FewShotSummary, summarize_few_shot
from vlprompt.report.few_shot_words import few_shot_caption, test_title
from vlprompt.report.headline import short_method_name
from vlprompt.report.paired import PairedDifference
from vlprompt.report.published import ComparedTable
from vlprompt.report.stories import stories_of
from vlprompt.report.summary import Summary, summarize
from vlprompt.report.tables import AVERAGE, COLUMNS, show_half_width, show_mean

BESIDE = 3
"""Methods of a base-to-new table beside each other: more do not fit a page."""


@dataclass(frozen=True)
class Number:
    """A mean, what stands behind its ±, and whether it is set in bold."""

    mean: str
    half_width: str = ""
    bold: bool = False


Cell = Number | str


@dataclass(frozen=True)
class PaperTable:
    """A table.

    Attributes:
        label: tells it from the others of a report.
        groups: what stands above how many columns each, the column of names apart; none where nothing does.
        columns: heads, the first over the column of names.
        text_columns: how many columns, from the left, hold text; numbers follow.
        rules_above: rows with a rule above them.
    """

    label: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    text_columns: int = 1
    rules_above: tuple[int, ...] = ()


def result_tables(records: Sequence[ResultRecord], interval: Interval = "student") -> list[PaperTable]:
    """The results of all stories."""
    stories = stories_of(records)
    tables: list[PaperTable] = []
    if stories.new_names:
        tables += base_to_new_tables(summarize(stories.new_names, interval=interval))
        if among_all := among_all_names(stories.new_names, interval=interval):
            tables += by_test_tables(among_all)
    if stories.with_pictures:
        tables += few_shot_tables(summarize_few_shot(stories.with_pictures, interval=interval))
    for records_of_protocol in stories.others.values():
        tables += by_test_tables(by_test(records_of_protocol, interval=interval))
    return tables


def base_to_new_tables(summary: Summary) -> list[PaperTable]:
    """Data sets as rows, base, new and H of each method as columns, as in CoCoOp's Table 1."""
    rows: list[tuple[str, str | None]] = [(dataset, dataset) for dataset in summary.datasets]
    rows += [(AVERAGE, None)] if summary.shows_average else []
    tables = []
    for start in range(0, len(summary.methods), BESIDE):
        methods = summary.methods[start : start + BESIDE]
        cells = tuple(
            (label, *(cell for method in methods for cell in _base_to_new_cells(summary, dataset, method)))
            for label, dataset in rows
        )
        tables.append(
            PaperTable(
                f"base-to-new{f'-{start // BESIDE + 1}' if len(summary.methods) > BESIDE else ''}",
                caption(summary),
                ("", *COLUMNS * len(methods)),
                cells,
                tuple((short_method_name(method), len(COLUMNS)) for method in methods),
                rules_above=(len(cells) - 1,) if summary.shows_average else (),
            )
        )
    return tables


def few_shot_tables(summary: FewShotSummary) -> list[PaperTable]:
    """For each test methods as rows and numbers of shots as columns."""
    words = few_shot_caption(summary, spread=False)
    return [
        PaperTable(
            f"few-shot-{test}",
            f"{test_title(summary, test).capitalize()}, by training images of every class. {words}",
            ("", *map(str, summary.shots)),
            tuple(
                (short_method_name(method), *(_few_shot_cell(summary, test, method, shots) for shots in summary.shots))
                for method in summary.methods
            ),
        )
        for test in summary.tests
        if summary.averaged[test]
    ]


def by_test_tables(summary: ByTest) -> list[PaperTable]:
    """Methods as rows and tests as columns, on average and for each data set."""
    return [
        PaperTable(
            f"{summary.protocol}-{summary.heading}-{number}",
            f"{title_of_table(summary, table)}. {by_test_caption(summary)}",
            ("", *table.columns),
            tuple(
                (short_method_name(method), *(_by_test_cell(table, method, column) for column in table.columns))
                for method in table.rows
            ),
        )
        for number, table in enumerate((*summary.main, *summary.each), start=1)
    ]


def paired_table(differences: Sequence[PairedDifference]) -> PaperTable | None:
    """Differences between methods with their intervals over seeds and over data sets; None where there are none."""
    if not differences:
        return None
    rows = tuple(
        (
            f"{short_method_name(one.first)} minus {short_method_name(one.second)}",
            f"{one.protocol}, {one.test}" + (f", {one.shots} shots" if one.shots else ""),
            Number(signed(one.mean)),
            _plus_minus(one.over_seeds),
            _plus_minus(one.over_datasets),
        )
        for one in differences
    )
    words = (
        "Differences between methods in points of accuracy, on average over the data sets that both have, with 95% "
        "intervals (Student's t) of the mean difference, paired by seed and paired by data set."
    )
    return PaperTable("paired", words, ("", "test", "difference", "over seeds", "over data sets"), rows, text_columns=2)


def published_paper_table(compared: ComparedTable) -> PaperTable:
    """Published, ours, the difference and why they do not compare."""
    rows = tuple(
        (
            cell.dataset,
            short_method_name(cell.method),
            f"{cell.test}, {cell.shots} shots" if compared.table.protocol == "few-shot" and cell.shots else cell.test,
            Number(f"{cell.published:.2f}"),
            Number(f"{cell.ours.mean:.2f}", show_half_width(cell.ours)),
            Number(signed(Estimate(cell.difference.mean, None, 0))),
            ", ".join(map(str, cell.notes)),
        )
        for cell in compared.cells
    )
    notes = " ".join(f"({number}) {note}." for number, note in enumerate(compared.notes, start=1))
    shared = f"Not comparable: {'; '.join(compared.shared)}." if compared.shared else ""
    words = " ".join(filter(None, [f"{compared.table.paper}, beside ours.", shared, notes, compared.table.read]))
    columns = ("", "method", "test", "published", "ours", "difference", "note")
    return PaperTable(f"published-{compared.table.name}", words, columns, rows, text_columns=3)


def _base_to_new_cells(summary: Summary, dataset: str | None, method: str) -> list[Cell]:
    cell = summary.average.get(method) if dataset is None else summary.cells.get((dataset, method))
    if cell is None:
        return [""] * len(COLUMNS)
    return [
        Number(show_mean(one), show_half_width(one), summary.best(dataset, column) == method)
        for column, one in enumerate(cell.columns)
    ]


def _by_test_cell(table: TestTable, method: str, column: str) -> Cell:
    cell = table.rows[method].get(column)
    if cell is None:
        return ""
    return Number(show_mean(cell), show_half_width(cell), table.best(column) == method)


def _few_shot_cell(summary: FewShotSummary, test: str, method: str, shots: int) -> Cell:
    figure = summary.averages.get((test, method, shots))
    if figure is None:
        return ""
    bold = summary.leaders(test, shots) == [method]
    return Number(show_mean(figure.mean), show_half_width(figure.mean), bold)


def _plus_minus(estimate: Estimate) -> Number:
    return Number(f"±{estimate.half_width:.1f}" if estimate.half_width is not None else "–")
