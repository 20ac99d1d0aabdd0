"""The CoCoOp paper's summary figure (arXiv 2203.05557, Fig. 3), drawn from our own results as SVG.

(a) One method minus another on new classes, a bar for each data set, sorted.
(b) Gain on new classes against loss on base classes, a point for each data set.

The drawing has no colours of its own: every mark has a class, and the page's style sheet gives light and dark ones.
Widths are made for a phone: 360 units with text of 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree.ElementTree import Element, SubElement, tostring

from vlprompt.escaping import for_terminal
from vlprompt.report.estimates import Estimate
from vlprompt.report.summary import Comparison

WIDTH = 360
_TEXT = 12
_LETTER = 6.4
"""Width of a letter of the text, roughly: for keeping labels apart."""


def bars_svg(comparison: Comparison, names: dict[str, str]) -> str:
    """Figure (a). `names` are the methods' names to show.

    Whiskers are 95% intervals of the difference over seeds.
    """
    rows = sorted(comparison.new.items(), key=lambda item: -item[1].mean)
    labels = short_names([dataset for dataset, _ in rows])
    first, second = names[comparison.first], names[comparison.second]
    row_height, top = 26, 10
    height = top + row_height * (len(rows) + 1) + 34
    svg = _svg(height, f"{first} minus {second} on new classes", _describe_bars(comparison, first, second))
    scale = _Scale.around([estimate for _, estimate in rows] + [comparison.average_new], 112, 284)
    bottom = top + row_height * (len(rows) + 1) + 8
    _vertical_ticks(svg, scale, top, bottom)
    for index, (label, (_, estimate)) in enumerate(zip(labels, rows, strict=True)):
        _bar(svg, scale, top + index * row_height, label, estimate)
    line = top + len(rows) * row_height + 3
    _line(svg, 0, line, WIDTH, line, "rule")
    _bar(svg, scale, line + 4, "average", comparison.average_new, strong=True)
    return _to_text(svg)


def scatter_svg(comparison: Comparison, names: dict[str, str]) -> str:
    """Figure (b). `names` are the methods' names to show."""
    first, second = names[comparison.first], names[comparison.second]
    losses = {dataset: _negative(estimate) for dataset, estimate in comparison.base.items()}
    height = 330
    svg = _svg(
        height,
        f"Gain on new classes against loss on base classes, {first} compared with {second}",
        _describe_scatter(comparison, first, second),
    )
    x = _Scale.around(list(losses.values()), 40, WIDTH - 12)
    y = _Scale.around(list(comparison.new.values()), height - 46, 12)
    _axes(svg, x, y, height)
    _even_line(svg, x, y)
    points = [(x.at(losses[d].mean), y.at(comparison.new[d].mean)) for d in comparison.new]
    lines = [
        line
        for point, dataset in zip(points, comparison.new, strict=True)
        for line in _spread(svg, x, y, point, losses[dataset], comparison.new[dataset])
    ]
    labels = short_names(list(comparison.new))
    placed = _place_labels(points, labels, lines, (x.start, y.end, x.end, y.start))
    for (px, py), (lx, ly, anchor), label in zip(points, placed, labels, strict=True):
        SubElement(svg, "circle", {"cx": f"{px:.1f}", "cy": f"{py:.1f}", "r": "4.5", "class": "point"})
        _text(svg, lx, ly, label, "label halo", anchor)
    _text(svg, (x.start + x.end) / 2, height - 4, f"loss on base (points, {second} − {first})", "axis", "middle")
    caption = _text(svg, 0, 0, f"gain on new (points, {first} − {second})", "axis", "middle")
    caption.set("transform", f"translate(10 {(y.start + y.end) / 2:.1f}) rotate(-90)")
    return _to_text(svg)


def short_names(datasets: Sequence[str]) -> list[str]:
    """Data sets' names without the first word that all of them share ("emoji-"), cut to 15 letters."""
    first_words = {name.partition("-")[0] for name in datasets}
    shared = len(datasets) > 1 and len(first_words) == 1 and all("-" in name for name in datasets)
    short = [name.partition("-")[2] if shared else name for name in datasets]
    return [name if len(name) <= 15 else f"{name[:14]}…" for name in short]


