"""The examples, copied out of the repository: fitted, predicted with, through every protocol, and reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlprompt.data.catalogue import load_dataset
from vlprompt.errors import DataError, SettingsError
from vlprompt.experiments.records import DatasetFacts
from vlprompt.protocols import PROTOCOLS
from vlprompt.report import gallery

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
METHOD = "my_method.py:SoftCoOp"
DATA = "my_dataset.py:shapes"
QUICK = ("--epochs", "2", "--views", "1")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("my_method.py", "my_dataset.py"):
        shutil.copy(EXAMPLES / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", ["my_method.py", "my_dataset.py"])
def test_an_example_has_less_than_sixty_lines(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 60


def test_the_method_is_fitted_on_the_data_set_predicted_with_and_evaluated(vlprompt, copied) -> None:
    fitted = vlprompt("fit", DATA, "--method", METHOD, "--softness", "0.2", "--shots", "4", *QUICK, "--out", "model")
    assert fitted.code == 0, fitted.err
    model = json.loads((copied / "model/model.json").read_text())
    assert model["options"]["softness"] == 0.2
    assert (model["template"], model["class_words"]) == ("a drawing of a {}.", {"circle": "round disc"})
    Image.fromarray(load_dataset(DATA).test[0].image).save("one.png")
    named = vlprompt("predict", "model", "one.png", "--method", METHOD)
    assert named.out.split("\t")[1].strip() in model["class_names"], named.err
    measured = json.loads(vlprompt("evaluate", "model", DATA, "--method", METHOD, "--json").out)
    assert measured["total"] == 24


@pytest.mark.parametrize(
    "protocol",
    [pytest.param(name, marks=() if name == "domain-shift" else pytest.mark.slow) for name in PROTOCOLS],
)
def test_both_go_through_every_protocol_and_into_its_report(vlprompt, copied, protocol) -> None:
    what = ("--methods", f"zero-shot,{METHOD}", "--shots", "2", "--seeds", "1", "--out", "runs", "--workers", "1")
    ran = vlprompt("benchmark", protocol, DATA, "my_dataset.py:outlines", *what, *QUICK)
    assert ran.code == 0, ran.err
    assert METHOD in vlprompt("report", "runs", "--format", "csv").out
    page = (copied / "runs/report.html").read_text()
    assert METHOD in page
    assert all(name in page for name in ("shapes", "outlines"))


@pytest.mark.parametrize("source", ["own.py:shapes", "mine=own.py:shapes"])
def test_a_report_never_runs_the_code_that_a_record_names(tmp_path, monkeypatch, source) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("open('it_ran', 'w')\n")
    with pytest.raises(DataError, match="is code, which a record alone does not have run"):
        gallery._load_dataset(DatasetFacts("own", source, "", "{}", {}, 0))
    assert not Path("it_ran").exists()


def test_the_data_set_is_the_same_whenever_it_is_asked(copied, monkeypatch) -> None:
    monkeypatch.chdir(copied)
    first, again = load_dataset(DATA), load_dataset(f"mine={DATA}")
    assert (first.name, again.name) == ("shapes", "mine")
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first.train, again.train, strict=True))
    assert (len(first.train), len(first.test), len(first.class_names)) == (48, 24, 6)


@pytest.mark.parametrize(
    ("written", "source", "says"),
    [
        (None, "gone.py:shapes", "data set gone.py:shapes: there is no file gone.py"),
        ("1 / 0", "own.py:shapes", r"data set file own.py cannot be run \(ZeroDivisionError"),
        ("", "own.py:shapes", "own.py has no function shapes that gives a vlprompt.Dataset"),
        ("def shapes(): return 3", "own.py:shapes", "data set own.py:shapes is a int; it must be a vlprompt.Dataset"),
        ("def shapes(): return 1 / 0", "own.py:shapes", r"own.py:shapes cannot be made \(ZeroDivisionError"),
    ],
)
def test_a_file_that_gives_no_data_set_is_refused_in_a_sentence(tmp_path, monkeypatch, written, source, says) -> None:
    monkeypatch.chdir(tmp_path)
    if written is not None:
        Path("own.py").write_text(written)
    with pytest.raises(SettingsError, match=says):
        load_dataset(source)
