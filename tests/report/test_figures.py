from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.report.drawing import short_names, signed, ticks
from vlprompt.report.estimates import Estimate
from vlprompt.report.figures import bars_svg, scatter_svg
from vlprompt.report.summary import compare

NAMES = {"coop": "CoOp", "cocoop": "CoCoOp"}


@pytest.fixture
def comparison(records):
    return compare(records)


@pytest.mark.parametrize("draw", [bars_svg, scatter_svg])
def test_a_figure_says_in_words_what_it_shows(comparison, draw):
    svg = ElementTree.fromstring(draw(comparison, NAMES))
    assert svg.get("role") == "img"
    assert "CoCoOp" in svg.findtext("title")
    description = svg.findtext("desc")
    for dataset, estimate in comparison.new.items():
        assert dataset in description
        assert signed(estimate) in description


def test_bars_are_sorted_with_the_average_last(comparison):
    svg = ElementTree.fromstring(bars_svg(comparison, NAMES))
    labels = [text.text for text in svg.iter("text") if text.get("class", "").startswith("label")]
    means = {name: comparison.new[f"emoji-{name}"].mean for name in labels[:-1]}
    assert list(means.values()) == sorted(means.values(), reverse=True)
    assert labels[-1] == "average"


def test_a_loss_is_drawn_to_the_left_in_another_colour(comparison):
    dataset = next(iter(comparison.new))
    worse = replace(comparison, new={**comparison.new, dataset: Estimate(-3.0, 0.5, 3)})
    svg = ElementTree.fromstring(bars_svg(worse, NAMES))
    bars = {bar.get("class"): float(bar.get("x")) for bar in svg.iter("rect")}
    assert bars["loss"] < bars["gain"]


@pytest.mark.parametrize("draw", [bars_svg, scatter_svg])
def test_a_figure_has_no_colours_or_links_of_its_own(comparison, draw):
    svg = draw(comparison, NAMES)
    assert not re.search(r"style=|fill=|stroke=|#[0-9a-f]{3}|https?:", svg)


@pytest.mark.parametrize("draw", [bars_svg, scatter_svg])
def test_names_are_escaped(record_of, draw):
    records = [record_of("<b>&x", method, seed, 70, 60) for method in ("coop", "cocoop") for seed in (1, 2)]
    assert "<b>" not in draw(compare(records), NAMES)


@pytest.mark.parametrize("draw", [bars_svg, scatter_svg])
def test_one_seed_and_no_difference_can_be_drawn(record_of, draw):
    records = [record_of("a", method, 1, 70, 60) for method in ("coop", "cocoop")]
    svg = ElementTree.fromstring(draw(compare(records), NAMES))
    assert "nan" not in ElementTree.tostring(svg, encoding="unicode")


@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(0, 200)), min_size=1, max_size=12))
def test_every_mark_is_inside_the_drawing(values):
    new = {f"set {index}": Estimate(mean, width, 3) for index, (mean, width) in enumerate(values)}
    base = {name: Estimate(-estimate.mean / 2, estimate.half_width, 3) for name, estimate in new.items()}
    from vlprompt.report.summary import Comparison

    average = Estimate(values[0][0], values[0][1], 3)
    comparison = Comparison("cocoop", "coop", base, new, average, average)
    for draw in (bars_svg, scatter_svg):
        svg = ElementTree.fromstring(draw(comparison, NAMES))
        width, height = map(float, svg.get("viewBox").split()[2:])
        for mark in svg.iter():
            for x in ("x", "x1", "x2", "cx"):
                assert -1 <= float(mark.get(x, 0)) <= width + 1
            for y in ("y", "y1", "y2", "cy"):
                assert -1 <= float(mark.get(y, 0)) <= height + 1


@given(st.floats(-1000, 1000), st.floats(0.01, 1000))
def test_ticks_are_round_and_cover_the_range(low, length):
    marks = ticks(low, low + length)
    step = marks[1] - marks[0]
    assert marks[0] <= low + 1e-6 * length
    assert marks[-1] >= low + length - 1e-6 * length
    assert 2 <= len(marks) <= 8
    assert f"{step:.0e}"[0] in "125"


def test_a_shared_first_word_is_left_out():
    assert short_names(["emoji-food", "emoji-travel"]) == ["food", "travel"]
    assert short_names(["emoji-food", "pets"]) == ["emoji-food", "pets"]
    assert short_names(["emoji-food"]) == ["emoji-food"]
    assert len(short_names(["n" * 40, "b"])[0]) == 15
