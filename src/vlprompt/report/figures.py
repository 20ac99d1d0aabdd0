"""The CoCoOp paper's summary figure (arXiv 2203.05557, Fig. 3), drawn from our own results as SVG.

(a) One method minus another on new classes, a bar for each data set, sorted.
(b) Gain on new classes against loss on base classes, a point for each data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from vlprompt.report.drawing import (
    WIDTH,
    Scale,
    draw_line,
    draw_text,
    new_svg,
    short_names,
    signed,
    tick_label,
    to_text,
)
from vlprompt.report.estimates import Estimate
from vlprompt.report.summary import Comparison

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
    svg = new_svg(height, f"{first} minus {second} on new classes", _describe_bars(comparison, first, second))
    scale = Scale.around([estimate for _, estimate in rows] + [comparison.average_new], 112, 284)
    bottom = top + row_height * (len(rows) + 1) + 8
    _vertical_ticks(svg, scale, top, bottom)
    for index, (label, (_, estimate)) in enumerate(zip(labels, rows, strict=True)):
        _bar(svg, scale, top + index * row_height, label, estimate)
    line = top + len(rows) * row_height + 3
    draw_line(svg, 0, line, WIDTH, line, "rule")
    _bar(svg, scale, line + 4, "average", comparison.average_new, strong=True)
    return to_text(svg)


def scatter_svg(comparison: Comparison, names: dict[str, str]) -> str:
    """Figure (b). `names` are the methods' names to show."""
    first, second = names[comparison.first], names[comparison.second]
    losses = {dataset: _negative(estimate) for dataset, estimate in comparison.base.items()}
    height = 330
    svg = new_svg(
        height,
        f"Gain on new classes against loss on base classes, {first} compared with {second}",
        _describe_scatter(comparison, first, second),
    )
    x = Scale.around(list(losses.values()), 40, WIDTH - 12)
    y = Scale.around(list(comparison.new.values()), height - 46, 12)
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
        draw_text(svg, lx, ly, label, "label halo", anchor)
    draw_text(svg, (x.start + x.end) / 2, height - 4, f"loss on base (points, {second} − {first})", "axis", "middle")
    caption = draw_text(svg, 0, 0, f"gain on new (points, {first} − {second})", "axis", "middle")
    caption.set("transform", f"translate(10 {(y.start + y.end) / 2:.1f}) rotate(-90)")
    return to_text(svg)


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _bar(svg: Element, scale: Scale, top: float, label: str, estimate: Estimate, *, strong: bool = False) -> None:
    middle, zero, end = top + 13, scale.at(0), scale.at(estimate.mean)
    weight = " strong" if strong else ""
    draw_text(svg, 0, middle + 4, label, f"label{weight}")
    kind = "gain" if estimate.mean >= 0 else "loss"
    box = {"x": f"{min(zero, end):.1f}", "y": f"{middle - 7:.1f}", "width": f"{abs(end - zero):.1f}", "height": "14"}
    SubElement(svg, "rect", {**box, "class": f"{kind}{weight}"})
    if estimate.half_width:
        draw_line(svg, scale.at(estimate.low), middle, scale.at(estimate.high), middle, "whisker")
    draw_text(svg, WIDTH, middle + 4, signed(estimate), f"value{weight}", "end")


def _vertical_ticks(svg: Element, scale: Scale, top: float, bottom: float) -> None:
    for value in scale.ticks:
        position = scale.at(value)
        draw_line(svg, position, top, position, bottom, "zero" if value == 0 else "grid")
        draw_text(svg, position, bottom + 15, tick_label(value), "tick", "middle")


def _axes(svg: Element, x: Scale, y: Scale, height: float) -> None:
    for value in x.ticks:
        draw_line(svg, x.at(value), y.start, x.at(value), y.end, "zero" if value == 0 else "grid")
        draw_text(svg, x.at(value), height - 29, tick_label(value), "tick", "middle")
    for value in y.ticks:
        draw_line(svg, x.start, y.at(value), x.end, y.at(value), "zero" if value == 0 else "grid")
        draw_text(svg, x.start - 5, y.at(value) + 4, tick_label(value), "tick", "end")


def _even_line(svg: Element, x: Scale, y: Scale) -> None:
    """Where gain equals loss: above it, more is gained than lost."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if high > low:
        draw_line(svg, x.at(low), y.at(low), x.at(high), y.at(high), "even")


def _spread(svg: Element, x: Scale, y: Scale, point: tuple[float, float], loss: Estimate, gain: Estimate) -> list[Box]:
    """Draw a point's intervals in both directions, and say which boxes they cover."""
    (px, py), lines = point, []
    if loss.half_width:
        lines.append((x.at(loss.low), py, x.at(loss.high), py))
    if gain.half_width:
        lines.append((px, y.at(gain.high), px, y.at(gain.low)))
    for line in lines:
        draw_line(svg, *line, "spread")
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
