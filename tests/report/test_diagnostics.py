from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest

from tests.report.conftest import WORDS, make_few_shot_record, make_record
from tests.report.diagnosed import diagnosed
from vlprompt.report.diagnostic_figures import confusion_svg, diagnostics_of, reliability_svg
from vlprompt.report.diagnostics import all_confusions, best_confusions, calibrations
from vlprompt.report.html import report_html

BINS = "rect"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made():
    records = [("zero-shot", 0), ("coop", 1), ("coop", 2)]
    return [diagnosed(make_record("food", method, seed, 80, 70)) for method, seed in records]


def test_calibrations_are_pooled_over_seeds(made):
    found = calibrations(made)
    assert set(found) == {("base-to-new", "base"), ("base-to-new", "new")}
    assert {m: sum(one.pictures) for m, one in found["base-to-new", "base"].items()} == {"zero-shot": 120, "coop": 240}


def test_confusions_are_summed_over_seeds_and_have_the_share_of_each_class(made):
    coop = next(one for one in all_confusions(made) if (one.method, one.test) == ("coop", "base"))
    assert coop.counts.total() == 240
    for label in range(6):
        assert sum(share for (true, _), share in coop.shares().items() if true == label) == pytest.approx(1)
    class_name, answer, count, total = coop.most_frequent(1)[0]
    assert class_name != answer
    assert count == max(n for (true, predicted), n in coop.counts.items() if true != predicted)
    assert total == 40


def test_only_the_best_method_of_a_test_is_drawn(made):
    best = best_confusions(all_confusions(made))
    assert [(one.dataset, one.test) for one in best] == [("food", "base"), ("food", "new")]
    for one in best:
        assert one.accuracy == max(o.accuracy for o in all_confusions(made) if o.test == one.test)


def test_only_the_runs_with_most_shots_count():
    few, many = (diagnosed(make_few_shot_record("food", "coop", shots, 1, {"test": 80})) for shots in (1, 16))
    (confusions,) = all_confusions([few, many])
    assert confusions.counts.total() == 20 * len(WORDS)


def test_a_reliability_diagram_has_a_bar_for_each_bin_with_pictures(made):
    one = calibrations(made)["base-to-new", "base"]["coop"]
    svg = fromstring(reliability_svg(one, "CoOp"))
    assert len(svg.findall(BINS)) == 2
    assert "40% sure and" in svg.find("desc").text


def test_a_confusion_matrix_has_a_cell_for_each_answer_that_occurs(made):
    one = next(o for o in all_confusions(made) if (o.method, o.test) == ("coop", "base"))
    cells = [path.get("d").count("M") for path in fromstring(confusion_svg(one)).findall("path")]
    assert sum(cells) - 1 == len(one.counts)  # and the frame


def test_records_of_earlier_versions_have_no_diagnostics(records):
    assert diagnostics_of(records) == {"reliability": [], "confusions": []}
    page = report_html(records)
    assert "How sure the methods are" not in page
    assert "What is taken for what" not in page


def test_the_page_shows_both_and_names_what_is_confused(made):
    named = [
        replace(r, dataset=replace(r.dataset, classes={"base": ("<b>&", *WORDS[1:6]), "new": tuple(WORDS[6:])}))
        for r in made
    ]
    page = report_html(named)
    assert "How sure the methods are" in page
    assert "Most frequent mistakes" in page
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
