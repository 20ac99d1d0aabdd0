"""The report: one HTML file with everything in it, for a browser without a network, light or dark, wide or narrow.

It tells the story of new classes (base-to-new records), of classes that there are pictures of (few-shot records), and
that of every other protocol by its tests, in this order.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from vlprompt.escaping import for_terminal_lines
from vlprompt.experiments.merging import Conflict
from vlprompt.experiments.records import ResultRecord
from vlprompt.files import write_atomically
from vlprompt.report import captions
from vlprompt.report.by_test import among_all_names, by_test
from vlprompt.report.by_test_tables import by_test_caption, setting_by_test
from vlprompt.report.diagnostic_figures import diagnostics_of
from vlprompt.report.drawing import signed
from vlprompt.report.estimates import Interval
from vlprompt.report.facts import duration, facts, times
from vlprompt.report.few_shot_page import few_shot_story
from vlprompt.report.figures import bars_svg, scatter_svg
from vlprompt.report.gallery import galleries_of
from vlprompt.report.headline import headline, method_name, serves_new_names, short_method_name
from vlprompt.report.paired import paired_differences, worth_showing
from vlprompt.report.published import compared_with_published
from vlprompt.report.published_page import context_of
from vlprompt.report.repeating import repeat_command
from vlprompt.report.stories import stories_of
from vlprompt.report.summary import Comparison, Summary, compare, summarize
from vlprompt.report.tables import COLUMNS, show_half_width, show_mean


def write_report(
    path: Path,
    records: Sequence[ResultRecord],
    *,
    command: str | None = None,
    interval: Interval = "student",
    load: Callable[[str], Any] | None = None,
    conflicts: Sequence[Conflict] = (),
) -> Path:
    """Write the report of one backbone, with one number of shots of base-to-new, and return its path.

    Arguments:
        command: the exact command that repeats it; made from the records by default.
        load: gives a `Dataset` from a record's `source`, for the pictures; `load_dataset` by default.
        conflicts: runs whose records differ, which are told and not counted.

    Raises:
        SettingsError: there are no records, or they mix backbones or numbers of shots.
        OutputError: the file cannot be written.
    """
    page = report_html(records, command=command, interval=interval, load=load, conflicts=conflicts)
    write_atomically(path, page.encode())
    return path


def report_html(
    records: Sequence[ResultRecord],
    *,
    command: str | None = None,
    interval: Interval = "student",
    load: Callable[[str], Any] | None = None,
    conflicts: Sequence[Conflict] = (),
) -> str:
    """The report as text; see `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("vlprompt.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.globals.update(
        method_name=method_name, short_name=short_method_name, show_mean=show_mean, show_half_width=show_half_width
    )
    environment.filters["capitalised"] = lambda words: words[:1].upper() + words[1:]
    environment.globals.update(signed=signed, columns=COLUMNS, duration=duration)
    style = files("vlprompt.report").joinpath("page.css").read_text(encoding="utf-8")
    stories = stories_of(records)
    new_names, with_pictures = stories.new_names, stories.with_pictures
    few = few_shot_story(with_pictures, None if new_names else command, interval) if with_pictures else None
    compared = compared_with_published(records, interval)
    return environment.get_template("page.html.j2").render(
        style=Markup(style),  # our own file
        style_hash=_csp_hash(style),
        words=captions,
        new=_new_names_story(new_names, command, interval, load) if new_names else None,
        few=few,
        others=[_story_by_test(found, interval) for found in stories.others.values()],
        caption_of=by_test_caption,
        compared=compared,
        conflicts=conflicts,
        paired=worth_showing(records, paired_differences(records, interval)),
        diagnostics=diagnostics_of(records),
        context=context_of(compared, bool(new_names), few["summary"] if few else None, stories.others),
    )


def _new_names_story(
    records: Sequence[ResultRecord], command: str | None, interval: Interval, load: Callable[[str], Any] | None
) -> dict[str, Any]:
    """What the page shows of base-to-new records."""
    summary, comparison = summarize(records, interval=interval), compare(records, interval=interval)
    galleries, without_pictures = galleries_of(records, load)
    return {
        "headline": headline(records, interval=interval),
        "summary": summary,
        "wide_intervals": _has_wide_intervals(summary),
        "serves": serves_new_names(summary),
        "among_all": among_all_names(records, interval=interval),
        "comparison": comparison,
        "figures": _figures(comparison),
        "galleries": galleries,
        "without_pictures": without_pictures,
        "command": command or repeat_command(records),
        "facts": facts(records, summary.methods, summary.seeds, captions.shots_words(summary)),
        "runs": times(records, summary.methods),
    }


def _story_by_test(records: Sequence[ResultRecord], interval: Interval) -> dict[str, Any]:
    """What the page shows of the records of a protocol without a story of its own."""
    summary = by_test(records, interval=interval)
    shots = ", ".join(map(str, summary.shots))
    return {
        "summary": summary,
        "setting": setting_by_test(summary),
        "command": repeat_command(records),
        "facts": facts(records, summary.methods, summary.seeds, f"{shots} of every class" if shots else "none"),
        "runs": times(records, summary.methods),
    }


def _shown(value: Any) -> Any:
    """Text without control characters and what turns it round; the template's autoescape does the rest."""
    return for_terminal_lines(value) if type(value) is str else value


def _csp_hash(style: str) -> str:
    """The style sheet's hash for the content security policy, which allows this one and nothing else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _has_wide_intervals(summary: Summary) -> bool:
    """Whether some interval takes two digits before its point, and so more room beside its mean."""
    cells = [*summary.cells.values(), *summary.average.values()]
    return any((estimate.half_width or 0) >= 9.95 for cell in cells for estimate in cell.columns)


def _figures(comparison: Comparison | None) -> dict[str, Any] | None:
    from markupsafe import Markup

    if comparison is None:
        return None
    names = {method: method_name(method) for method in (comparison.first, comparison.second)}
    bars, scatter = bars_svg(comparison, names), scatter_svg(comparison, names)
    return {
        "bars": Markup(bars),  # ElementTree has escaped it
        "scatter": Markup(scatter),  # likewise
        "first": names[comparison.first],
        "second": names[comparison.second],
        "intervals": any(
            estimate.half_width is not None for estimate in (*comparison.new.values(), comparison.average_new)
        ),
    }
