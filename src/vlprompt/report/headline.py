"""The finding of a comparison in words, computed from its records whatever they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlprompt.experiments.records import ResultRecord
from vlprompt.methods.declarations import title_of
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.summary import Comparison, Summary, compare, summarize


@dataclass(frozen=True)
class Headline:
    """One sentence, and the sentences that back it with numbers."""

    title: str
    support: tuple[str, ...]


def method_name(label: str) -> str:
    """A method's name as the papers write it."""
    return title_of(label)


def short_method_name(label: str) -> str:
    """A method's name as the papers' tables write it, where "CLIP" is the zero-shot one."""
    return method_name(label).removeprefix("zero-shot ")


def headline(records: Sequence[ResultRecord], *, interval: Interval = "student") -> Headline:
    """What the records say: CoCoOp against CoOp on new classes where both are there, else the best H."""
    summary = summarize(records, interval=interval)
    comparison = compare(records, interval=interval)
    if comparison is not None:
        return Headline(_title(comparison), (*_support(comparison), *_against_zero_shot(records, summary)))
    if not summary.average:
        return Headline("The methods have no data set in common yet", ())
    return Headline(*_best_harmonic(summary))


def serves_new_names(summary: Summary) -> str:
    """The method that is best on new classes and those whose intervals overlap its own; empty without an average."""
    ranked = sorted(summary.average, key=lambda method: -summary.average[method].new.mean)
    if not ranked:
        return ""
    best = summary.average[ranked[0]].new
    alike = [method for method in ranked if method == ranked[0] or summary.average[method].new.high >= best.low]
    return f"{', '.join(method_name(method) for method in alike)} ({best.mean:.1f}% of new classes)"


def verdict(estimate: Estimate) -> str:
    """How a difference reads: "better", "worse", or "unclear" where its interval holds 0 or is unknown."""
    if estimate.half_width is None or estimate.low <= 0 <= estimate.high:
        return "unclear"
    return "better" if estimate.mean > 0 else "worse"


def _title(comparison: Comparison) -> str:
    first, second = method_name(comparison.first), method_name(comparison.second)
    difference = comparison.average_new
    points = f"{abs(difference.mean):.1f} points"
    if verdict(difference) == "unclear":
        if difference.half_width is None:
            ahead, behind = (first, second) if difference.mean >= 0 else (second, first)
            return f"{ahead} is {points} ahead of {behind} on classes never trained on, from a single seed"
        return f"{first} and {second} do not differ clearly on classes never trained on"
    return f"{first} is {points} {verdict(difference)} than {second} on classes never trained on"


def _support(comparison: Comparison) -> list[str]:
    first, second = method_name(comparison.first), method_name(comparison.second)
    count = len(comparison.new)
    sets = f"{count} data sets" if count > 1 else "one data set"
    return [
        f"Averaged over {sets}, {first} minus {second} is {_points(comparison.average_new)} on new classes, "
        f"with {first} ahead on {comparison.wins_on_new} of {count}, and {_points(comparison.average_base)} on the "
        "base classes that both were trained on."
    ]


def _against_zero_shot(records: Sequence[ResultRecord], summary: Summary) -> list[str]:
    """Whether what was learned helps at all where nothing was learned from."""
    parts = []
    for method in ("coop", "cocoop"):
        comparison = compare(records, method, "zero-shot", interval=summary.interval)
        if comparison is not None:
            base, new = _signed(comparison.average_base.mean), _signed(comparison.average_new.mean)
            parts.append(f"{method_name(method)} is at {base} on base and {new} on new classes")
    return [f"Against zero-shot CLIP, which learns nothing, {' and '.join(parts)}."] if parts else []


def _best_harmonic(summary: Summary) -> tuple[str, tuple[str, ...]]:
    ranked = sorted(summary.average.items(), key=lambda item: -item[1].harmonic.mean)
    best, cell = ranked[0]
    title = f"{method_name(best)} has a harmonic mean of {cell.harmonic.mean:.1f}"
    if len(ranked) > 1:
        title += f", the highest of {len(ranked)} methods" if summary.best(None, 2) else ", not clearly above the next"
    listed = ", ".join(
        f"{method_name(method)} {cell.base.mean:.1f} on base and {cell.new.mean:.1f} on new classes"
        for method, cell in ranked
    )
    of_what = "Averages" if len(summary.averaged) > 1 else f"On {summary.averaged[0]}"
    return title, (f"{of_what}, in percent: {listed}.",)


def _points(estimate: Estimate) -> str:
    value = f"{_signed(estimate.mean)} points"
    if estimate.half_width is None:
        return value
    return f"{value} (95% interval {_signed(estimate.low)} to {_signed(estimate.high)})"


def _signed(value: float) -> str:
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "−")
