"""File names that are not UTF-8, as old disks and archives have them, in every command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_refused
from vlprompt.data.catalogue import load_dataset
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.experiments.plan import Plan, load_datasets, runs_of
from vlprompt.experiments.records import BackboneFacts
from vlprompt.protocols import BASE_TO_NEW

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


@pytest.fixture
def odd(tmp_path) -> Path:
    """A folder whose name, and the names of whose pictures, are not UTF-8."""
    write_pictures(tmp_path / "old")
    folder = os.fsencode(tmp_path) + b"/dat\xe9"
    os.rename(tmp_path / "old", folder)
    for name in (b"blue", b"green", b"red"):
        for number in (b"0", b"1"):
            os.rename(
                folder + b"/" + name + b"/" + number + b".png", folder + b"/" + name + b"/caf\xe9" + number + b".png"
            )
    return Path(os.fsdecode(b"dat\xe9"))


def test_fit_evaluate_and_predict_take_them(vlprompt, odd) -> None:
    assert vlprompt("fit", odd, "--out", "model", *QUICK).code == 0
    assert json.loads(Path("model/model.json").read_text(encoding="utf-8"))["training"]["data"]["name"] == "dat\\xe9"
    assert vlprompt("evaluate", "model", odd).code == 0
    evaluated = vlprompt("evaluate", "model", odd, "--split", "all", "--json")
    assert json.loads(evaluated.out.encode())["data"] == "dat\\xe9"
    lines = vlprompt("predict", "model", odd).out.encode().splitlines()
    assert lines[1].split(b"\t")[0] == b"dat\\xe9/blue/caf\\xe90.png"
    assert len(lines) == 9


def test_json_names_them_so_that_they_are_found_again(vlprompt, model, odd) -> None:
    outcome = vlprompt("predict", "model", odd, "--json")
    named = [entry["image"] for entry in json.loads(outcome.out.encode("utf-8"))]
    assert os.fsencode(named[1]) == b"dat\xe9/blue/caf\xe90.png"
    assert all(os.path.isfile(name) for name in named)


def test_one_that_cannot_be_read_is_named(vlprompt, model, odd) -> None:
    (odd / "blue" / os.fsdecode(b"caf\xe90.png")).write_bytes(b"")
    outcome = vlprompt("predict", "model", odd)
    assert_refused(outcome, "caf\\xe90.png: it is empty (0 bytes)", lines=2)


def test_a_benchmark_can_be_planned_on_them(odd, vlprompt) -> None:
    plan = Plan(BASE_TO_NEW, datasets=(str(odd),), methods=("zero-shot",))
    facts = BackboneFacts("tiny", "0" * 64, "fp32", "cpu")
    (run,) = runs_of(plan, load_datasets(plan), facts)
    assert run.settings_hash
    assert run.dataset.source == "dat\\xe9"


def test_the_fingerprint_follows_them(odd, vlprompt) -> None:
    before = dataset_fingerprint(load_dataset(odd).train)
    os.rename(odd / "blue" / os.fsdecode(b"caf\xe90.png"), odd / "blue" / os.fsdecode(b"caf\xe80.png"))
    assert dataset_fingerprint(load_dataset(odd).train) != before
