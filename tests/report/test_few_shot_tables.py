from __future__ import annotations

import csv
import io

import pytest

from vlprompt.report.few_shot import summarize_few_shot
from vlprompt.report.few_shot_tables import csv_few_shot, markdown_few_shot, plain_few_shot


@pytest.fixture(scope="module")
def summary(few_shot_records_of):
    return summarize_few_shot(few_shot_records_of())


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(summary, width):
    text = plain_few_shot(summary, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_at_80_columns_each_test_has_one_table_with_all_shots(summary):
    lines = plain_few_shot(summary, 80).splitlines()
    heads = [line.split() for line in lines if line.rstrip().endswith("±sets") and not line.startswith("Acc")]
    assert heads == [["1", "2", "4", "8", "16", "±sets"]] * 3


def test_the_terminal_says_which_method_serves_when(summary):
    lines = plain_few_shot(summary, 100).splitlines()
    row = next(line for line in lines if line.split()[:2] in (["16", "gda"], ["16", "lp++"], ["16", "gda,"]))
    assert "coop" not in row


def test_bold_is_the_method_that_is_clearly_best_and_never_auto(few_shot_record_of):
    values = {"gda": (90, 91, 92), "coop": (70, 71, 72), "auto": (95, 96, 97)}
    records = [
        few_shot_record_of(dataset, method, 4, 1, {"test": accuracy})
        for method, accuracies in values.items()
        for dataset, accuracy in zip("abc", accuracies, strict=True)
    ]
    markdown = markdown_few_shot(summarize_few_shot(records))
    assert "| **91.0** |" in markdown
    assert "**96.0**" not in markdown


def test_the_csv_has_a_line_for_every_figure_and_a_method_that_learns_nothing_once(summary):
    rows = list(csv.DictReader(io.StringIO(csv_few_shot(summary))))
    zero_shot = [row for row in rows if row["method"] == "zero-shot"]
    assert len(zero_shot) == 4 * 3  # three data sets and their average, three tests
    assert {(row["shots"], row["seeds"], row["accuracy_half_width"]) for row in zero_shot} == {("0", "0", "")}
    gda = [row for row in rows if row["method"] == "gda" and row["dataset"] == "average"]
    assert {(row["test"], row["shots"]) for row in gda} == {
        (test, str(shots)) for test in summary.tests for shots in summary.shots
    }
    assert all(float(row["sets_deviation"]) > 0 for row in gda)
    assert float(gda[0]["accuracy"]) == summary.averages["test", "gda", 1].mean.mean


def test_markdown_has_as_many_cells_in_each_row_as_in_its_head(summary):
    blocks = markdown_few_shot(summary).split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert {row.count(" | ") for row in table} == {6}


def test_hostile_names_do_no_harm_in_any_form(few_shot_record_of):
    hostile = "=x|\x1b[2J\n"
    found = summarize_few_shot([few_shot_record_of(hostile, hostile, 4, 1, {"test": 50, hostile: 40})])
    for text in (plain_few_shot(found), markdown_few_shot(found), csv_few_shot(found)):
        assert "\x1b" not in text
    assert "\n=x" not in csv_few_shot(found)
