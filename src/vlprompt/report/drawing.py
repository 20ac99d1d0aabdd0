"""What the report's figures are drawn with: scales, ticks, lines and text as SVG.

The drawings have no colours of their own: every mark has a class, and the page's style sheet gives light and dark ones.
Widths are made for a phone: 360 units with text of 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree.ElementTree import Element, SubElement, tostring

from vlprompt.escaping import for_terminal
from vlprompt.report.estimates import Estimate

WIDTH = 360
TEXT = 12


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


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a length from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, estimates: Iterable[Estimate], start: float, end: float) -> Scale:
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


def new_svg(height: float, title: str, description: str) -> Element:
    """An empty drawing with its text for readers who do not see it."""
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH} {height:g}", "class": "chart", "role": "img", "aria-label": for_terminal(title)},
    )
    SubElement(svg, "title").text = for_terminal(title)
    SubElement(svg, "desc").text = for_terminal(description)
    return svg


def to_text(svg: Element) -> str:
    """The drawing as SVG."""
    return tostring(svg, encoding="unicode")


def tick_label(value: float) -> str:
    """A round number with a true minus."""
    return f"{value:g}".replace("-", "−")


def draw_line(svg: Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    """A line of a kind that the style sheet knows."""
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    SubElement(svg, "line", {**ends, "class": kind})


def draw_text(svg: Element, x: float, y: float, text: str, kind: str, anchor: str = "start") -> Element:
    """Text at a place, of a kind that the style sheet knows."""
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "font-size": str(TEXT), "class": kind}
    element = SubElement(svg, "text", place)
    element.text = for_terminal(text)
    return element
