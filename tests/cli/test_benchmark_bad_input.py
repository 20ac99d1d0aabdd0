"""What goes wrong about a benchmark's data, seeds and results: one sentence, and nothing that was computed is lost."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.pictures import write_pictures
from tests.cli.refusals import assert_refused
from tests.data.published.trees import write_split_file, write_tree
from tests.report.conftest import make_record
from vlprompt.data.published.published_set import Counts
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.experiments import queue
from vlprompt.experiments.records import write_record

NAMES = ("blue", "green", "red", "yellow")
QUICK = ("--epochs", "2", "--views", "1", "--workers", "1", "--backbone", "tiny", "--out", "runs")


@pytest.fixture
def data(tmp_path) -> Path:
    """Four classes with three training and test pictures each."""
    for split in ("train", "test"):
        write_pictures(tmp_path / "data" / split, NAMES)
    return tmp_path / "data"


@pytest.fixture
def nothing_runs(monkeypatch):
    for compute in ("compute_here", "compute_in_workers"):
        monkeypatch.setattr(queue, compute, lambda *_: pytest.fail("it computed before it checked"))


@pytest.fixture(params=["benchmark", "fit"])
def command(request) -> tuple[str, ...]:
    """Whatever takes a published data set, up to its name."""
    return ("benchmark", "base-to-new") if request.param == "benchmark" else ("fit",)


@pytest.mark.usefixtures("nothing_runs")
def test_half_a_data_set_says_which_half_is_missing(vlprompt, tmp_path, command):
    (write_tree("oxford-pets", tmp_path / "sets") / "annotations").rename(tmp_path / "elsewhere")
    outcome = vlprompt(*command, "oxford-pets", "--root", "sets", "--out", "out")
    assert_refused(outcome, "oxford-pets is incomplete", "lacks annotations/", "vlprompt data prepare oxford-pets")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("nothing_runs")
def test_class_folders_that_are_missing_are_counted(vlprompt, tmp_path, command):
    (write_tree("dtd", tmp_path / "sets") / "images" / "look_aac").rename(tmp_path / "elsewhere")
    outcome = vlprompt(*command, "dtd", "--root", "sets", "--out", "out")
    assert_refused(outcome, "has pictures of 46 classes and was published with 47")


@pytest.mark.usefixtures("nothing_runs")
def test_pictures_that_a_split_file_names_and_are_not_there_are_all_counted(vlprompt, tmp_path, command):
    folder = tmp_path / "sets" / "caltech-101"
    content = write_split_file("caltech101", folder)
    for path, _, _ in content["test"][:30]:
        (folder / "101_ObjectCategories" / path).unlink()
    outcome = vlprompt(*command, "caltech101", "--root", "sets", "--out", "out")
    assert_refused(outcome, "30 of the 400 images", "split_zhou_Caltech101.json", "and 10 others", lines=22)


def test_counts_that_differ_from_the_published_ones_are_one_warning_with_both(vlprompt, tmp_path, monkeypatch):
    from PIL import Image

    folder = tmp_path / "sets" / "oxford_pets"
    monkeypatch.setitem(PUBLISHED, "oxford-pets", replace(PUBLISHED["oxford-pets"], counts=Counts(3, 7, 3, 3)))
    for path in [item[0] for items in write_split_file("oxford-pets", folder).values() for item in items]:
        Image.new("RGB", (8, 8)).save(folder / "images" / path)
    command = ("benchmark", "few-shot", "oxford-pets", "--root", "sets", "--shots", "1", "--methods", "zero-shot")
    outcome = vlprompt(*command, *QUICK)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("6 training pictures, published are 7") == 1


@pytest.mark.parametrize("progress", [("--no-progress",), ()])
def test_more_shots_than_a_class_has_is_one_warning_with_what_it_has(vlprompt, data, progress):
    command = ("benchmark", "base-to-new", "data", "--methods", "coop", "--shots", "5", "--seeds", "1,2")
    outcome = vlprompt(*command, *QUICK, *progress)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("5 images per class were asked for, but 'blue' has 3") == 1
    assert "'yellow' has 3; all of them are taken" in outcome.err


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--seeds", "1,2,1"), "seed 1 is given twice"),
        (("--seeds", "1,01"), "seed 1 is given twice"),
        (("--methods", "coop,coop"), "method coop is given twice"),
        (("--shots", "4,4"), "number of shots 4 is given twice"),
    ],
)
def test_what_is_given_twice_is_refused_and_not_counted_once_in_silence(vlprompt, data, tmp_path, arguments, named):
    assert_refused(vlprompt("benchmark", "few-shot", "data", "--out", "runs", *arguments), named, "name it once")
    assert not (tmp_path / "runs" / "records").exists()


def with_schema(path: Path, schema: int) -> bytes:
    """The record in a file, as another version would have written it; returns its bytes."""
    path.write_text(path.read_text().replace('"schema": 3', f'"schema": {schema}'))
    assert f'"schema": {schema}' in path.read_text()
    return path.read_bytes()


def test_results_of_the_second_version_are_continued_and_reported(vlprompt, data, tmp_path, monkeypatch):
    command = ("benchmark", "base-to-new", "data", "--methods", "zero-shot", *QUICK)
    assert vlprompt(*command).code == 0
    (path,) = (tmp_path / "runs" / "records").rglob("*.json")
    values = json.loads(path.read_text())
    for field in ("losses", "peak_bytes", "git"):
        del values[field]
    path.write_text(json.dumps({**values, "schema": 2}))
    monkeypatch.setattr(queue, "compute_here", lambda *_: pytest.fail("computed again"))
    for again in (command, ("report", "runs")):
        outcome = vlprompt(*again)
        assert outcome.code == 0, outcome.err
        assert re.search(r"data\b.*\d", outcome.out)


def test_results_of_a_later_version_are_refused_with_the_reason_and_kept(vlprompt, data, tmp_path):
    command = ("benchmark", "base-to-new", "data", "--methods", "zero-shot", *QUICK)
    assert vlprompt(*command).code == 0
    (path,) = (tmp_path / "runs" / "records").rglob("*.json")
    there = with_schema(path, 4)
    for refused in (command, ("report", "runs")):
        outcome = vlprompt(*refused)
        assert_refused(outcome, str(path.relative_to(tmp_path)), "has schema 4", "schemas 1 to 3", "update vlprompt")
        assert "remove it" not in outcome.err
        assert path.read_bytes() == there


def test_a_version_that_never_was_can_only_be_made_again(vlprompt, tmp_path):
    with_schema(write_record(tmp_path / "runs", make_record("a", "coop", 1, 80, 70)), 0)
    assert_refused(vlprompt("report", "runs"), "has schema 0", "remove it to have it made again")


def test_a_report_of_no_results_is_refused_and_leaves_nothing(vlprompt, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(vlprompt("report", "empty"), "empty holds no results", "name the output folder of a benchmark")
    assert_refused(vlprompt("report", "nowhere"), "nowhere is no folder of results")
    assert not list((tmp_path / "empty").iterdir())


def test_a_report_of_several_folders_names_one_that_holds_no_results(vlprompt, tmp_path):
    write_record(tmp_path / "runs", make_record("a", "coop", 1, 80, 70))
    (tmp_path / "empty").mkdir()
    outcome = vlprompt("report", "runs", "empty", "--out", "both")
    assert_refused(outcome, "empty holds no results")
