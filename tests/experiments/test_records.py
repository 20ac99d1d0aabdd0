from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from vlprompt.errors import RecordError
from vlprompt.experiments.git_state import GitState
from vlprompt.experiments.records import (
    BackboneFacts,
    DatasetFacts,
    Machine,
    MethodFacts,
    ResultRecord,
    TestResult,
    Times,
    file_name_of,
    hash_settings,
    read_record,
    read_records,
    same_outcome,
    write_record,
)
from vlprompt.model.calibration import Calibration


@pytest.fixture
def record() -> ResultRecord:
    base = TestResult(75.0, 74.2, 3, 4, {"café au lait": 100.0, "owl": 50.0}, (0, 0, 1, 0))
    base = dataclasses.replace(
        base,
        balanced_accuracy=75.0,
        confusion=(0, 0, 2, 1, 0, 1, 1, 1, 1),
        calibration=Calibration(5.0, (0, 4), (0, 3), (0.0, 80.0)),
    )
    new = TestResult(100.0, 100.0, 2, 2, {"fox": 100.0}, (0, 0))
    return ResultRecord(
        protocol="base-to-new",
        settings_hash="0" * 16,
        dataset=DatasetFacts(
            "pets", "pictures/pets", "ab12", "a photo of a {}.", {"base": ("café au lait", "owl"), "new": ("fox",)}, 32
        ),
        backbone=BackboneFacts("ViT-B-16/openai", "cd34", "fp32", "cpu"),
        method=MethodFacts("coop", "coop", True, {"context_length": 4, "context_init": None}),
        shots=16,
        seed=1,
        training={"epochs": 200, "learning_rate": 0.002},
        results={"base": base, "new": new},
        final_loss=0.5,
        times=Times(1.0, 2.0, 0.5),
        versions={"vlprompt": "0.1.0"},
        machine=Machine("Linux", "x86", 2, 1, 1024),
        finished="2026-11-24T06:00:00+00:00",
        losses=(1.5, 0.5),
        peak_bytes=2**30,
        git={"vlprompt": GitState("a" * 40, dirty=False)},
    )


def as_schema_2(text: str) -> str:
    """A record's JSON as it was before the third schema."""
    values = json.loads(text)
    for name in ("losses", "peak_bytes", "peak_gpu_bytes", "git"):
        del values[name]
    for result in values["results"].values():
        for name in ("balanced_accuracy", "confusion", "calibration"):
            del result[name]
    return json.dumps({**values, "schema": 2})


def test_a_record_of_the_second_schema_is_the_same_run_without_what_it_did_not_keep(record, tmp_path):
    path = write_record(tmp_path, record)
    path.write_text(as_schema_2(path.read_text()))
    read = read_record(path)
    assert (read.losses, read.peak_bytes, read.git) == ((), None, {})
    assert read.results["base"].calibration is None
    assert hash_settings(read.settings) == hash_settings(record.settings)
    assert same_outcome(read, record)
    assert read_record(write_record(tmp_path, read)) == read


def test_what_a_record_keeps_beside_its_settings_does_not_change_the_settings_hash(record):
    bare = dataclasses.replace(record, losses=(), peak_bytes=None, git={})
    assert hash_settings(bare.settings) == hash_settings(record.settings) == "0929a825285682b0"


def test_confusions_are_had_back_by_true_and_predicted_label(record):
    assert record.results["base"].confused == {(0, 0): 2, (1, 0): 1, (1, 1): 1}


def test_a_record_reads_back_as_it_was_written(record, tmp_path):
    path = write_record(tmp_path, record)
    assert read_record(path) == record
    assert read_records(tmp_path) == [record]


def test_a_record_of_the_first_schema_is_read_as_the_run_that_it_is(record, tmp_path):
    path = write_record(tmp_path, record)
    values = json.loads(path.read_text())
    classes = values["dataset"].pop("classes")
    values["dataset"] |= {f"{test}_classes": names for test, names in classes.items()}
    path.write_text(as_schema_2(json.dumps(values)).replace('"schema": 2', '"schema": 1'))
    assert same_outcome(read_record(path), record)
    assert hash_settings(record.settings) == "0929a825285682b0"  # as it was written with that schema


