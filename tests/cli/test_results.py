"""What fit and evaluate say of a result, so that it is not taken for more than it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.pictures import QUICK, write_pictures
from vlprompt.cli.results import MOST_CLASSES, note_classes
from vlprompt.model.evaluation import Evaluation, measure


def uneven(folder):
    """Twelve blue pictures, three red ones and one green."""
    for name, count in (("blue", 12), ("red", 3), ("green", 1)):
        write_pictures(folder, (name,), count)
    return folder


def test_fit_says_how_sure_it_is_and_what_zero_shot_and_chance_give(vlprompt, pictures):
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK)
    assert "It was trained on 6 of 9 training pictures, at most 2 a class (--shots null: on all)." in outcome.err
    assert "95% interval" in outcome.err
    assert "balanced accuracy" in outcome.err
    assert "zero-shot, without training," in outcome.err
    assert "guessing among 3 classes (chance) 33.3%" in outcome.err


def test_the_card_and_the_saved_model_hold_what_fit_said(vlprompt, model):
    (saved,) = json.loads((model / "model.json").read_text())["evaluation"].values()
    assert saved["chance"] == pytest.approx(100 / 3)
    assert saved["zero_shot"] is not None
    assert saved["interval"][0] < saved["accuracy"] + 1e-9 <= saved["interval"][1] + 1e-9
    card = (model / "README.md").read_text()
    for figure in (saved["accuracy"], saved["balanced_accuracy"], saved["zero_shot"], saved["chance"]):
        assert f"| {figure:.2f} |" in card
    assert "zero-shot on the same (%)" in card


def test_a_training_that_is_no_better_than_zero_shot_is_called_so_with_what_to_do(vlprompt, pictures, monkeypatch):
    from vlprompt.model.fitted import FittedClassifier

    measured = FittedClassifier._zero_shot
    monkeypatch.setattr(FittedClassifier, "_zero_shot", lambda self, features: 0 * measured(self, features))
    # Three pictures, one a class: at most all are right, and zero-shot here has one of three.
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK)
    assert "than zero-shot" in outcome.err
    assert "than zero-shot" in (pictures.parent / "model/README.md").read_text()
    assert any(
        "than zero-shot" in c for c in json.loads(vlprompt("evaluate", "model", "pictures", "--json").out)["cautions"]
    )


def test_where_no_picture_is_left_fit_tells_the_training_accuracy_and_calls_it_so(vlprompt, pictures):
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK, "--shots", "null")
    assert outcome.code == 0
    assert "It was trained on all 9 training pictures." in outcome.err
    assert "of 9 pictures that it was trained on are named right" in outcome.err
    assert "which flatters it" in outcome.err
    (saved,) = json.loads((pictures.parent / "model/model.json").read_text())["evaluation"].values()
    assert saved["trained_on"] is True
    assert "flatters" in (pictures.parent / "model/README.md").read_text()


def test_zero_shot_is_tested_on_every_picture_because_it_learned_from_none(vlprompt, pictures):
    outcome = vlprompt("fit", "pictures", "--out", "model", "--method", "zero-shot", "--shots", "2")
    assert "of 9 pictures in all are named right" in outcome.err
    assert "without training" not in outcome.err
    evaluated = vlprompt("evaluate", "model", "pictures", "--json")
    assert json.loads(evaluated.out)["total"] == 9
    assert "the model was trained on" not in evaluated.err


def test_a_class_with_no_held_out_picture_is_named_and_counted(vlprompt, tmp_path):
    uneven(tmp_path / "pictures")
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK, "--shots", "3")
    assert "2 of 3 classes have no picture in this test and count nowhere: 'green', 'red'." in outcome.err
    assert "'green', 'red'" in (tmp_path / "model/README.md").read_text()
    values = json.loads(vlprompt("evaluate", "model", "pictures", "--json").out)
    assert {entry["name"]: entry["pictures"] for entry in values["classes"]} == {"blue": 9, "green": 0, "red": 0}


@pytest.mark.parametrize("splits", [("train", "test"), ("test", "train")])
def test_a_class_of_one_split_only_is_named(vlprompt, tmp_path, splits):
    more, fewer = splits
    write_pictures(tmp_path / "data" / more, ("blue", "green", "red"))
    write_pictures(tmp_path / "data" / fewer, ("blue", "green"))
    outcome = vlprompt("fit", "data", "--out", "model", *QUICK)
    said = "'red' has none to train on" if fewer == "train" else "1 of 3 classes has no picture in this test"
    assert outcome.code == 0
    assert said in outcome.err
    assert "'red'" in outcome.err


def test_a_class_that_cannot_be_read_at_all_is_named_as_a_class(vlprompt, pictures):
    (pictures / "owl").mkdir()
    for number in range(3):
        (pictures / f"owl/{number}.png").write_bytes(b"\x89PNG\r\n")
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK, "--on-unreadable", "skip")
    assert outcome.code == 0
    assert "'owl' has none of 2" in outcome.err


def test_evaluate_tells_each_class_with_headings_its_pictures_and_its_most_frequent_mistake(vlprompt, tmp_path, model):
    uneven(tmp_path / "other")
    text = vlprompt("evaluate", "model", "other", "--split", "all").out
    table, figures = (part.splitlines() for part in text.split("\n\n"))
    assert table[0].split("\t") == ["class", "pictures", "accuracy %", "most often taken for"]
    assert [row.split("\t")[:2] for row in table[1:]] == [["blue", "12"], ["green", "1"], ["red", "3"]]
    values = json.loads(vlprompt("evaluate", "model", "other", "--split", "all", "--json").out)
    named = dict(line.split("\t", 1) for line in figures)
    for figure in ("accuracy", "balanced_accuracy", "chance"):
        assert named[figure.replace("_", " ")] == f"{values[figure]:.2f}"
    assert named["most frequent class"] == "75.00\tblue"
    assert named["correct"] == f"{values['correct']} of 16"


@pytest.mark.parametrize(("split", "says"), [("train", "flatter"), ("all", "flatter"), ("test", "")])
def test_pictures_that_were_trained_on_are_called_so_where_they_are_counted(vlprompt, tmp_path, split, says):
    for part in ("train", "test"):
        write_pictures(tmp_path / "data" / part)
    assert vlprompt("fit", "data", "--out", "model", *QUICK).code == 0
    assert says in vlprompt("evaluate", "model", "data", "--split", split).err


def test_all_pictures_of_data_without_splits_count_those_that_were_trained_on(vlprompt, model):
    assert (
        "6 of 9 pictures are ones that the model was trained on"
        in vlprompt("evaluate", "model", "pictures", "--split", "all").err
    )


def test_mini_on_pictures_of_ones_own_is_told_at_fit_in_the_card_and_at_evaluate(vlprompt, pictures, monkeypatch):
    from vlprompt import backbones

    load = backbones.load_backbone
    monkeypatch.setattr(backbones, "load_backbone", lambda name, **options: replace(load(name), name="mini"))
    line = "real photographs fit with --backbone ViT-B-16/openai"
    assert vlprompt("fit", "pictures", "--out", "model", *QUICK).err.count(line) == 1
    assert "real photographs fit with" in (pictures.parent / "model/README.md").read_text()
    assert vlprompt("evaluate", "model", "pictures").err.count(line) == 1


def test_an_export_of_bundled_drawings_is_known_until_it_is_changed(vlprompt, tmp_path, monkeypatch):
    from vlprompt import backbones

    load = backbones.load_backbone
    monkeypatch.setattr(backbones, "load_backbone", lambda name, **options: replace(load(name), name="mini"))
    assert vlprompt("export", "emoji-food", "food", "--classes", "2").code == 0
    command = ("fit", "food", "--out", "model", "--method", "zero-shot")
    assert "photographs" not in vlprompt(*command).err
    write_pictures(tmp_path / "food/train", ("blue",))
    changed = vlprompt(*command).err
    assert "photographs" in changed
    assert "food is not as it was exported from emoji-food: new classes: 1 ('blue')" in changed


def test_a_folder_of_an_older_version_gets_a_card_with_what_is_known(vlprompt, model, tiny_backbone):
    from vlprompt import PromptClassifier

    path = model / "model.json"
    values = json.loads(path.read_text())
    name, saved = next(iter(values["evaluation"].items()))
    values["evaluation"] = {
        name: {key: saved[key] for key in ("accuracy", "macro_f1", "correct", "total", "per_class")}
    }
    path.write_text(json.dumps(values))
    PromptClassifier.load(model, backbone=tiny_backbone).save(model)
    (row,) = [line for line in (model / "README.md").read_text().splitlines() if line.startswith(f"| {name}")]
    assert row.count("| - |") + row.count(" - |") >= 4


@pytest.fixture
def mislabelled(tmp_path):
    """Four classes of eight colours, and three blue pictures among the red ones."""
    folder = tmp_path / "photos"
    write_pictures(folder, ("blue", "green", "red", "white"), 8)
    for place in range(3):
        (folder / "blue" / f"{place}.png").rename(folder / "red" / f"of-blue-{place}.png")
    return folder


def test_a_head_is_measured_by_cross_validation_and_says_which_class_is_taken_for_which(vlprompt, mislabelled):
    outcome = vlprompt("fit", str(mislabelled), "--out", "model", "--method", "gda")
    assert (
        "of 32 training pictures, each held out once (cross-validation), are named right (95% interval" in outcome.err
    )
    assert re.search(r"^red +11 +72\.7 +blue \(3\)$", outcome.err, re.MULTILINE)
    assert "3 of 11 pictures of 'red' are taken for 'blue': check their labels" in outcome.err
    assert "3 classes have no mistake." in outcome.err
    assert "flatters" not in outcome.err


def test_what_fit_measured_is_json_and_saved_and_read_again(vlprompt, mislabelled):
    told = json.loads(vlprompt("fit", str(mislabelled), "--out", "model", "--json").out)
    saved = json.loads(Path("model/model.json").read_text())
    assert told["model"] == "model"
    assert told["method"] == saved["method"]
    assert told["choice"]["pictures"]["method"] == told["method"]
    assert saved["evaluation"] == {"photos, cross-validated": told["evaluation"]}
    assert told["evaluation"]["cross_validated"] is True
    assert Evaluation.from_dict(told["evaluation"]).as_dict() == told["evaluation"]
    assert "| photos, cross-validated | " in Path("model/README.md").read_text()


def test_pictures_kept_apart_are_measured_and_cross_validation_is_kept_beside_it(vlprompt, pictures):
    vlprompt("fit", "pictures", "--out", "model", "--method", "gda", "--shots", "2")
    kept = json.loads((pictures.parent / "model/model.json").read_text())["evaluation"]
    assert list(kept) == ["pictures, cross-validated", "pictures, pictures not trained on"]


def test_a_long_table_of_classes_says_what_it_leaves_out(capsys):
    truth = np.repeat(np.arange(13), 4)
    predicted = truth.copy()
    predicted[::4] = (truth[::4] + 1) % 13
    predicted[:3] = 5
    note_classes(measure(truth, predicted, [f"class {place}" for place in range(13)]))
    told = capsys.readouterr().err
    assert len(re.findall(r"^class \d+ ", told, re.MULTILINE)) == MOST_CLASSES
    assert "3 more classes have mistakes, and 75.0% or more of their pictures right." in told
    assert told.count("are taken for") == 1
