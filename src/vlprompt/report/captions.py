"""What the numbers of a comparison are: the words under and around its tables, which say what was run and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vlprompt.report.estimates import INTERVALS
from vlprompt.report.summary import Summary

NOTEWORTHY = 1.0
"""Points by which balanced accuracy must differ from accuracy to be worth a sentence."""


def caption(summary: Summary, *, bold: bool = True) -> str:
    """The words under every table.

    Args:
        bold: whether bold letters will be seen as such.
    """
    sentences = [
        f"Accuracy in percent on test images; {summary.backbone}, {setting_words(summary)}: {interval_words(summary)}.",
        harmonic_words(summary),
        best_words(summary) if bold else "",
        balanced_words(summary),
        thread_words(summary.thread_counts),
    ]
    return " ".join(filter(None, sentences))


def setting_words(summary: Summary) -> str:
    """Shots and seeds; a method that learns nothing has neither."""
    if not summary.learned:
        return "no shots and no seeds"
    return f"{counted(summary.shots, 'shot')}, {_seeds(summary)}"


def interval_words(summary: Summary) -> str:
    """What a number is, and what stands behind ±, if anything does."""
    if not summary.learned:
        return "nothing is learned, so each number is one result without an interval over seeds"
    least, most = _seed_counts(summary)
    if most < 2:
        return f"one seed has no interval{_fixed_words(summary)}"
    some = ", where there are two seeds or more" if least < 2 else ""
    return f"{INTERVALS[summary.interval]}{some}{_fixed_words(summary)}"


def harmonic_words(summary: Summary) -> str:
    """What H is, and what the average row is over, if there is one."""
    of = "the two averages" if summary.learned and _seed_counts(summary)[1] > 1 else "base and new accuracy"
    over = f"; average over {_over(summary)}" if summary.shows_average else ""
    return f"H: harmonic mean of {of}{over}."


def shots_words(summary: Summary) -> str:
    """How the training images were drawn."""
    if not summary.learned:
        return "none (nothing is learned)"
    images = counted(summary.shots, "image")
    return f"{images} a class, drawn over all classes; trained on the first half of the classes"


def best_words(summary: Summary) -> str:
    """What bold letters say; empty where nothing is bold."""
    rows: list[str | None] = [*summary.datasets, *([None] if summary.shows_average else [])]
    if not any(summary.best(row, column) for row in rows for column in range(3)):
        return ""
    return "Bold: best, with an interval above all others'." if summary.learned else "Bold: best."


def balanced_words(summary: Summary) -> str:
    """That accuracy speaks for frequent classes more, where that changes a number; empty elsewhere."""
    gaps = {
        (dataset, method, half): balanced - estimate.mean
        for (dataset, method), halves in summary.balanced.items()
        for half, balanced, estimate in zip(
            ("base", "new"), halves, summary.cells[dataset, method].columns[:2], strict=True
        )
    }
    dataset, method, half = max(gaps, key=lambda key: abs(gaps[key]))
    gap = gaps[dataset, method, half]
    if abs(gap) < NOTEWORTHY:
        return ""
    return (
        "Some classes have more test images than others: balanced accuracy, the mean over the classes, differs by up "
        f"to {abs(gap):.1f} points ({dataset}, {method}, {half} classes; the CSV table has it for all)."
    )


def thread_words(counts: Iterable[int]) -> str:
    """That runs were not computed with one number of threads, where that is so."""
    several = sorted(set(counts))
    if len(several) < 2:
        return ""
    numbers = and_list([str(count) for count in several])
    return (
        f"Runs had {numbers} threads; sums are rounded otherwise with other numbers of threads, so the same settings "
        "may differ in their last digits."
    )


def protocol_words(summary: Summary) -> str:
    """What was done, for a reader who does not know the protocol."""
    if not summary.learned:
        return (
            "Nothing is learned. Each method is tested on test images of the base classes, the first half of a data "
            "set’s classes, and, with the other names in its prompts, of the other half."
        )
    which = "Each method" if len(summary.learned) == len(summary.methods) else "Each method that learns"
    rest = "" if len(summary.learned) == len(summary.methods) else " The others learn nothing and are tested likewise."
    images = counted(summary.shots, "image")
    return (
        f"{which} trains on {images} of every base class, the first half of a data set’s classes, and is "
        "tested on test images of those and, with the new names in its prompts, of the other half, which it never saw."
        f"{rest}"
    )


def _fixed_words(summary: Summary) -> str:
    """That some methods learn nothing, where there are such beside others."""
    fixed = [method for method in summary.methods if method not in summary.learned]
    if not fixed:
        return ""
    return f"; {and_list(fixed)} {'learn nothing and have' if len(fixed) > 1 else 'learns nothing and has'} one result"


def _seed_counts(summary: Summary) -> tuple[int, int]:
    """The least and the most seeds that a method that learns has on a data set."""
    counts = [cell.base.count for (_, method), cell in summary.cells.items() if method in summary.learned]
    return min(counts), max(counts)


def _seeds(summary: Summary) -> str:
    least, most = _seed_counts(summary)
    if least != most:
        return f"{least} to {most} seeds"
    return counted(most, "seed")


def counted(number: int, what: str) -> str:
    """So many, in words: 1 shot, 2 shots."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _over(summary: Summary) -> str:
    if len(summary.averaged) == len(summary.datasets):
        return f"the {len(summary.averaged)} data sets"
    return f"the {len(summary.averaged)} of {len(summary.datasets)} data sets that every method has results for"


def and_list(words: Sequence[str]) -> str:
    """Words with commas and an and."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
