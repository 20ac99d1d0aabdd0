"""Reliability diagrams and confusion matrices of the page, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any
from xml.etree.ElementTree import SubElement

from vlprompt.experiments.records import ResultRecord
from vlprompt.model.calibration import Calibration
from vlprompt.report.diagnostics import Confusions, all_confusions, best_confusions, calibrations
from vlprompt.report.drawing import WIDTH, draw_line, draw_text, new_svg, to_text
from vlprompt.report.headline import short_method_name

DRAWN_CLASSES = 200
"""Confusion matrices of more classes would make the page heavy, and their cells too small to see."""
LEVELS = 5
"""Shades of a confusion matrix; each is one path, so that a matrix takes few bytes."""
_LEFT, _TOP, _SIDE = 52, 10, 288


def diagnostics_of(records: Sequence[ResultRecord]) -> dict[str, Any]:
    """What the page shows: reliability diagrams by protocol and test, and the confusions of the best methods."""
    from markupsafe import Markup

    return {
        "reliability": [
            (
                f"{protocol}, {test}",
                [
                    # ElementTree has escaped it
                    (short_method_name(method), made.error, Markup(reliability_svg(made, short_method_name(method))))
                    for method, made in of_methods.items()
                ],
            )
            for (protocol, test), of_methods in calibrations(records).items()
        ],
        "confusions": [
            (one, Markup(confusion_svg(one)) if len(one.classes) <= DRAWN_CLASSES else None)
            for one in best_confusions(all_confusions(records))
        ],
    }


def reliability_svg(made: Calibration, name: str) -> str:
    """Accuracy by confidence, a bar for each bin that has pictures."""
    bins = [
        (number, count, 100 * right / count)
        for number, (count, right) in enumerate(zip(made.pictures, made.correct, strict=True))
        if count
    ]
    told = "; ".join(
        f"{made.confidence[number]:.0f}% sure and {share:.0f}% right on {count}" for number, count, share in bins
    )
    svg = new_svg(_TOP + _SIDE + 44, f"Reliability of {name}", f"Accuracy by confidence of {name}: {told}.")
    bottom, width, most = _TOP + _SIDE, _SIDE / len(made.pictures), max(made.pictures)
    for value in (0, 50, 100):
        height = bottom - value / 100 * _SIDE
        draw_line(svg, _LEFT, height, _LEFT + _SIDE, height, "zero" if value == 0 else "grid")
        draw_text(svg, _LEFT - 6, height + 4, str(value), "tick", "end")
        draw_text(svg, _LEFT + value / 100 * _SIDE, bottom + 18, str(value), "tick", "middle")
    for number, count, share in bins:
        height = share / 100 * _SIDE
        box = {"x": f"{_LEFT + number * width + 1:.1f}", "y": f"{bottom - height:.1f}", "width": f"{width - 2:.1f}"}
        shade = f"bin level{ceil(LEVELS * count / most)}"
        SubElement(svg, "rect", {**box, "height": f"{height:.1f}", "class": shade})
    draw_line(svg, _LEFT, bottom, _LEFT + _SIDE, _TOP, "even")
    draw_text(svg, _LEFT + _SIDE / 2, bottom + 36, "confidence (%)", "axis", "middle")
    caption = draw_text(svg, 0, 0, "accuracy (%)", "axis", "middle")
    caption.set("transform", f"translate(10 {_TOP + _SIDE / 2:.1f}) rotate(-90)")
    return to_text(svg)


def confusion_svg(one: Confusions) -> str:
    """A cell for each class and answer that occurs, the fuller the more of the class's pictures got it."""
    wrong = "; ".join(f"{c} taken for {a} {n} of {total} times" for c, a, n, total in one.most_frequent(5))
    name = short_method_name(one.method)
    svg = new_svg(
        _SIDE + 56,
        f"Confusion matrix of {name} on {one.dataset}, {one.test}",
        f"{name} names {one.accuracy:.1f}% right. Most frequent mistakes: {wrong or 'none'}.",
    )
    side = _SIDE / len(one.classes)
    paths: dict[int, list[str]] = {}
    for (true, predicted), share in sorted(one.shares().items()):
        place = f"M{30 + predicted * side:.1f} {10 + true * side:.1f}h{side:.2f}v{side:.2f}h-{side:.2f}z"
        paths.setdefault(ceil(LEVELS * share), []).append(place)
    SubElement(svg, "path", {"d": f"M30 10h{_SIDE}v{_SIDE}h-{_SIDE}z", "class": "frame"})
    for level, places in sorted(paths.items()):
        SubElement(svg, "path", {"d": "".join(places), "class": f"bin level{level}"})
    draw_text(svg, 30 + _SIDE / 2, _SIDE + 28, "answer", "axis", "middle")
    caption = draw_text(svg, 0, 0, "class", "axis", "middle")
    caption.set("transform", f"translate(18 {10 + _SIDE / 2:.1f}) rotate(-90)")
    draw_text(svg, WIDTH - 24, _SIDE + 28, f"{len(one.classes)} classes", "tick", "end")
    return to_text(svg)
