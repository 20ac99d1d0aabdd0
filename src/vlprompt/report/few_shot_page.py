"""What the page shows of few-shot records: the story of classes that there are pictures of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlprompt.experiments.records import ResultRecord
from vlprompt.report.curves import curves_svg
from vlprompt.report.estimates import Interval
from vlprompt.report.facts import facts, times
from vlprompt.report.few_shot import FewShotSummary, summarize_few_shot
from vlprompt.report.few_shot_words import (
    few_shot_caption,
    few_shot_headline,
    main_setting,
    serves,
    setting,
    test_title,
)
from vlprompt.report.headline import short_method_name
from vlprompt.report.repeating import repeat_command


def few_shot_story(records: Sequence[ResultRecord], command: str | None, interval: Interval) -> dict[str, Any]:
    """What the page's template reads of it.

    Args:
        command: the exact command that repeats it; made from the records by default.
    """
    summary = summarize_few_shot(records, interval=interval)
    tests = [test for test in summary.tests if summary.averaged[test]]
    return {
        "headline": few_shot_headline(summary),
        "summary": summary,
        "tests": tests,
        "most": main_setting(summary)[1],
        "titles": {test: test_title(summary, test) for test in summary.tests},
        "serves": [(shots, [serves(summary, test, shots) for test in tests]) for shots in summary.shots],
        "curves": _curves(summary, tests),
        "caption": few_shot_caption(summary),
        "setting": setting(summary),
        "command": command or repeat_command(records),
        "facts": facts(records, summary.methods, summary.seeds, _shots_words(summary)),
        "runs": times(records, summary.methods),
    }


def _curves(summary: FewShotSummary, tests: Sequence[str]) -> list[tuple[str, Any]]:
    from markupsafe import Markup

    names = {method: short_method_name(method) for method in summary.methods}
    titles = {test: test_title(summary, test) for test in tests}
    return [
        (titles[test], Markup(curves_svg(summary, test, titles[test], names)))  # ElementTree has escaped it
        for test in tests
    ]


def _shots_words(summary: FewShotSummary) -> str:
    if not summary.seeds:
        return "none (nothing is learned)"
    return f"{', '.join(map(str, summary.shots))} of every class"