def test_records_of_two_protocols_stand_beside_each_other(record, tmp_path):
    other = dataclasses.replace(record, protocol="few-shot")
    paths = write_record(tmp_path, record), write_record(tmp_path, other)
    assert [path.name for path in paths] == ["coop-shots16-seed1.json", "few-shot+coop-shots16-seed1.json"]
    assert sorted(read_records(tmp_path), key=str) == sorted([record, other], key=str)


def test_a_method_that_learns_nothing_may_have_one_result_for_all_shots(record, tmp_path):
    for learns, fits in ((False, True), (True, False)):
        one = dataclasses.replace(record, shots=0, method=dataclasses.replace(record.method, learns=learns))
        path = write_record(tmp_path, one)
        if fits:
            assert read_record(path) == one
        else:
            with pytest.raises(RecordError, match="0 shots"):
                read_record(path)


def test_a_record_stands_under_its_data_set_backbone_and_method(record, tmp_path):
    path = write_record(tmp_path, record).relative_to(tmp_path)
    assert path.parts[:2] == ("records", "pets")
    assert path.parts[2].startswith("ViT-B-16-openai-")
    assert path.name == "coop-shots16-seed1.json"


def test_predictions_take_one_line(record, tmp_path):
    assert '"predictions": [0, 0, 1, 0]' in write_record(tmp_path, record).read_text()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "..", "x" * 400, "naïve:name"])
def test_a_name_never_leaves_its_folder(name):
    made = file_name_of(name)
    assert "/" not in made
    assert made not in {"", ".", ".."}
    assert len(made) < 80


