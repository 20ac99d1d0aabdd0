from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.report.curves import apart, curves_svg
from vlprompt.report.few_shot import summarize_few_shot

SVG = "{http://www.w3.org/2000/svg}"


def draw(records):
    summary = summarize_few_shot(records)
    return ElementTree.fromstring(curves_svg(summary, "test", "own style", {m: m for m in summary.methods}))


def test_every_method_has_a_curve_with_a_mark_for_each_number_of_shots(few_shot_records_of):
    svg = draw(few_shot_records_of())
    curves = [e for e in svg.iter() if e.tag.endswith("polyline")]
    assert [len(curve.get("points").split()) for curve in curves] == [5] * 5
    assert len([e for e in svg.iter() if (e.get("class") or "").startswith("mark")]) == 25
    assert len([e for e in svg.iter() if e.get("class") == "curve zero-shot"]) == 1


def test_a_better_figure_stands_higher(few_shot_records_of):
    curve = next(e for e in draw(few_shot_records_of(methods=("gda",))).iter() if e.tag.endswith("polyline"))
    heights = [float(point.split(",")[1]) for point in curve.get("points").split()]
    assert heights == sorted(heights, reverse=True)


def test_the_description_has_all_figures(few_shot_records_of):
    summary = summarize_few_shot(few_shot_records_of())
    words = next(e.text for e in draw(few_shot_records_of()).iter() if e.tag.endswith("desc"))
    for method in summary.methods:
        assert f"{summary.averages['test', method, 16].mean.mean:.1f} with 16" in words


def test_one_number_of_shots_is_a_mark_in_the_middle(few_shot_records_of):
    marks = [e for e in draw(few_shot_records_of(methods=("gda",), shots=(4,))).iter() if e.get("class") == "mark head"]
    assert len(marks) == 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.floats(1, 8))
def test_names_keep_their_distance_and_stay_within_bounds_where_there_is_room(places, distance):
    moved = apart(sorted(places), distance, 0, 100)
    assert all(b - a >= distance - 1e-6 for a, b in itertools.pairwise(moved))
    assert moved[0] >= -1e-6
    assert moved[-1] <= max(100, distance * len(places)) + 1e-6


@pytest.mark.parametrize("places", [[10.0, 50.0, 90.0], [50.0]])
def test_names_that_have_room_stay_where_their_curves_end(places):
    assert apart(places, 15, 0, 100) == places
