from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from vlprompt.report.summary import summarize
from vlprompt.report.tables import csv_table, markdown_table, plain_text, terminal_table


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_of_the_demo_fits_a_terminal(records, width):
    lines = plain_text(summarize(records), width).splitlines()
    assert max(map(len, lines)) <= width
    head = next(line for line in lines if "zero-shot" in line)
    assert head.split() == ["zero-shot", "coop", "cocoop"]  # side by side


def test_methods_that_do_not_fit_go_below(records):
    lines = plain_text(summarize(records), 60).splitlines()
    assert max(map(len, lines)) <= 60
    assert sum("base   new     H" in line for line in lines) == 2


def test_every_mean_and_interval_is_shown(records):
    summary = summarize(records)
    text = plain_text(summary)
    for cell in summary.cells.values():
        for estimate in cell.columns:
            assert f"{estimate.mean:.1f}" in text
    assert "±" in text
    assert "Student" in text


def test_a_very_long_data_set_name_is_cut(record_of):
    text = plain_text(summarize([record_of("n" * 200, "coop", 1, 80, 70)]), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "80.0" in text


def test_a_name_with_brackets_is_not_markup(record_of):
    assert "[bold]" in plain_text(summarize([record_of("[bold]", "coop", 1, 80, 70)]))


def test_the_best_is_bold_on_a_terminal(record_of):
    records = [record_of("a", "coop", seed, 90 + seed / 9, 70) for seed in (1, 2, 3)]
    records += [record_of("a", "cocoop", seed, 80 + seed / 9, 70) for seed in (1, 2, 3)]
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="standard", width=100)
    console.print(terminal_table(summarize(records), 100))
    assert "\x1b[1m90.2\x1b[0m" in stream.getvalue()
    assert "\x1b[1m80.2\x1b[0m" not in stream.getvalue()


def test_a_missing_pair_is_a_dash(record_of):
    records = [record_of("a", "coop", 1, 90, 80), record_of("b", "cocoop", 1, 50, 40)]
    assert "-" in plain_text(summarize(records))
    assert "| - | - | - |" in markdown_table(summarize(records))


def test_markdown_has_a_cell_for_every_column_and_escapes_bars(record_of):
    text = markdown_table(summarize([record_of("a|b", "coop", 1, 80, 70)]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.replace(r"\|", "").count("|") for row in rows}) == 1
    assert r"a\|b" in text


def test_csv_gives_back_the_unrounded_numbers(records):
    summary = summarize(records)
    rows = {(row["dataset"], row["method"]): row for row in csv.DictReader(io.StringIO(csv_table(summary)))}
    assert len(rows) == 7 * 3
    for pair, cell in summary.cells.items():
        assert float(rows[pair]["new"]) == cell.new.mean
        assert float(rows[pair]["h"]) == cell.harmonic.mean


HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>\x1b[2J\n\tforged | `x` \u202e"


def hostile_summary(record_of):
    return summarize([record_of(HOSTILE, "coop", 1, 80, 70, backbone=HOSTILE)])


def test_a_hostile_name_is_one_cell_of_each_table(record_of):
    summary = hostile_summary(record_of)
    tame = summarize([record_of("name", "coop", 1, 80, 70)])
    for table in (markdown_table, csv_table):
        assert table(summary).count("\n") == table(tame).count("\n")
    (row, *_) = csv.DictReader(io.StringIO(csv_table(summary)))
    assert row["dataset"].startswith("'=cmd")
    assert row["backbone"].startswith("'=cmd")
    assert "<script>" not in markdown_table(summary)


@pytest.mark.parametrize("table", [markdown_table, csv_table, plain_text])
def test_no_table_has_control_characters_of_a_name(record_of, table):
    text = table(hostile_summary(record_of))
    assert not {"\x1b", "\t", "\u202e"} & set(text)
