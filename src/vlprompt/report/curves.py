"""Accuracy over the number of training pictures, as SVG: a panel for one test, a curve for each method.

Curves are named at their right ends, so that no colour has to be looked up; colours and marks tell the kinds apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement

from vlprompt.report.drawing import Scale, draw_line, draw_text, new_svg, tick_label, ticks, to_text
from vlprompt.report.few_shot import FewShotSummary

_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 236, 14, 300
_NAMES = 252
"""Where the curves' names start."""
_NAME_HEIGHT = 15


def curves_svg(summary: FewShotSummary, test: str, title: str, names: Mapping[str, str]) -> str:
    """A panel.

    Args:
        title: what the test is.
        names: the methods' names to show.
    """
    lines = _values(summary, test)
    height = max(_BOTTOM + 44, _TOP + _NAME_HEIGHT * len(lines) + 8)
    svg = new_svg(height, f"Accuracy by training pictures a class, {title}", _describe(lines, title, names))
    found = [value for values in lines.values() for value in values.values()]
    marks = ticks(min(found), min(max(found) + 0.5, 100), 5)
    y = Scale(marks[0], marks[-1], _BOTTOM, _TOP, tuple(marks))
    x = dict(zip(summary.shots, _places(len(summary.shots)), strict=True))
    _frame(svg, y, x)
    for method, values in lines.items():
        _curve(svg, summary.kinds[method], [(x[shots], y.at(value)) for shots, value in values.items()])
    _name_curves(svg, summary, x, y, lines, names)
    return to_text(svg)


def _values(summary: FewShotSummary, test: str) -> dict[str, dict[int, float]]:
    """Accuracy by method and shots."""
    return {
        method: values
        for method in summary.methods
        if (
            values := {
                shots: summary.averages[test, method, shots].mean.mean
                for shots in summary.shots
                if (test, method, shots) in summary.averages
            }
        )
    }


def _places(count: int) -> list[float]:
    """Evenly spaced, as each number of shots is usually twice the one before."""
    if count == 1:
        return [(_LEFT + _RIGHT) / 2]
    return [_LEFT + 10 + (_RIGHT - _LEFT - 20) * index / (count - 1) for index in range(count)]


def _frame(svg: Element, y: Scale, x: Mapping[int, float]) -> None:
    for value in y.ticks:
        draw_line(svg, _LEFT, y.at(value), _RIGHT, y.at(value), "grid")
        draw_text(svg, _LEFT - 6, y.at(value) + 4, tick_label(value), "tick", "end")
    for shots, place in x.items():
        draw_line(svg, place, _BOTTOM, place, _BOTTOM + 4, "zero")
        draw_text(svg, place, _BOTTOM + 18, str(shots), "tick", "middle")
    draw_line(svg, _LEFT, _BOTTOM, _RIGHT, _BOTTOM, "zero")
    draw_text(svg, (_LEFT + _RIGHT) / 2, _BOTTOM + 36, "training pictures a class", "axis", "middle")


def _curve(svg: Element, kind: str, points: Sequence[tuple[float, float]]) -> None:
    """A line through the points with a mark on each; zero-shot is a level line across."""
    if kind == "zero-shot":
        draw_line(svg, _LEFT, points[0][1], _RIGHT, points[0][1], "curve zero-shot")
        return
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    SubElement(svg, "polyline", {"points": path, "class": f"curve {kind}"})
    for px, py in points:
        _mark(svg, kind, px, py)


def _mark(svg: Element, kind: str, px: float, py: float) -> None:
    """A circle for a head, a square for a prompt, a ring for auto."""
    if kind == "prompt":
        box = {"x": f"{px - 3:.1f}", "y": f"{py - 3:.1f}", "width": "6", "height": "6", "class": f"mark {kind}"}
        SubElement(svg, "rect", box)
    else:
        radius = "5" if kind == "auto" else "3.2"
        SubElement(svg, "circle", {"cx": f"{px:.1f}", "cy": f"{py:.1f}", "r": radius, "class": f"mark {kind}"})


def _name_curves(
    svg: Element, summary: FewShotSummary, x: Mapping[int, float], y: Scale, lines: dict[str, dict[int, float]],
    names: Mapping[str, str],
) -> None:  # fmt: skip
    """Names from top to bottom in the order of the curves' ends, moved apart, each with a line to its end."""
    ends = {method: (x[max(values)], y.at(values[max(values)])) for method, values in lines.items()}
    order = sorted(ends, key=lambda method: ends[method][1])
    places = apart([ends[method][1] for method in order], _NAME_HEIGHT, _TOP, _BOTTOM)
    for method, place in zip(order, places, strict=True):
        kind = summary.kinds[method]
        start = _RIGHT if kind == "zero-shot" else ends[method][0] + 5
        draw_line(svg, start, ends[method][1], _NAMES - 3, place, f"lead {kind}")
        name = names[method]
        shown = name if len(name) <= 17 else f"{name[:16]}…"
        draw_text(svg, _NAMES, place + 4, shown, f"label name {kind}")


def apart(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Ascending places moved as little as need be, so that neighbours are `distance` apart and all within bounds.

    Where there are too many for the bounds, they go on below `high`.
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, low, moved[-1] + distance if moved else low))
    limit = max(high, low + distance * (len(places) - 1))
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - distance
    return moved


def _describe(lines: dict[str, dict[int, float]], title: str, names: Mapping[str, str]) -> str:
    listed = "; ".join(
        f"{names[method]} {', '.join(f'{value:.1f} with {shots}' for shots, value in values.items())}"
        for method, values in lines.items()
    )
    return f"Accuracy in percent by training pictures a class, {title}: {listed}."
