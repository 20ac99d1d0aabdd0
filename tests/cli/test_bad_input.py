"""What a user can get wrong: exit code 2, one sentence on stderr that names it, no traceback, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.pictures import write_pictures
from tests.cli.refusals import FIT, assert_left_nothing, assert_refused
from vlprompt.errors import UnreadableImagesError

# --- data ---


def test_a_folder_that_does_not_exist(vlprompt, tmp_path):
    assert_refused(vlprompt("fit", "no/such/folder", "--out", "model"), "no/such/folder")
    assert_left_nothing(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("predict", "model", ""), "IMAGES"),
        (("predict", "model", "pictures", ""), "IMAGES"),
        (("predict", "", "pictures"), "MODEL"),
        (("fit", "", "--out", "model"), "DATA"),
        (("fit", "pictures", "--out", ""), "--out"),
        (("fit", "pictures", "--out", "model", "--image-root", ""), "--image-root"),
        (("export", "emoji-food", ""), "FOLDER"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(vlprompt, pictures, arguments, named):
    assert_refused(vlprompt(*arguments), f"{named} is empty")


NO_NAME = "x" * 300  # with which the system refuses to look for a file, as in a folder without permission


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", NO_NAME),
        ("fit", NO_NAME, "--out", "model"),
        ("fit", "pictures", "--out", "other", "--method", f"{NO_NAME}.py:Mine"),
        ("fit", "pictures", "--out", "other", "--backbone", f"RN50@{NO_NAME}.pt"),
        ("export", "emoji-food", NO_NAME),
    ],
)
def test_a_file_that_cannot_be_looked_for_is_a_sentence(vlprompt, pictures, arguments):
    assert_refused(vlprompt(*arguments), NO_NAME[:20])


def test_a_folder_without_images(vlprompt, tmp_path):
    for name in ("blue", "red"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
    assert_refused(vlprompt(*FIT), "pictures/blue", "no images")


def test_a_folder_without_class_folders(vlprompt, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert_refused(vlprompt(*FIT), "pictures", "class folders")


def test_one_class_only(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures", ("blue",))
    assert_refused(vlprompt(*FIT), "'blue'", "at least 2 classes")


def test_fewer_pictures_than_shots_is_a_warning_and_all_are_taken(vlprompt, pictures, tmp_path):
    outcome = vlprompt(*FIT, "--shots", "5")
    assert outcome.code == 0
    assert outcome.err.count("warning: 5 images per class") == 1
    assert "'blue' has 3, 'green' has 3, 'red' has 3" in outcome.err
    assert json.loads((tmp_path / "model/model.json").read_text())["training"]["images"] == 9


def test_labels_and_images_of_different_length(pictures):
    from vlprompt import PromptClassifier
    from vlprompt.errors import DataError

    with pytest.raises(DataError, match="2 images but 1 labels"):
        PromptClassifier().fit([pictures / "blue/0.png", pictures / "red/0.png"], ["blue"])


@pytest.mark.parametrize("method", ["zero-shot", "coop", "cocoop"])
@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_a_seed_that_is_none(vlprompt, pictures, tmp_path, method, seed):
    outcome = vlprompt("fit", "pictures", "--out", "model", "--method", method, "--seed", seed)
    assert_refused(outcome, f"seed is {seed}", "must be")
    assert_left_nothing(tmp_path)


def test_a_seed_of_a_benchmark_that_is_none(vlprompt, pictures):
    assert_refused(vlprompt("benchmark", "base-to-new", "pictures", "--seeds", "1,-1"), "seed is -1")


def test_duplicate_class_names(vlprompt, pictures, tmp_path):
    (tmp_path / "words.yaml").write_text("blue: sea\nred: sea\n")
    assert_refused(vlprompt(*FIT, "--class-words", "words.yaml"), "'sea'", "twice")


def test_empty_class_names(vlprompt, pictures, tmp_path):
    (tmp_path / "words.yaml").write_text("blue: ' '\n")
    assert_refused(vlprompt(*FIT, "--class-words", "words.yaml"), "words.yaml", "blue")


@pytest.mark.parametrize("names", ["okapi,okapi", "okapi,", "okapi"])
def test_class_names_of_predict_that_are_double_empty_or_single(vlprompt, model, names):
    assert_refused(vlprompt("predict", "model", "pictures", "--class-names", names), "class name")


def test_a_class_name_beyond_the_token_limit(vlprompt, pictures, tmp_path):
    (tmp_path / "words.yaml").write_text(f"blue: {'very ' * 90}blue\n")
    assert_refused(vlprompt(*FIT, "--class-words", "words.yaml"), "very very", "77")


BROKEN = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "empty": lambda path: path.write_bytes(b""),
    "no-image": lambda path: path.write_text("I am a letter"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_picture_that_cannot_be_read_is_named(vlprompt, pictures, tmp_path, kind):
    BROKEN[kind](pictures / "blue/0.png")
    outcome = vlprompt(*FIT, "--shots", "3")
    assert_refused(outcome, "pictures/blue/0.png", "--on-unreadable skip", lines=2)


def test_all_pictures_that_cannot_be_read_are_named_at_once(vlprompt, pictures):
    for number, spoil in enumerate(BROKEN.values()):
        spoil(pictures / f"blue/{number}.png")
    outcome = vlprompt(*FIT, "--shots", "3")
    assert_refused(outcome, "blue/0.png", "blue/1.png", "blue/2.png", lines=4)


def test_pictures_that_cannot_be_read_can_be_skipped(vlprompt, pictures):
    BROKEN["truncated"](pictures / "blue/0.png")
    outcome = vlprompt(*FIT, "--shots", "3", "--on-unreadable", "skip")
    assert outcome.code == 0
    assert "blue/0.png" in outcome.err


@pytest.mark.parametrize("splits", [True, False])
def test_a_picture_to_be_evaluated_that_cannot_be_read_is_named_before_the_training(
    vlprompt, tmp_path, nothing_is_computed, splits
):
    for folder in ("pictures/train", "pictures/test") if splits else ("pictures",):
        write_pictures(tmp_path / folder)
    bad = "pictures/test/blue/1.png" if splits else "pictures/blue/1.png"
    BROKEN["truncated"](tmp_path / bad)
    assert_refused(vlprompt(*FIT), bad, "--on-unreadable skip", lines=2)
    assert_left_nothing(tmp_path)


def test_settings_are_refused_before_the_pictures_are_checked(vlprompt, pictures, monkeypatch):
    monkeypatch.setattr("vlprompt.data.images.find_unreadable", lambda *_, **__: pytest.fail("it read pictures"))
    assert_refused(vlprompt(*FIT, "--momentum", "7"), "momentum")


def test_a_picture_to_be_evaluated_that_cannot_be_read_can_be_skipped(vlprompt, tmp_path):
    for split in ("train", "test"):
        write_pictures(tmp_path / "pictures" / split)
    BROKEN["truncated"](tmp_path / "pictures/test/blue/1.png")
    outcome = vlprompt(*FIT, "--on-unreadable", "skip")
    assert outcome.code == 0
    assert "of 8 pictures" in outcome.err


def test_no_picture_to_evaluate_that_can_be_read_is_no_reason_to_fail(vlprompt, pictures):
    for name in ("blue", "green", "red"):
        shutil.copy(pictures / name / "0.png", pictures / name / "1.png")
        BROKEN["truncated"](pictures / name / "2.png")
    outcome = vlprompt(*FIT, "--shots", "3", "--on-unreadable", "skip")
    assert outcome.code == 0, outcome
    assert Path("model/model.json").is_file()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), UnreadableImagesError({"a.png": "it went away"})])
def test_a_model_whose_evaluation_fails_is_saved(vlprompt, pictures, monkeypatch, stop):
    from vlprompt import PromptClassifier

    def evaluate(*_, **__):
        raise stop

    monkeypatch.setattr(PromptClassifier, "evaluate", evaluate)
    outcome = vlprompt(*FIT)
    assert outcome.code in (2, 130)
    assert "The trained model is kept in model" in outcome.err
    monkeypatch.undo()
    assert Path(pictures.parent / "model/model.json").is_file()


def test_a_split_of_data_without_splits(vlprompt, model):
    assert_refused(vlprompt("evaluate", "model", "pictures", "--split", "val"), "--split is val", "no splits")


def test_evaluating_on_nothing_but_the_training_pictures(vlprompt, pictures):
    assert vlprompt(*FIT, "--shots", "3").code == 0
    assert_refused(vlprompt("evaluate", "model", "pictures"), "trained on all pictures", "--split all")


def test_a_class_folder_whose_name_is_no_text(vlprompt, pictures, tmp_path):
    os.rename(os.fsencode(pictures / "blue"), os.fsencode(pictures) + b"/bl\xffe")
    assert_refused(vlprompt(*FIT), "bl\\udcffe", "Unicode")
    assert_left_nothing(tmp_path)


@pytest.mark.parametrize("kind", BROKEN)
def test_predict_names_a_picture_that_cannot_be_read(vlprompt, model, pictures_of_model, kind):
    BROKEN[kind](pictures_of_model / "blue/0.png")
    assert_refused(vlprompt("predict", "model", "pictures"), "pictures/blue/0.png", lines=2)


@pytest.fixture
def pictures_of_model(model, tmp_path):
    return tmp_path / "pictures"


def test_predict_names_a_picture_that_does_not_exist(vlprompt, model):
    assert_refused(vlprompt("predict", "model", "nowhere.png"), "nowhere.png", lines=2)


def test_predict_says_when_a_folder_or_a_pattern_gives_no_pictures(vlprompt, model, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(vlprompt("predict", "model", "empty"), "empty")
    assert_refused(vlprompt("predict", "model", "*.jpeg"), "*.jpeg")


def test_a_manifest_with_a_missing_column(vlprompt, pictures, tmp_path):
    (tmp_path / "list.csv").write_text("path,kind\npictures/blue/0.png,blue\n")
    assert_refused(vlprompt("fit", "list.csv", "--out", "model"), "list.csv", "label")


def test_a_manifest_with_a_path_outside_its_folder(vlprompt, pictures, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n../../etc/passwd,blue\npictures/red/0.png,red\n")
    assert_refused(vlprompt("fit", "list.csv", "--out", "model"), "../../etc/passwd")


def test_a_manifest_that_does_not_exist(vlprompt):
    assert_refused(vlprompt("fit", "list.csv", "--out", "model"), "list.csv")


# --- names and options ---


def test_an_unknown_method_suggests_the_nearest(vlprompt, pictures, tmp_path):
    assert_refused(vlprompt(*FIT, "--method", "cocop"), "'cocop'", "did you mean cocoop")
    assert_left_nothing(tmp_path)


def test_an_unknown_backbone_suggests_the_nearest(vlprompt, pictures):
    assert_refused(vlprompt(*FIT, "--backbone", "ViT-B-61/openai"), "ViT-B-61", "did you mean", "ViT-B-16")


def test_an_unknown_data_set_suggests_the_nearest(vlprompt):
    assert_refused(vlprompt("fit", "emoji-foods", "--out", "model"), "'emoji-foods'", "did you mean emoji-food")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("fut",), ("'fut'", "did you mean fit")),
        (("fit",), ("DATA",)),
        (("fit", "pictures"), ("--out",)),
        (("fit", "pictures", "--out", "model", "--epohs", "3"), ("--epohs", "did you mean --epochs")),
        (("fit", "pictures", "--out", "model", "--memory", "2GB"), ("'2GB'", "must be auto or a whole number.")),
        (("fit", "pictures", "--out", "model", "--memory", "null"), ("'null'", "must be auto or a whole number.")),
        (("predict", "model", "a.png", "--screening", "1.5"), ("'1.5'", "must be auto, off or a whole number.")),
        (("predict", "model", "pictures", "--screening", "0"), ("screening is 0", "above 0")),
        (("fit", "pictures", "--out", "model", "--epochs", "many"), ("--epochs", "'many'", "whole number")),
        (("fit", "pictures", "--out", "model", "--epochs", "0"), ("epochs", "0")),
        (("fit", "pictures", "--out", "model", "--views", "some"), ("--views", "'some'")),
        (("fit", "pictures", "--out", "model", "--learning-rate", "-1"), ("learning_rate", "-1")),
        (("fit", "pictures", "--out", "model", "--template", "a photo"), ("'a photo'", "{}")),
        (("fit", "pictures", "--out", "model", "--position", "back"), ("--position", "'back'", "end, middle, front")),
        (("fit", "pictures", "--out", "model", "--recipe", "coop"), ("'coop'", "coop-")),
        (("fit", "pictures", "--out", "model", "--config", "no.yaml"), ("no.yaml",)),
        (("fit", "pictures", "--out", "model", "--config", "x" * 300), ("--config", "too long")),
        (("fit", "pictures", "--out", "model", "--shots", "0"), ("--shots is 0", "at least 1")),
        (("fit", "pictures", "--out", "model", "--split-seed", "2"), ("--split-seed",)),
        (("benchmark", "base-to-new", "pictures", "--shots", "0"), ("--shots is 0", "at least 1")),
        (("predict", "x" * 300, "x.png"), ("no model folder",)),
        (("fit", "pictures", "more", "--out", "model"), ("'more'",)),
        (("benchmark",), ("base-to-new",)),
        (("benchmark", "base-to-new", "pictures", "--seeds", "1,two"), ("--seeds", "'two'")),
        (("benchmark", "base-to-new", "pictures", "--methods", "cocop"), ("'cocop'", "cocoop")),
        (("benchmark", "base-to-new", "pictures", "--workers", "some"), ("--workers", "'some'")),
        (("report", "nowhere"), ("nowhere",)),
        (("list", "modles"), ("WHAT", "'modles'", "methods")),
        (("export", "emoji-foods", "folder"), ("'emoji-foods'", "emoji-food")),
        (("predict", "nowhere", "x.png"), ("nowhere",)),
        (("predict", "nowhere"), ("IMAGE",)),
        (("evaluate", "nowhere", "pictures"), ("nowhere",)),
    ],
)
def test_a_wrong_command_line_is_one_sentence(vlprompt, pictures, tmp_path, arguments, named):
    assert_refused(vlprompt(*arguments), *named)
    assert_left_nothing(tmp_path)


@pytest.mark.parametrize(("key", "meant"), [("epohs", "--epochs"), ("shotz", "--shots"), ("no_progres", "--no-prog")])
def test_an_unknown_key_in_the_yaml_file(vlprompt, pictures, tmp_path, key, meant):
    (tmp_path / "fit.yaml").write_text(f"{key}: 3\n")
    assert_refused(vlprompt(*FIT, "--config", "fit.yaml"), key.split("_")[0], f"did you mean {meant}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"shots: \xff4\n", "UTF-8"),
        (b"shots: [4\nepochs: 3: 2\n", "not YAML (line 2)"),
        (b"shots: \x01\n", "not YAML"),
        (b"- shots\n", "option: value"),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_a_yaml_file_that_is_none_is_named(vlprompt, pictures, tmp_path, content, problem, joined):
    (tmp_path / "fit.yaml").write_bytes(content)
    option = ("--config=fit.yaml",) if joined else ("--config", "fit.yaml")
    assert_refused(vlprompt(*FIT, *option), "--config fit.yaml", problem)


# --- model folders ---


@pytest.mark.parametrize("name", ["model.json", "prompts.safetensors"])
@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign"])
def test_a_model_folder_with_a_missing_truncated_or_foreign_file(vlprompt, model, name, kind):
    path = model / name
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    else:
        path.write_text('{"something": "else"}')
    assert_refused(vlprompt("predict", "model", "pictures"), f"model/{name}")


def test_a_model_for_another_backbone_names_both_fingerprints(vlprompt, model, tiny_backbone, monkeypatch):
    from tests.tiny_models import tiny_backbone as make_backbone
    from vlprompt import backbones

    other = make_backbone(seed=5)
    monkeypatch.setattr(backbones, "load_backbone", lambda *_, **__: other)
    outcome = vlprompt("predict", "model", "pictures", "--backbone", "other")
    assert_refused(outcome, tiny_backbone.fingerprint, other.fingerprint)


def test_a_folder_that_is_no_model(vlprompt, pictures):
    assert_refused(vlprompt("predict", "pictures", "pictures"), "pictures/model.json")