def signed(estimate: Estimate) -> str:
    """A difference with its sign, a true minus, and its interval."""
    shown = f"{estimate.mean:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")
    return shown if estimate.half_width is None else f"{shown} ±{estimate.half_width:.1f}"


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (steps of 1, 2 or 5) that cover low to high."""
    raw = max(high - low, 1e-9) / about
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [step * index for index in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class _Scale:
    """Values from `low` to `high` on a length from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, estimates: Iterable[Estimate], start: float, end: float) -> _Scale:
        """A scale with 0 in it, and all means and their intervals (but never more than 3 times the means' range)."""
        estimates = list(estimates)
        means = [0.0, *(estimate.mean for estimate in estimates)]
        reach = max(max(means) - min(means), 1.0)
        lows = [max(e.mean - (e.half_width or 0), min(means) - reach) for e in estimates]
        highs = [min(e.mean + (e.half_width or 0), max(means) + reach) for e in estimates]
        marks = ticks(min(0.0, *lows), max(1.0, *highs))
        return cls(marks[0], marks[-1], start, end, tuple(marks))

    def at(self, value: float) -> float:
        """Where a value stands; outside the scale, at its end."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)


def _svg(height: float, title: str, description: str) -> Element:
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH} {height:g}", "class": "chart", "role": "img", "aria-label": for_terminal(title)},
    )
    SubElement(svg, "title").text = for_terminal(title)
    SubElement(svg, "desc").text = for_terminal(description)
    return svg


def _to_text(svg: Element) -> str:
    return tostring(svg, encoding="unicode")


def _bar(svg: Element, scale: _Scale, top: float, label: str, estimate: Estimate, *, strong: bool = False) -> None:
    middle, zero, end = top + 13, scale.at(0), scale.at(estimate.mean)
    weight = " strong" if strong else ""
    _text(svg, 0, middle + 4, label, f"label{weight}")
    kind = "gain" if estimate.mean >= 0 else "loss"
    box = {"x": f"{min(zero, end):.1f}", "y": f"{middle - 7:.1f}", "width": f"{abs(end - zero):.1f}", "height": "14"}
    SubElement(svg, "rect", {**box, "class": f"{kind}{weight}"})
    if estimate.half_width:
        _line(svg, scale.at(estimate.low), middle, scale.at(estimate.high), middle, "whisker")
    _text(svg, WIDTH, middle + 4, signed(estimate), f"value{weight}", "end")


def _vertical_ticks(svg: Element, scale: _Scale, top: float, bottom: float) -> None:
    for value in scale.ticks:
        position = scale.at(value)
        _line(svg, position, top, position, bottom, "zero" if value == 0 else "grid")
        _text(svg, position, bottom + 15, _tick_label(value), "tick", "middle")


def _axes(svg: Element, x: _Scale, y: _Scale, height: float) -> None:
    for value in x.ticks:
        _line(svg, x.at(value), y.start, x.at(value), y.end, "zero" if value == 0 else "grid")
        _text(svg, x.at(value), height - 29, _tick_label(value), "tick", "middle")
    for value in y.ticks:
        _line(svg, x.start, y.at(value), x.end, y.at(value), "zero" if value == 0 else "grid")
        _text(svg, x.start - 5, y.at(value) + 4, _tick_label(value), "tick", "end")


def _even_line(svg: Element, x: _Scale, y: _Scale) -> None:
    """Where gain equals loss: above it, more is gained than lost."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if high > low:
        _line(svg, x.at(low), y.at(low), x.at(high), y.at(high), "even")


def _spread(
    svg: Element, x: _Scale, y: _Scale, point: tuple[float, float], loss: Estimate, gain: Estimate
) -> list[Box]:
    """Draw a point's intervals in both directions, and say which boxes they cover."""
    (px, py), lines = point, []
    if loss.half_width:
        lines.append((x.at(loss.low), py, x.at(loss.high), py))
    if gain.half_width:
        lines.append((px, y.at(gain.high), px, y.at(gain.low)))
    for line in lines:
        _line(svg, *line, "spread")
    return [(left - 1, top - 1, right + 1, bottom + 1) for left, top, right, bottom in lines]


def _place_labels(
    points: Sequence[tuple[float, float]], labels: Sequence[str], lines: Sequence[Box], frame: Box
) -> list[tuple[float, float, str]]:
    """A place (x, y of the baseline, anchor) beside each point, where it covers least of points, lines and labels."""
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in points] + list(lines)
    placed = []
    for (px, py), label in zip(points, labels, strict=True):
        choices = _label_places(px, py, _LETTER * len(label))
        cost = [sum(_overlap(box, other) for other in taken) + _outside(box, frame) for *_, box in choices]
        best = choices[cost.index(min(cost))]
        taken.append(best[3])
        placed.append(best[:3])
    return placed


def _label_places(px: float, py: float, width: float) -> list[tuple[float, float, str, Box]]:
    """Places around a point, the preferred first: x, y of the baseline, anchor, and the box that the text covers."""
    places = []
    for dx, dy, anchor in ((6, -7, "start"), (6, 16, "start"), (-6, -7, "end"), (-6, 16, "end")):
        left = px + dx - (width if anchor == "end" else 0)
        places.append((px + dx, py + dy, anchor, (left, py + dy - 10, left + width, py + dy + 3)))
    for dx, anchor in ((9, "start"), (-9, "end")):
        left = px + dx - (width if anchor == "end" else 0)
        places.append((px + dx, py + 4, anchor, (left, py - 6, left + width, py + 7)))
    return places


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: Box, frame: Box) -> float:
    excess = max(0.0, frame[0] - box[0]) + max(0.0, box[2] - frame[2])
    return 1000 * (excess + max(0.0, frame[1] - box[1]) + max(0.0, box[3] - frame[3]))


def _negative(estimate: Estimate) -> Estimate:
    return Estimate(-estimate.mean, estimate.half_width, estimate.count)


def _tick_label(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _line(svg: Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    SubElement(svg, "line", {**ends, "class": kind})


def _text(svg: Element, x: float, y: float, text: str, kind: str, anchor: str = "start") -> Element:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "font-size": str(_TEXT), "class": kind}
    element = SubElement(svg, "text", place)
    element.text = for_terminal(text)
    return element


def _describe_bars(comparison: Comparison, first: str, second: str) -> str:
    rows = sorted(comparison.new.items(), key=lambda item: -item[1].mean)
    listed = "; ".join(f"{dataset} {signed(estimate)}" for dataset, estimate in rows)
    return f"{first} minus {second} in points: {listed}; average {signed(comparison.average_new)}."


def _describe_scatter(comparison: Comparison, first: str, second: str) -> str:
    listed = "; ".join(
        f"{dataset} gains {signed(comparison.new[dataset])}, loses {signed(_negative(comparison.base[dataset]))}"
        for dataset in comparison.new
    )
    return f"{first} compared with {second}, in points: {listed}."
