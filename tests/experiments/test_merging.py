from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.conftest import make_record
from vlprompt.experiments.merging import merged
from vlprompt.experiments.records import ResultRecord, write_record


@pytest.fixture
def folders(tmp_path):
    return [tmp_path / "here", tmp_path / "there"]


def with_another_answer(record: ResultRecord) -> ResultRecord:
    base = record.results["base"]
    answers = (base.predictions[0] + 1, *base.predictions[1:])
    return replace(record, results={**record.results, "base": replace(base, predictions=answers)})


def test_the_runs_of_two_folders_are_those_of_both(folders):
    made = [make_record("food", "coop", seed, 80.0, 70.0) for seed in (1, 2)]
    for folder, record in zip(folders, made, strict=True):
        write_record(folder, record)
    assert merged(folders) == (made, [])


def test_two_records_of_a_run_that_agree_are_one_whatever_the_machine(folders):
    record = make_record("food", "coop", 1, 80.0, 70.0)
    elsewhere = replace(record, finished="2026-11-25T00:00:00+00:00", machine=replace(record.machine, threads=7))
    for folder, one in zip(folders, (record, elsewhere), strict=True):
        write_record(folder, one)
    assert merged(folders) == ([record], [])


def test_of_two_that_agree_the_one_with_more_tests_and_calibrations_stays(folders):
    record = make_record("food", "coop", 1, 80.0, 70.0)
    fuller = replace(record, results={**record.results, "all": record.results["base"]})
    fuller = replace(
        fuller,
        dataset=replace(record.dataset, classes={**record.dataset.classes, "all": record.dataset.classes["base"]}),
    )
    for first, second in ((record, fuller), (fuller, record)):
        for folder, one in zip(folders, (first, second), strict=True):
            write_record(folder, one)
        assert merged(folders) == ([fuller], [])


def test_two_records_of_a_run_that_differ_are_told_and_neither_counts(folders):
    record, other = make_record("food", "coop", 1, 80.0, 70.0), make_record("food", "coop", 2, 81.0, 71.0)
    differing = with_another_answer(replace(record, machine=replace(record.machine, threads=7)))
    for folder, one in ((folders[0], record), (folders[0], other), (folders[1], differing)):
        write_record(folder, one)
    records, conflicts = merged(folders)
    assert records == [other]
    assert [conflict.run for conflict in conflicts] == ["base-to-new food coop 16 shots seed 1"]
    assert conflicts[0].results() == [
        (folders[0], "base 80.00, new 70.00 (machine's threads 1)"),
        (folders[1], "base 80.00, new 70.00 (machine's threads 7)"),
    ]


def test_records_of_other_settings_are_told_with_the_setting(folders):
    record = make_record("food", "coop", 1, 80.0, 70.0)
    longer = replace(record, training={**record.training, "epochs": 999}, settings_hash="f" * 16)
    for folder, one in zip(folders, (record, longer), strict=True):
        write_record(folder, one)
    records, conflicts = merged(folders)
    assert records == []
    assert "'epochs': 999" in conflicts[0].results()[1][1]


def test_a_run_in_three_folders_of_which_two_agree_is_told_twice(tmp_path):
    record = make_record("food", "coop", 1, 80.0, 70.0)
    for folder, one in (("a", record), ("b", with_another_answer(record)), ("c", record)):
        write_record(tmp_path / folder, one)
    _, conflicts = merged([tmp_path / name for name in "abc"])
    assert [folder.name for folder, _ in conflicts[0].results()] == ["a", "b"]
