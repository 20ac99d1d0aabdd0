"""The methods of docs/methods.md, run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.refusals import assert_refused
from vlprompt.methods import METHODS, method_class

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/methods.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(("place", "name"), enumerate(("NearestMean", "Gentle")))
def test_a_documented_method_is_fitted_predicted_with_and_evaluated(vlprompt, pictures, tmp_path, place, name) -> None:
    (tmp_path / "mine.py").write_text(EXAMPLES[place])
    mine, trained = ("--method", f"mine.py:{name}"), ("--epochs", "2", "--views", "1") if name == "Gentle" else ()
    fitted = vlprompt("fit", "pictures", "--out", "model", "--shots", "2", *mine, *trained)
    assert fitted.code == 0, fitted.err
    assert "It was trained on 6 of 9 training pictures" in fitted.err
    assert json.loads((tmp_path / "model/model.json").read_text())["training"]["images"] == 6
    measured = json.loads(vlprompt("evaluate", "model", "pictures", "--json", *mine).out)
    assert measured["total"] == 3
    assert name == "Gentle" or measured["accuracy"] == 100
    others = vlprompt("predict", "model", "pictures", "--class-names", "okapi,quokka", *mine)
    if name == "Gentle":
        assert others.code == 0
    else:
        assert_refused(others, "nearest-mean names only the 3 classes")


def test_a_method_of_thirty_lines_is_fitted_predicted_with_benchmarked_and_reported(
    vlprompt, pictures, tmp_path
) -> None:
    (tmp_path / "gentle.py").write_text(EXAMPLES[1])
    assert len(EXAMPLES[1].strip().splitlines()) <= 30
    mine, quick = ("--method", "gentle.py:Gentle"), ("--epochs", "2", "--views", "1")
    fitted = vlprompt("fit", "pictures", "--out", "model", "--shots", "2", "--shortness", "0.1", *mine, *quick)
    assert fitted.code == 0, fitted.err
    model = json.loads((tmp_path / "model/model.json").read_text())
    assert model["options"]["shortness"] == 0.1
    assert (model["training"]["recipe"], model["training"]["settings"]["batch_size"]) == ("mine", 32)
    assert model["training"]["text_engine"].startswith("segments: ")
    assert vlprompt("predict", "model", "pictures", *mine).out.count("\n") == 9
    what = ("--methods", "zero-shot,gentle.py:Gentle", "--shots", "2", "--seeds", "1", "--out", "runs", *quick)
    ran = vlprompt("benchmark", "base-to-new", "pictures", *what, "--workers", "1")
    assert ran.code == 0, ran.err
    reported = vlprompt("report", "runs", "--format", "csv")
    assert "gentle.py:Gentle" in reported.out
    assert "gentle.py:Gentle" in (tmp_path / "runs/report.html").read_text()


def test_the_table_has_every_method_and_says_which_take_other_names() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*\| (yes|no)[^|]* \| [^|]*\|$", DOCUMENT, re.MULTILINE))
    assert rows == {name: "yes" if method_class(name).open_names else "no" for name in METHODS}


OWN = """
from dataclasses import dataclass

from vlprompt.methods.head import Head
from vlprompt.recipes import Recipe


@dataclass(frozen=True)
class Options:
    \"\"\"Options.

    Attributes:
        weight: of nothing at all.
    \"\"\"

    weight: float = 1.0


class Words(Head):
    name = "words"
    options_class = Options
    recipes = (Recipe("words", options={"weight": 3.0}, source="mine"), Recipe("heavy", options={"weight": 5.0}))

    def setup(self, training_set):
        pass

    def logits(self, images):
        return self.zero_shot_logits(images)
"""


@pytest.mark.parametrize(
    ("arguments", "weight"), [((), 3.0), (("--recipe", "heavy"), 5.0), (("--weight", "0.5", "--recipe", "heavy"), 0.5)]
)
def test_the_options_and_recipes_of_a_method_of_ones_own_are_given_as_others_are(
    vlprompt, pictures, tmp_path, arguments, weight
) -> None:
    (tmp_path / "words.py").write_text(OWN)
    fitted = vlprompt("fit", "pictures", "--out", "model", "--shots", "2", "--method", "words.py:Words", *arguments)
    assert fitted.code == 0, fitted.err
    assert json.loads((tmp_path / "model/model.json").read_text())["options"] == {"weight": weight}


def test_help_has_the_options_of_a_method_of_ones_own(vlprompt, tmp_path) -> None:
    (tmp_path / "words.py").write_text(OWN)
    text = vlprompt("fit", "--method=words.py:Words", "--help").out
    assert "words.py:Words, where it differs from the recipe:" in text
    assert "of nothing at all" in text


@pytest.mark.parametrize(
    ("old", "new", "arguments", "says"),
    [
        ("weight", "weight", ("--weight", "much"), "--weight is 'much'; it must be a number"),
        ("weight", "weight", ("--wait", "1"), "did you mean --weight"),
        ("weight", "seed", (), "has an option seed, but --seed is one of vlprompt fit itself"),
        ("Head)", "Heads)", (), "cannot be run"),
    ],
)
def test_what_cannot_be_used_of_a_method_of_ones_own_is_refused(
    vlprompt, pictures, nothing_is_computed, tmp_path, old, new, arguments, says
) -> None:
    (tmp_path / "words.py").write_text(OWN.replace(old, new))
    assert_refused(vlprompt("fit", "pictures", "--out", "model", "--method", "words.py:Words", *arguments), says)
