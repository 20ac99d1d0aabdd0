"""Heads and KgCoOp through the commands."""

from __future__ import annotations

import json

import pytest

from tests.cli.refusals import assert_refused
from vlprompt.methods import METHODS, method_class
from vlprompt.methods.declarations import declarations

NEW = [name for name in METHODS if name not in ("zero-shot", "coop", "cocoop")]


def quick(method: str) -> tuple[str, ...]:
    return ("--shots", "2", *(("--epochs", "2", "--views", "1") if method_class(method).learns else ()))


@pytest.mark.parametrize("method", NEW)
def test_a_method_is_fitted_predicted_with_and_evaluated(vlprompt, pictures, method) -> None:
    fitted = vlprompt("fit", "pictures", "--out", "model", "--method", method, *quick(method))
    assert fitted.code == 0, fitted.err
    assert "of 3 pictures that it was not trained on" in fitted.err
    assert "It was trained on 6 of 9 training pictures" in fitted.err
    named = vlprompt("predict", "model", "pictures", "--json")
    assert {guess["predictions"][0]["class"] for guess in json.loads(named.out)} <= {"blue", "green", "red"}
    measured = json.loads(vlprompt("evaluate", "model", "pictures", "--json").out)
    assert (measured["split"], measured["total"]) == ("not trained on", 3)
    assert measured["zero_shot"] is not None
    some = vlprompt("predict", "model", "pictures", "--class-names", "red,blue")
    assert {line.split("\t")[1] for line in some.out.splitlines()} <= {"red", "blue"}
    others = vlprompt("predict", "model", "pictures", "--class-names", "red,okapi")
    if method_class(method).open_names:
        assert others.code == 0
    else:
        assert_refused(others, f"{method} names only the 3 classes", "'okapi'", "cocoop")


def test_the_lists_and_the_help_have_every_method_and_option(vlprompt) -> None:
    listed = [entry["name"] for entry in json.loads(vlprompt("list", "methods", "--json").out)]
    assert listed == ["auto", *METHODS, "file.py:ClassName"]
    text = vlprompt("fit", "--help").out
    for method in declarations().values():
        assert all("--" + option.name.replace("_", "-") in text for option in method.options)


def test_a_heads_option_comes_from_the_command_line_or_a_file(vlprompt, pictures, tmp_path) -> None:
    (tmp_path / "fit.yaml").write_text("method: tip-adapter\nshots: 2\nbeta: 3\n")
    assert vlprompt("fit", "pictures", "--out", "model", "--config", "fit.yaml", "--alpha", "0.5").code == 0
    options = json.loads((tmp_path / "model/model.json").read_text())["options"]
    assert options == {"alpha": 0.5, "beta": 3}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "gda", "--alpha", "-1"), "alpha is -1"),
        (("--method", "linear-probe", "--strength", "0"), "strength is 0"),
        (("--method", "lp++", "--steps", "0"), "steps is 0"),
        (("--method", "maple", "--depth", "0"), "depth is 0"),
        (("--method", "gdaa"), "did you mean gda"),
        (("--method", "gda", "--recipe", "cocoop"), "recipe cocoop is for the method cocoop"),
    ],
)
def test_what_a_head_cannot_use_is_refused(vlprompt, pictures, nothing_is_computed, arguments, says) -> None:
    assert_refused(vlprompt("fit", "pictures", "--out", "model", "--shots", "2", *arguments), says)


def test_a_method_file_of_the_old_contract_is_refused_in_a_sentence(vlprompt, pictures, tmp_path) -> None:
    (tmp_path / "old.py").write_text(
        "from vlprompt.methods.coop import CoOp\n\n\nclass Old(CoOp):\n    name = 'old'\n\n"
        "    def forward(self, image_features):\n        return 2 * super().forward(image_features)\n"
    )
    arguments = ("--method", "old.py:Old", "--shots", "2", "--epochs", "2", "--views", "1")
    assert_refused(vlprompt("fit", "pictures", "--out", "model", *arguments), "method Old takes", ".logits")


def test_a_head_cannot_be_benchmarked_on_new_classes(vlprompt) -> None:
    refused = vlprompt("benchmark", "base-to-new", "emoji-food", "--methods", "zero-shot,gda", "--out", "runs")
    assert_refused(refused, "method gda names only classes that it has pictures of", "kgcoop")
