"""Every figure of the page for print, from the same numbers, with matplotlib: as PDF and as PNG.

Figures are made without pyplot, on Agg, so that nothing is kept between them and no window is asked for. matplotlib
takes half a second to import, so only `write_figures` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.experiments.records import ResultRecord, file_name_of
from vlprompt.files import write_atomically
from vlprompt.model.calibration import Calibration
from vlprompt.report.curves import apart
from vlprompt.report.diagnostics import Confusions, all_confusions, best_confusions, calibrations
from vlprompt.report.drawing import Scale, short_names, ticks
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.few_shot import FewShotSummary, summarize_few_shot
from vlprompt.report.few_shot_words import test_title
from vlprompt.report.headline import method_name, short_method_name
from vlprompt.report.stories import stories_of
from vlprompt.report.summary import Comparison, compare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAIN, LOSS, QUIET, INK = "#1f7a6c", "#b4532a", "#6b675e", "#1c1b18"
COLOURS = {"head": GAIN, "prompt": LOSS, "zero-shot": QUIET, "auto": INK}
STYLE: dict[Any, Any] = {
    "font.size": 8.0, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "axes.edgecolor": QUIET, "xtick.color": QUIET, "ytick.color": QUIET, "grid.color": QUIET, "grid.alpha": 0.25,
    "grid.linewidth": 0.5, "pdf.fonttype": 42, "font.family": "DejaVu Sans", "figure.dpi": 100.0,
    "text.parse_math": False,
}  # fmt: skip
"""DejaVu comes with matplotlib; fonts are embedded as such (type 42), as publishers ask."""
NAMED_CLASSES = 40
"""Of a confusion matrix with more classes the names would not be legible."""


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn, by the name of its files."""

    name: str
    draw: Callable[[], Figure]


def write_figures(folder: Path, records: Sequence[ResultRecord], interval: Interval = "student") -> list[Path]:
    """Write all figures that the records have numbers for, each as PDF and PNG, and return their paths.

    Raises:
        OutputError: a file cannot be written.
    """
    import io

    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    written = []
    with matplotlib.rc_context(STYLE):
        for drawing in drawings(records, interval):
            figure = drawing.draw()
            FigureCanvasAgg(figure)
            for suffix, options in (("pdf", {"metadata": {"CreationDate": None}}), ("png", {"dpi": 200})):
                stream = io.BytesIO()
                figure.savefig(stream, format=suffix, bbox_inches="tight", **options)  # type: ignore[arg-type]
                written.append(folder / f"{file_name_of(drawing.name)}.{suffix}")
                write_atomically(written[-1], stream.getvalue())
    return written


def drawings(records: Sequence[ResultRecord], interval: Interval = "student") -> list[Drawing]:
    """All figures; nothing is drawn yet."""
    found = []
    stories = stories_of(records)
    comparison = compare(stories.new_names, interval=interval) if stories.new_names else None
    if comparison is not None:
        found.append(Drawing("gain-and-loss", partial(gain_and_loss, comparison)))
    if stories.with_pictures:
        summary = summarize_few_shot(stories.with_pictures, interval=interval)
        tests = [test for test in summary.tests if summary.averaged[test]]
        if tests:
            found.append(Drawing("few-shot-curves", partial(curves, summary, tests)))
    for (protocol, test), of_methods in calibrations(records).items():
        found.append(Drawing(f"reliability-{protocol}-{test}", partial(reliability, of_methods)))
    for one in best_confusions(all_confusions(records)):
        found.append(Drawing(f"confusion-{one.protocol}-{one.dataset}-{one.test}", partial(confusion_matrix, one)))
    return found


def gain_and_loss(comparison: Comparison) -> Figure:
    """One method minus another on new classes, and gain there against loss on base classes (CoCoOp, Fig. 3)."""
    first, second = method_name(comparison.first), method_name(comparison.second)
    figure = _new_figure(6.8, max(2.6, 0.24 * len(comparison.new) + 1.2))
    bars, scatter = figure.subplots(1, 2, gridspec_kw={"wspace": 0.35})
    rows = sorted(comparison.new.items(), key=lambda item: item[1].mean)
    estimates = [comparison.average_new, *(estimate for _, estimate in rows)]
    bars.barh(
        range(len(estimates)), [one.mean for one in estimates], xerr=[one.half_width or 0 for one in estimates],
        color=[GAIN if one.mean >= 0 else LOSS for one in estimates], height=0.6,
        error_kw={"elinewidth": 0.8, "ecolor": INK},
    )  # fmt: skip
    bars.set_yticks(range(len(estimates)), ["average", *short_names([dataset for dataset, _ in rows])], color=INK)
    bars.axvline(0, color=QUIET, linewidth=0.8)
    bars.axhline(0.5, color=QUIET, linewidth=0.4)
    bars.set_xlabel(f"{first} − {second} on new classes (points)")
    _scatter(scatter, comparison, first, second)
    return figure


