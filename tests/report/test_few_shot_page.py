"""The page that tells of classes with pictures, alone and beside new classes."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from tests.report.test_html import WIDTHS, _no_data, _Tags
from vlprompt.report import report_html, write_report

OVERLAPS = """
(() => { const found = [];
for (const chart of document.querySelectorAll('.chart')) {
  const boxes = [...chart.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
  boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 4) found.push(a + ' on ' + b);
  })); }
return found.join('; '); })()
"""
"""Labels that lie on each other; line boxes are a little higher than letters, so 4 pixels are none."""
TOO_WIDE = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')
  && e.getBoundingClientRect().right > innerWidth + 1).length
"""


@pytest.fixture(scope="module")
def states(records, few_shot_records_of, few_shot_record_of):
    """Records of every state that a results folder can be in."""
    few = few_shot_records_of()
    return {
        "base-to-new": records,
        "few-shot": few,
        "both": [*records, *few],
        "one data set": few_shot_records_of(datasets=("food",)),
        "one seed": few_shot_records_of(seeds=(1,)),
        "one number of shots": few_shot_records_of(shots=(4,)),
        "own style only": few_shot_records_of(tests=("test",)),
        "nothing learned": few_shot_records_of(methods=("zero-shot",)),
        "a head alone": few_shot_records_of(methods=("gda",)),
        "no common data set": [
            few_shot_record_of("a", "gda", 4, 1, {"test": 80}),
            few_shot_record_of("b", "coop", 4, 1, {"test": 70, "3d": 60}),
        ],
    }


@pytest.mark.parametrize(
    "state",
    [
        "base-to-new", "few-shot", "both", "one data set", "one seed", "one number of shots", "own style only",
        "nothing learned", "a head alone", "no common data set",
    ],
)  # fmt: skip
class TestEveryState:
    def test_every_tag_is_closed_and_nothing_is_fetched(self, states, state):
        page = report_html(states[state], load=_no_data)
        tags = _Tags()
        tags.feed(page)
        assert tags.open == []
        assert not re.search(r"https?:|<script|<link|@import|url\(", page)

    def test_headings_go_down_one_level_at_a_time(self, states, state):
        levels = [int(level) for level in re.findall(r"<h(\d)", report_html(states[state], load=_no_data))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))

    def test_a_phone_shows_it_without_scrolling_sideways_and_no_label_lies_on_another(
        self, chromium, states, state, tmp_path
    ):
        page = write_report(tmp_path / "report.html", states[state], load=_no_data)
        for device, scheme in (("phone", "light"), ("desktop", "dark")):
            width, height = WIDTHS[device]
            chromium.open(page, width, height, scheme)
            chromium.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            assert chromium.evaluate(TOO_WIDE) == 0
            assert chromium.evaluate(OVERLAPS) == ""
        assert [event for event in chromium.events if event.get("method") == "Log.entryAdded"] == []


def test_the_published_table_comes_first_and_unchanged(states):
    alone, both = (report_html(states[state], load=_no_data) for state in ("base-to-new", "both"))
    table = re.search(r'<div class="average">.*?</table>', alone, re.S)[0]
    assert table in both
    assert both.index(table) < both.index("Which method serves when")
    assert re.search(r"<h1>.*?</h1>", alone)[0] in both


def test_who_serves_when_has_a_row_for_each_number_of_pictures_and_one_for_new_names(states):
    page = report_html(states["both"], load=_no_data)
    table = page[page.index("Which method serves when") :].partition("</table>")[0]
    rows = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert rows == ["1", "2", "4", "8", "16", "none: names beside the trained ones"]
    assert "of new classes)" in table
    alone = report_html(states["few-shot"], load=_no_data)
    assert "of new classes)" not in alone


def test_published_averages_stand_beside_ours_and_are_called_not_comparable(states):
    page = report_html(states["few-shot"], load=_no_data)
    published = page[page.index("What was published") :]
    assert "not comparable with ours" in published
    assert "another model on other pictures" in published
    for value in ("81.70", "80.32", "75.02", "82.89", "65.36"):
        assert value in published
    assert published.count(">here<") == 5  # zero-shot, coop, cocoop, gda and lp++; auto is not published


def test_published_figures_that_were_chosen_on_test_pictures_are_marked(states):
    page = report_html(states["few-shot"], load=_no_data)
    published = page[page.index("What was published") :]
    assert re.search(r"GDA<sup>2</sup>", published)
    assert re.search(r"Tip-Adapter-F<sup>3</sup>", published)
    assert "on ImageNet on the test split" in published
    assert "keeps the epoch that is best on the test pictures" in published


def test_each_story_has_its_own_command(states):
    page = report_html(states["both"], load=_no_data)
    assert "vlprompt benchmark base-to-new" in page
    few = page[page.index("vlprompt benchmark few-shot") :]
    assert "--shots 1,2,4,8,16" in few
    assert "--methods zero-shot,coop,cocoop,lp++,gda,auto" in few


def test_every_curve_has_words_for_those_who_do_not_see_it(states):
    page = report_html(states["few-shot"], load=_no_data)
    assert page.count('role="img"') == 3
    assert page.count("<desc>Accuracy in percent by training pictures a class") == 3


def test_a_hostile_name_is_text_in_the_few_shot_page_too(few_shot_record_of):
    hostile = "<script>alert(1)</script>\"' onload=x\x1b[2J\u202e\udce9\ud800"
    records = [few_shot_record_of(hostile, hostile, shots, 1, {"test": 50, hostile: 40}) for shots in (1, 2)]
    page = report_html(records, load=_no_data)
    page.encode()
    assert "<script" not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    attributes = []
    tags = HTMLParser()
    tags.handle_starttag = lambda _, given: attributes.extend(name for name, _ in given)
    tags.feed(page)
    assert "aria-label" in attributes
    assert not [name for name in attributes if name.startswith("on")]
