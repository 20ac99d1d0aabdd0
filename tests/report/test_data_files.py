from __future__ import annotations

import csv
import io

import pytest

from tests.report.conftest import make_few_shot_records, make_record
from tests.report.diagnosed import diagnosed
from vlprompt.report.data_files import calibration_csv, confusion_csv, paired_csv, results_csv
from vlprompt.report.diagnostics import all_confusions, calibrations
from vlprompt.report.paired import paired_differences


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_results_have_a_row_for_each_method_test_and_number_of_shots(records):
    mixed = [*records, *make_few_shot_records(["food"], ["zero-shot", "coop"], shots=(1, 4), tests=("test", "3d"))]
    rows = rows_of(results_csv(mixed))
    few = [(row["test"], row["method"], row["shots"]) for row in rows if row["protocol"] == "few-shot"]
    assert sorted(few) == sorted(
        (test, *run) for test in ("test", "3d") for run in (("zero-shot", "0"), ("coop", "1"), ("coop", "4"))
    )
    assert sum(row["protocol"] == "base-to-new" for row in rows) == 6 * 3 * 2


def test_numbers_are_unrounded_and_an_interval_has_its_seeds(record_of):
    (row,) = [
        r
        for r in rows_of(results_csv([record_of("a", "coop", s, 80 + s / 3, 70) for s in (1, 2)]))
        if r["test"] == "base"
    ]
    assert float(row["accuracy"]) == pytest.approx(80.5, abs=0.1)
    assert (row["seeds"], float(row["half_width"]) > 0, row["calibration_error"]) == ("2", True, "")


def test_paired_differences_have_both_intervals(records):
    rows = rows_of(paired_csv(paired_differences(records)))
    assert len(rows) == 3 * 2
    assert all(float(row["half_width_over_datasets"]) > 0 for row in rows)


def test_confusions_and_bins_are_all_there():
    made = [diagnosed(make_record("=food", "coop", 1, 80, 70))]
    confusions = rows_of(confusion_csv(all_confusions(made)))
    assert sum(int(row["pictures"]) for row in confusions) == 2 * 6 * 20
    assert confusions[0]["dataset"] == "'=food"  # a spreadsheet takes it for text
    bins = rows_of(calibration_csv(calibrations(made)))
    assert sum(int(row["pictures"]) for row in bins) == 2 * 6 * 20