def test_names_that_differ_have_different_file_names():
    assert file_name_of("a/b") != file_name_of("a b")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: "", "cannot be read"),
        (lambda text: "[]", "not dict"),
        (lambda text: text.replace('"seed": 1', '"seed": "1"'), "seed is str, not int"),
        (lambda text: text.replace('"shots"', '"shotz"'), "lacks shots"),
        (lambda text: text.replace('"correct": 3', '"correct": null'), "correct is NoneType"),
        (lambda text: text.replace('"schema": 3', '"schema": 9'), "schema 9"),
        (lambda text: text.replace('"schema": 3', f'"schema": "{"x" * 10_000}"'), "schema 'xxx"),
        (lambda text: text.replace("[0, 0, 1, 0]", "[0, 0, 1]"), "predictions are 3, of 4 images"),
        (lambda text: text.replace("[0, 0, 2, 1", "[0, 2, 2, 1"), "confusion names a class beyond the 2"),
        (lambda text: text.replace("[0, 0, 2, 1", "[0, 0, 3, 1"), "confusion is of 5 of 4 images"),
        (lambda text: text.replace("[0, 0, 2, 1", "[0, 2, 1"), "confusion has 8 numbers"),
        (lambda text: text.replace('"pictures": [0, 4]', '"pictures": [1, 4]'), "calibration is of 5 of 4 images"),
        (lambda text: text.replace('"pictures": [0, 4]', '"pictures": [4]'), "bins of different number"),
        (lambda text: text.replace("[0, 0, 1, 0]", "[0, 0, 2, 0]"), "a class beyond the 2"),
        (lambda text: text.replace("[0, 0, 1, 0]", "[0, 0, -1, 0]"), "a class beyond the 2"),
        (lambda text: text.replace('"correct": 3', '"correct": 5'), "correct is 5 of 4"),
        (lambda text: text.replace("74.2", "NaN"), "NaN"),
        (lambda text: text.replace("74.2", "1e999"), "too large"),
        (lambda text: text.replace("74.2", "174.2"), "174.2 percent"),
        (lambda text: text.replace('"final_loss": 0.5', '"final_loss": -Infinity'), "-Infinity"),
        (lambda text: text.replace('"seed": 1', '"seed": ' + "9" * 5000), "number of 5000 digits"),
        (lambda text: text.replace('"seed": 1', '"seed": -1'), "seed -1"),
        (lambda text: text.replace('"seed": 1', '"seed": true'), "seed is bool"),
        (lambda text: text.replace('"shots": 16', '"shots": 16, "shots": 2'), "'shots' twice"),
        (lambda text: text.replace('"new": {\n   "accuracy"', '"old": {\n   "accuracy"'), "results are of .*'old'"),
        (lambda text: text.replace('"owl": 50.0', '"cow": 50.0'), "unknown class 'cow'"),
        (lambda text: text.replace('"source": "', r'"source": "\ud800'), "half of a character pair"),
        (lambda text: text.replace('"options": {', '"options": {"a": ' + "[" * 70 + "]" * 70 + ", "), "nested"),
        (lambda text: "[" * 100_000, "nested"),
        (lambda text: text.replace('"shots": 16', f'"shots": 16, "{"x" * 10_000}": 1'), "unknown 'xxx"),
    ],
)
def test_a_damaged_record_is_named_with_what_is_wrong(record, tmp_path, damage, says):
    path = write_record(tmp_path, record)
    path.write_text(damage(path.read_text()))
    with pytest.raises(RecordError, match=says) as caught:
        read_records(tmp_path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_record_that_is_no_regular_file_is_named_and_not_waited_for(record, tmp_path, make):
    path = write_record(tmp_path, record)
    path.unlink()
    make(path)
    with pytest.raises(RecordError, match="not a regular file") as caught:
        read_records(tmp_path)
    assert str(path) in str(caught.value)


def test_two_records_of_one_run_are_both_named(record, tmp_path):
    path = write_record(tmp_path, record)
    copy = path.with_name("coop-shots16-seed1 (copy).json")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(RecordError, match="are of the same run") as caught:
        read_records(tmp_path)
    assert str(path) in str(caught.value)
    assert str(copy) in str(caught.value)


def test_a_folder_whose_name_is_no_utf_8_is_read_back(record, tmp_path):
    source = os.fsdecode(b"pictures/caf\xe9")
    odd = dataclasses.replace(record, dataset=dataclasses.replace(record.dataset, name=source, source=source))
    write_record(tmp_path, odd)
    assert read_records(tmp_path) == [odd]


def test_a_file_still_being_written_is_not_read(record, tmp_path):
    path = write_record(tmp_path, record)
    path.with_name(f".tmp-00-{path.name}").write_text("{")
    assert read_records(tmp_path) == [record]


def test_the_hash_covers_what_determines_the_result_and_nothing_else(record):
    first = hash_settings(record.settings)
    elsewhere = dataclasses.replace(record, times=Times(9.0, 9.0, 9.0), versions={}, finished="")
    assert hash_settings(elsewhere.settings) == first
    longer = dataclasses.replace(record, training={"epochs": 201, "learning_rate": 0.002})
    assert hash_settings(longer.settings) != first
    other_seed = dataclasses.replace(record, seed=2)
    assert hash_settings(other_seed.settings) != first


def test_the_hash_survives_json(record):
    assert hash_settings(json.loads(json.dumps(record.settings))) == hash_settings(record.settings)


def test_records_and_reports_do_not_import_torch():
    code = (
        "import sys, vlprompt.experiments, vlprompt.experiments.records, vlprompt.report, vlprompt.report.tables; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("place", ["records", "records/pets", "records/pets/mini"])
def test_results_in_a_folder_that_cannot_be_read_are_not_passed_over(tmp_path, place):
    folder = tmp_path / place
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(folder.name)  # an error to everybody, unlike a folder without permission
    with pytest.raises(RecordError, match=f"the results in {folder} cannot be read"):
        read_records(tmp_path)
