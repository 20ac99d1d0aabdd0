"""vlprompt convert, and the way to it from wherever a checkpoint of the published code is given by mistake."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_left_nothing, assert_refused
from tests.published import COOP, published_state, write_published
from vlprompt.cli import main
from vlprompt.methods import build_method

COLOURS = ["blue", "green", "red"]


@pytest.fixture
def checkpoint(tiny_backbone, tmp_path):
    """A checkpoint of CoOp trained on the classes of `pictures`, with one more beside them."""
    folder = tmp_path / "cache"
    folder.mkdir()
    method = build_method("coop", tiny_backbone, COLOURS)
    return write_published(folder / "model.pth.tar-10", published_state(method))


def names_of(folder) -> list[str]:
    return json.loads((folder / "model.json").read_text())["class_names"]


def test_a_checkpoint_and_its_data_make_a_model_that_names_pictures(vlprompt, checkpoint, pictures, tmp_path):
    outcome = vlprompt("convert", checkpoint, "pictures", "--out", "model", "--backbone", "mini")
    assert outcome.code == 0, outcome
    assert "vlprompt predict model PICTURE" in outcome.err
    assert names_of(tmp_path / "model") == COLOURS
    assert vlprompt("predict", "model", "pictures/blue/0.png").out.startswith("pictures/blue/0.png")
    assert vlprompt("evaluate", "model", "pictures", "--split", "all").code == 0


def test_names_that_it_was_not_trained_on_are_told(vlprompt, checkpoint, tmp_path):
    write_pictures(tmp_path / "pictures", (*COLOURS, "yellow"))
    outcome = vlprompt("convert", checkpoint, "pictures", "--out", "model")
    assert "It was trained on 3 of the 4 classes; these are the model's." in outcome.err
    assert names_of(tmp_path / "model") == COLOURS


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("red, blue,green", None),
        ("names.txt", "red\nblue\ngreen\n"),
        ("names.csv", "red\nblue\ngreen\n"),
        ("names.tsv", "red\nblue\ngreen\n"),
        ("names.jsonl", '"red"\n"blue"\n"green"\n'),
        ("names.names", "red\nblue\ngreen\n"),
        ("names", "red\nblue\ngreen\n"),
        ("pictures.csv", "path,label\npictures/red/0.png,red\npictures/blue/0.png,blue\npictures/green/0.png,green\n"),
    ],
)
def test_names_are_a_list_a_file_or_a_manifests_labels(vlprompt, checkpoint, pictures, tmp_path, given, file):
    if file is not None:
        (tmp_path / given).write_text(file)
    outcome = vlprompt("convert", checkpoint, given, "--out", "model")
    assert outcome.code == 0, outcome
    assert names_of(tmp_path / "model") == COLOURS


def test_wrong_names_are_refused_and_leave_nothing(vlprompt, checkpoint, tmp_path):
    outcome = vlprompt("convert", checkpoint, "blue,green,purple", "--out", "model")
    assert_refused(outcome, "class 3 of the 3", "'red'", "not among the 3 given names")
    assert_left_nothing(tmp_path)


def test_one_name_is_refused_as_what_was_typed(vlprompt, checkpoint, tmp_path):
    (tmp_path / "names.txt").write_text("red\n")
    assert_refused(vlprompt("convert", checkpoint, "names.txt", "--out", "model"), "DATA gives only 'red'")


def test_another_backbone_is_refused(vlprompt, tiny_backbone, tmp_path):
    assert_refused(
        vlprompt("convert", COOP, "emoji-food", "--out", "model"), "another backbone than mini", "--backbone"
    )
    assert_left_nothing(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("{}", "colour", "--out", "model"), ("'colour'",)),
        (("{}", "nowhere/names.txt", "--out", "model"), ("nowhere/names.txt",)),
        (("{}", "blue,green,red"), ("--out",)),
        (("{}",), ("DATA",)),
        ((), ("CHECKPOINT",)),
        (("{}", "blue,green,red", "--out", "model", "--position", "behind"), ("--position", "end, middle, front")),
        (("{}", "blue,green,red", "--out", "model", "--template", "a photo"), ("'a photo'",)),
        (("pictures", "blue,green,red", "--out", "model"), ("pictures", "a folder")),
        (("nothing.pth", "blue,green,red", "--out", "model"), ("nothing.pth", "No such file")),
    ],
)
def test_a_wrong_command_line_is_one_sentence(vlprompt, checkpoint, pictures, tmp_path, arguments, named):
    assert_refused(vlprompt("convert", *(argument.format(checkpoint) for argument in arguments)), *named)
    assert_left_nothing(tmp_path)


def test_a_place_that_holds_something_else_is_refused_before_the_work(vlprompt, checkpoint, pictures):
    assert_refused(vlprompt("convert", checkpoint, "blue,green,red", "--out", "pictures"), "pictures holds other files")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "{}", "pictures"),
        ("evaluate", "{}", "pictures"),
        ("fit", "{}", "--out", "model", *QUICK),
        ("fit", "pictures", "--out", "model", "--backbone", "{}", *QUICK),
        ("fit", "pictures", "--out", "model", "--backbone", "ViT-B-32/openai@{}", *QUICK),
        ("benchmark", "base-to-new", "{}"),
    ],
)
def test_a_checkpoint_in_another_place_is_sent_to_convert(vlprompt, checkpoint, pictures, arguments):
    outcome = vlprompt(*(argument.format(checkpoint) for argument in arguments))
    assert_refused(outcome, f"`vlprompt convert {checkpoint} DATA --out model`")


def test_help_lists_convert_and_shows_an_example(capsys):
    assert main(["--help"]) == 0
    assert "convert" in capsys.readouterr().out
    assert main(["convert", "--help"]) == 0
    assert "vlprompt convert prompt_learner/model.pth.tar-10 emoji-food" in capsys.readouterr().out


def test_a_model_of_a_local_backbone_says_how_it_is_loaded(vlprompt, pictures, tiny_backbone, monkeypatch):
    from vlprompt import backbones

    monkeypatch.setattr(backbones, "load_backbone", lambda name, **_: replace(tiny_backbone, name=name))
    assert vlprompt("fit", "pictures", "--out", "model", "--backbone", "./tiny", *QUICK).code == 0
    assert_refused(vlprompt("predict", "model", "pictures"), "'./tiny'", "--backbone PATH")
    assert vlprompt("predict", "model", "pictures", "--backbone", "./tiny").code == 0