def _scatter(axes: Axes, comparison: Comparison, first: str, second: str) -> None:
    from matplotlib.patheffects import withStroke

    losses = {d: Estimate(-one.mean, one.half_width, one.count) for d, one in comparison.base.items()}
    for name, dataset in zip(short_names(list(comparison.new)), comparison.new, strict=True):
        loss, gain = losses[dataset], comparison.new[dataset]
        axes.errorbar(
            loss.mean, gain.mean, xerr=loss.half_width or None, yerr=gain.half_width or None, fmt="o", color=GAIN,
            markersize=4, elinewidth=0.6, alpha=0.85,
        )  # fmt: skip
        axes.annotate(
            name, (loss.mean, gain.mean), xytext=(4, 4), textcoords="offset points", fontsize=7, color=INK, zorder=9,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    across, up = Scale.around(losses.values(), 0, 1), Scale.around(comparison.new.values(), 0, 1)
    axes.set_xlim(across.low, across.high)
    axes.set_ylim(up.low, up.high)
    axes.axline((0, 0), slope=1, color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)))
    axes.axhline(0, color=QUIET, linewidth=0.5)
    axes.axvline(0, color=QUIET, linewidth=0.5)
    axes.set_xlabel(f"loss on base ({second} − {first})")
    axes.set_ylabel(f"gain on new ({first} − {second})")


def curves(summary: FewShotSummary, tests: Sequence[str]) -> Figure:
    """Accuracy over the number of training pictures, a panel for each test; curves are named at their ends."""
    figure = _new_figure(3.6 * len(tests), 3.0)
    for axes, test in zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True):
        _curves_of(axes, summary, test)
    figure.subplots_adjust(wspace=0.75)
    return figure


def _curves_of(axes: Axes, summary: FewShotSummary, test: str) -> None:
    places = {shots: place for place, shots in enumerate(summary.shots)}
    ends: dict[str, tuple[float, float]] = {}
    found: list[float] = []
    for method in summary.methods:
        there = [shots for shots in summary.shots if (test, method, shots) in summary.averages]
        if not there:
            continue
        means = [summary.averages[test, method, shots].mean for shots in there]
        kind = summary.kinds[method]
        axes.errorbar(
            [places[shots] for shots in there], [one.mean for one in means],
            yerr=[one.half_width or 0 for one in means] if kind != "zero-shot" else None, color=COLOURS[kind],
            linewidth=1.1, elinewidth=0.6, marker={"head": "o", "prompt": "s", "auto": "D"}.get(kind, ""),
            markersize=3, linestyle="--" if kind == "zero-shot" else "-",
        )  # fmt: skip
        found += [one.mean for one in means]
        ends[method] = (places[there[-1]], means[-1].mean)
    axes.set_xticks(range(len(summary.shots)), [str(shots) for shots in summary.shots])
    axes.set_xlabel("training pictures a class")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(test_title(summary, test), fontsize=8, loc="left", color=INK)
    axes.grid(axis="y")
    marks = ticks(min(found), min(max(found) + 0.5, 100), 5)
    low, high = marks[0], marks[-1]
    axes.set_ylim(low, high)  # of the means: an interval of two seeds may be wider than all of them
    order = sorted(ends, key=lambda method: ends[method][1])
    heights = apart([ends[method][1] for method in order], (high - low) / 18, low, high)
    for method, height in zip(order, heights, strict=True):
        axes.annotate(
            short_method_name(method), ends[method], xytext=(len(summary.shots) - 0.6, height), fontsize=7,
            color=COLOURS[summary.kinds[method]], va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": QUIET, "shrinkB": 3},
        )  # fmt: skip


def reliability(of_methods: dict[str, Calibration]) -> Figure:
    """Accuracy over confidence in bins, a panel for each method, with the expected calibration error."""
    columns = min(4, len(of_methods))
    rows = -(-len(of_methods) // columns)
    figure = _new_figure(1.9 * columns, 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (method, made) in zip(panels, of_methods.items(), strict=False):
        width = 100 / len(made.pictures)
        shares = [100 * right / max(count, 1) for right, count in zip(made.correct, made.pictures, strict=True)]
        heaviest = max(made.pictures)
        for number, (count, share) in enumerate(zip(made.pictures, shares, strict=True)):
            if count:  # the darker, the more pictures
                alpha = 0.25 + 0.7 * count / heaviest
                axes.bar((number + 0.5) * width, share, width * 0.92, color=GAIN, alpha=alpha)
        axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.7, linestyle=(0, (4, 3)))
        axes.set_title(f"{short_method_name(method)}, ECE {made.error:.1f}", fontsize=8, loc="left", color=INK)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_aspect("equal")
    for axes in panels[len(of_methods) :]:
        axes.set_axis_off()
    figure.supxlabel("confidence (%)", fontsize=8, color=QUIET)
    figure.supylabel("accuracy (%)", fontsize=8, color=QUIET)
    return figure


def confusion_matrix(one: Confusions) -> Figure:
    """The part of each class's pictures that got each answer."""
    import numpy as np

    count = len(one.classes)
    shares = np.zeros((count, count))
    for (true, predicted), share in one.shares().items():
        shares[true, predicted] = 100 * share
    named = count <= NAMED_CLASSES
    figure = _new_figure(*([max(2.6, 0.17 * count + 1.6)] * 2 if named else (4.2, 4.2)))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Greens", vmin=0, vmax=100, interpolation="nearest" if named else "antialiased")
    if named:
        axes.set_xticks(range(count), one.classes, rotation=90, fontsize=6)
        axes.set_yticks(range(count), one.classes, fontsize=6)
    axes.set_xlabel(f"answer of {method_name(one.method)}")
    axes.set_ylabel("class")
    axes.set_title(f"{one.dataset}, {one.test}: {one.accuracy:.1f}% right", fontsize=8, loc="left", color=INK)
    figure.colorbar(image, ax=axes, shrink=0.6, label="% of the class's pictures").outline.set_visible(False)  # type: ignore[operator]
    return figure


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))
