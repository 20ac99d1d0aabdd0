"""The stories that records tell: of new classes (base-to-new), of classes that there are pictures of (few-shot), and
of every other protocol, by its tests.

Each has its tables; the page has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from vlprompt.errors import SettingsError
from vlprompt.experiments.records import ResultRecord
from vlprompt.protocols import BASE_TO_NEW, PROTOCOLS
from vlprompt.report import few_shot_tables, tables
from vlprompt.report.by_test import among_all_names, by_test
from vlprompt.report.by_test_tables import csv_by_test, markdown_by_test, terminal_by_test
from vlprompt.report.few_shot import PROTOCOL as FEW_SHOT
from vlprompt.report.few_shot import summarize_few_shot
from vlprompt.report.runs import check_same_data
from vlprompt.report.summary import summarize


@dataclass(frozen=True)
class Stories:
    """The records of each story."""

    new_names: tuple[ResultRecord, ...]
    with_pictures: tuple[ResultRecord, ...]
    others: dict[str, list[ResultRecord]]

    @property
    def count(self) -> int:
        """How many there are."""
        return bool(self.new_names) + bool(self.with_pictures) + len(self.others)


def stories_of(records: Sequence[ResultRecord]) -> Stories:
    """The records apart.

    Raises:
        SettingsError: there are no records, or they are of several backbones or of data sets that changed.
    """
    check_same_data(records)
    return Stories(
        tuple(record for record in records if record.protocol == BASE_TO_NEW.name),
        tuple(record for record in records if record.protocol == FEW_SHOT),
        {name: [record for record in records if record.protocol == name] for name in _others(records)},
    )


def _others(records: Sequence[ResultRecord]) -> list[str]:
    """The protocols of the records without a story of their own, the package's first, in its order."""
    found = {record.protocol for record in records} - {BASE_TO_NEW.name, FEW_SHOT}
    return [*(name for name in PROTOCOLS if name in found), *sorted(found - PROTOCOLS.keys())]


def together(records: Sequence[ResultRecord], others: Sequence[ResultRecord]) -> list[ResultRecord]:
    """Records with those others that are of another protocol and the same backbone.

    Raises:
        SettingsError: they cannot stand on one page.
    """
    first = records[0]
    beside = [r for r in others if r.protocol != first.protocol and r.backbone == first.backbone]
    stories = stories_of([*records, *beside])
    if stories.new_names:
        summarize(stories.new_names)
    if stories.with_pictures:
        summarize_few_shot(stories.with_pictures)
    for of_protocol in stories.others.values():
        by_test(of_protocol)
    return [*records, *beside]


def terminal_tables(records: Sequence[ResultRecord], width: int, *, bold: bool = True) -> RenderableType:
    """The tables of all stories for `width` columns.

    Args:
        bold: whether bold letters will be seen as such.
    """
    stories = stories_of(records)
    parts: list[RenderableType] = []
    if stories.new_names:
        parts.append(tables.terminal_table(summarize(stories.new_names), width, bold=bold))
        if among_all := among_all_names(stories.new_names):
            parts.append(terminal_by_test(among_all, width, bold=bold))
    if stories.with_pictures:
        summary = summarize_few_shot(stories.with_pictures)
        parts.append(few_shot_tables.terminal_few_shot(summary, width, bold=bold))
    parts += [terminal_by_test(by_test(found), width, bold=bold) for found in stories.others.values()]
    return Group(*(piece for part in parts for piece in (part, Text("")))) if len(parts) > 1 else parts[0]


def plain_tables(records: Sequence[ResultRecord], width: int = 100) -> str:
    """The terminal's tables without colours."""
    return tables.as_plain_text(terminal_tables(records, width, bold=False), width)


def markdown_tables(records: Sequence[ResultRecord]) -> str:
    """The tables of all stories as GitHub Markdown."""
    stories = stories_of(records)
    parts = []
    if stories.new_names:
        parts.append(tables.markdown_table(summarize(stories.new_names)))
        if among_all := among_all_names(stories.new_names):
            parts.append(markdown_by_test(among_all))
    if stories.with_pictures:
        parts.append(few_shot_tables.markdown_few_shot(summarize_few_shot(stories.with_pictures)))
    parts += [markdown_by_test(by_test(found)) for found in stories.others.values()]
    return "\n".join(parts)


def csv_table(records: Sequence[ResultRecord]) -> str:
    """The unrounded numbers of one story.

    Raises:
        SettingsError: there are several stories, whose columns differ.
    """
    stories = stories_of(records)
    if stories.count > 1:
        names = " or ".join(f'protocol="{name}"' for name in sorted({record.protocol for record in records}))
        raise SettingsError(
            f"a CSV table is of one protocol, and these results are of {stories.count}; choose one of them ({names})"
        )
    if stories.others:
        return csv_by_test(by_test(records))
    if stories.new_names:
        return tables.csv_table(summarize(stories.new_names))
    return few_shot_tables.csv_few_shot(summarize_few_shot(stories.with_pictures))
