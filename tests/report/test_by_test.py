from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from tests.report.conftest import make_record
from vlprompt.experiments.records import DatasetFacts, ResultRecord, TargetFacts, TestResult
from vlprompt.report.by_test import among_all_names, by_test
from vlprompt.report.by_test_tables import csv_by_test, markdown_by_test, terminal_by_test
from vlprompt.report.html import report_html
from vlprompt.report.stories import plain_tables
from vlprompt.report.tables import as_plain_text

NAMES = ("cat", "dog", "owl")


def _result(correct: int, total: int = 100) -> TestResult:
    predictions = (0,) * correct + (1,) * (total - correct)
    return TestResult(100 * correct / total, 50.0, correct, total, {"cat": 100 * correct / total}, predictions)


def _record(
    method: str,
    seed: int,
    correct: dict[str, int],
    *,
    dataset: str = "fruit",
    protocol: str = "cross-dataset",
    shots=16,
) -> ResultRecord:
    first = make_record(dataset, method, seed, 50, 50, shots=shots)
    others = {test: TargetFacts(test, "f" * 16, "a {}.") for test in correct if test in ("pets", "tools")}
    facts = DatasetFacts(dataset, dataset, "d" * 16, "a {}.", dict.fromkeys(correct, NAMES), 96, targets=others)
    results = {test: _result(count) for test, count in correct.items()}
    return replace(first, protocol=protocol, dataset=facts, results=results)


@pytest.fixture
def cross() -> list[ResultRecord]:
    return [
        _record("zero-shot", 0, {"fruit": 60, "pets": 50, "tools": 40}, shots=0),
        *(_record("coop", seed, {"fruit": 80 + seed, "pets": 55, "tools": 31 + seed}) for seed in (1, 2, 3)),
    ]


def test_rows_are_methods_and_columns_tests_and_what_follows_from_them(cross) -> None:
    (table,) = by_test(cross).main
    assert table.columns == ("fruit", "pets", "tools", "average")
    assert {column: round(cell.mean, 2) for column, cell in table.rows["coop"].items()} == {
        "fruit": 82.0, "pets": 55.0, "tools": 33.0, "average": 44.0,
    }  # fmt: skip
    assert table.rows["coop"]["pets"].half_width == 0
    assert round(table.rows["coop"]["fruit"].half_width, 3) == 2.484  # t(0.975, 2) / sqrt(3)
    assert table.rows["zero-shot"]["average"].mean == 45.0


def test_the_best_stands_apart_from_all_others_by_its_interval(cross) -> None:
    (table,) = by_test(cross).main
    assert (table.best("fruit"), table.best("tools"), table.best("average")) == ("coop", "zero-shot", None)


def test_data_sets_with_the_same_tests_are_averaged(cross) -> None:
    styles = [
        _record("coop", 1, {"flat": flat, "3d": 50}, dataset=name, protocol="domain-shift")
        for name, flat in (("fruit", 70), ("birds", 80))
    ]
    summary = by_test(styles)
    assert [table.title for table in summary.main] == ["average over 2 data sets"]
    assert summary.main[0].rows["coop"]["flat"].mean == 75
    assert [table.title for table in summary.each] == ["birds", "fruit"]


def test_what_learns_nothing_stands_beside_every_number_of_shots(cross) -> None:
    more = [_record("coop", 1, {"fruit": 60, "pets": 50, "tools": 40}, shots=4), *cross]
    tables = by_test(more).main
    assert [(table.shots, list(table.rows)) for table in tables] == [
        (4, ["zero-shot", "coop"]),
        (16, ["zero-shot", "coop"]),
    ]


def test_a_protocol_of_ones_own_has_its_tests_as_columns() -> None:
    (table,) = by_test([_record("coop", 1, {"second half": 70}, protocol="halves")]).main
    assert table.columns == ("second half",)


def test_base_to_new_shows_both_halves_among_all_names() -> None:
    record = make_record("fruit", "coop", 1, 80, 70)
    classes = {"base": ("cat", "dog"), "new": ("owl",), "all": NAMES}
    whole = TestResult(
        70.0, 50.0, 70, 100, {}, (0,) * 100, confusion=(0, 0, 30, 0, 2, 10, 1, 1, 20, 2, 2, 20, 2, 0, 20)
    )  # fmt: skip
    record = replace(
        record,
        dataset=replace(record.dataset, classes=classes),
        results={"base": _result(80), "new": _result(70), "all": whole},
    )
    (table,) = among_all_names([record]).main
    assert {column: round(cell.mean, 2) for column, cell in table.rows["coop"].items()} == {
        "base": 83.33, "new": 50.0, "H": 62.5,
    }  # fmt: skip
    text = plain_tables([record])
    assert "base and new names at once: fruit" in text


def test_records_without_that_test_have_no_such_table() -> None:
    record = make_record("fruit", "coop", 1, 80, 70)
    assert among_all_names([record]) is None
    assert "at once" not in plain_tables([record])


def test_wide_tables_are_cut_to_the_terminal(cross) -> None:
    text = as_plain_text(terminal_by_test(by_test(cross), 40, bold=False), 40)
    assert max(map(len, text.splitlines())) <= 40
    assert all(name in text for name in ("fruit", "pets", "tools", "average"))
    assert text.count("zero-shot") == 2


def test_markdown_and_csv_have_every_cell(cross) -> None:
    summary = by_test(cross)
    assert "| coop | **82.0** ±2.5 | **55.0** ±0.0 | 33.0 ±2.5 | 44.0 ±1.2 |" in markdown_by_test(summary)
    rows = list(csv.DictReader(io.StringIO(csv_by_test(summary))))
    assert len(rows) == 8
    assert {row["shots"] for row in rows if row["method"] == "zero-shot"} == {"0"}


def test_the_page_has_a_section_for_every_protocol(cross) -> None:
    shifted = _record("coop", 1, {"flat": 70, "3d": 50}, protocol="domain-shift")
    page = report_html([*cross, shifted])
    assert page.count('<h2 id="of-') == 2
    assert "Train on the first data set" in page
    assert "vlprompt benchmark cross-dataset" in page
    assert "vlprompt benchmark domain-shift" in page


def test_an_ablation_is_repeated_by_the_names_of_its_questions() -> None:
    from vlprompt.protocols.ablation import QUESTIONS
    from vlprompt.report.repeating import repeat_command

    records = []
    for run in QUESTIONS["meta-net"].runs:
        record = _record(run.method, 1, {"base": 70, "new": 60}, protocol="ablation")
        records.append(replace(record, method=replace(record.method, label=run.label)))
    command = repeat_command(records)
    assert "--methods meta-net " in command
    assert "# with each" not in command
