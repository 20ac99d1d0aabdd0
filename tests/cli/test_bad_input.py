"""What a user can get wrong: exit code 2, one sentence on stderr that names it, no traceback, nothing lost."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.pictures import QUICK, write_pictures

FIT = ("fit", "pictures", "--out", "model", *QUICK)


@pytest.fixture
def pictures(tmp_path):
    return write_pictures(tmp_path / "pictures")


def assert_refused(outcome, *named: str, lines: int = 1) -> None:
    """One sentence (and, for several files, a line for each), that names what is wrong; nothing on stdout."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("vlprompt: ")
    assert outcome.err.count("\n") == lines, outcome.err
    assert "Traceback" not in outcome.err
    for text in named:
        assert text in outcome.err


def assert_left_nothing(folder: Path) -> None:
    left = {entry.name for entry in folder.iterdir()} - {"pictures", "cache", "home"}
    assert not left


# --- data ---


def test_a_folder_that_does_not_exist(vlprompt, tmp_path):
    assert_refused(vlprompt("fit", "no/such/folder", "--out", "model"), "no/such/folder")
    assert_left_nothing(tmp_path)


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
    assert outcome.err.count("warning") == 1
    assert "'blue' has 3, 'green' has 3, 'red' has 3" in outcome.err
    assert json.loads((tmp_path / "model/model.json").read_text())["training"]["images"] == 9


def test_labels_and_images_of_different_length(pictures):
    from vlprompt import PromptClassifier
    from vlprompt.errors import DataError

    with pytest.raises(DataError, match="2 images but 1 labels"):
        PromptClassifier().fit([pictures / "blue/0.png", pictures / "red/0.png"], ["blue"])


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
        (("fit", "pictures", "--out", "model", "--epochs", "many"), ("--epochs", "'many'", "whole number")),
        (("fit", "pictures", "--out", "model", "--epochs", "0"), ("epochs", "0")),
        (("fit", "pictures", "--out", "model", "--views", "some"), ("--views", "'some'")),
        (("fit", "pictures", "--out", "model", "--learning-rate", "-1"), ("learning_rate", "-1")),
        (("fit", "pictures", "--out", "model", "--template", "a photo"), ("'a photo'", "{}")),
        (("fit", "pictures", "--out", "model", "--position", "back"), ("--position", "'back'", "end, middle, front")),
        (("fit", "pictures", "--out", "model", "--recipe", "coop"), ("'coop'", "coop-")),
        (("fit", "pictures", "--out", "model", "--config", "no.yaml"), ("no.yaml",)),
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


def test_an_unknown_key_in_the_yaml_file(vlprompt, pictures, tmp_path):
    (tmp_path / "fit.yaml").write_text("epohs: 3\n")
    assert_refused(vlprompt(*FIT, "--config", "fit.yaml"), "epohs", "epochs")


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


# --- the place of the output ---


@pytest.fixture
def nothing_is_computed(monkeypatch):
    from vlprompt import PromptClassifier

    monkeypatch.setattr(PromptClassifier, "fit", lambda *_: pytest.fail("it computed before it checked the output"))


def test_an_output_folder_without_permission(vlprompt, pictures, tmp_path, nothing_is_computed, monkeypatch):
    # Root may write everywhere, so the operating system's answer is played.
    monkeypatch.setattr("vlprompt.files.os.access", lambda *_: False)
    assert_refused(vlprompt(*FIT), str(tmp_path), "cannot be written")


def test_no_disk_space_for_the_output(vlprompt, pictures, nothing_is_computed, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr("vlprompt.files.shutil.disk_usage", lambda _: usage._replace(free=1000))
    assert_refused(vlprompt(*FIT), "free")
    assert_refused(vlprompt("benchmark", "base-to-new", "pictures"), "free")


def test_an_output_that_is_a_file_or_below_one(vlprompt, pictures, tmp_path, nothing_is_computed):
    (tmp_path / "letter").write_text("dear")
    for out in ("letter", "letter/model"):
        assert_refused(vlprompt("fit", "pictures", "--out", out, *QUICK), "letter")


def test_an_output_folder_with_other_files_in_it(vlprompt, pictures, nothing_is_computed):
    assert_refused(vlprompt("fit", "pictures", "--out", "pictures", *QUICK), "pictures", "other files")
    assert len(list(pictures.rglob("*.png"))) == 9


def test_a_model_whose_place_fails_after_the_training_is_kept_elsewhere(vlprompt, pictures, tmp_path, monkeypatch):
    from vlprompt import model_folder

    swap = model_folder._swap

    def full(staged: Path, folder: Path) -> None:
        if folder.parent.resolve() == tmp_path:
            raise OSError(errno.ENOSPC, "No space left on device")
        swap(staged, folder)

    monkeypatch.setattr(model_folder, "_swap", full)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "home").mkdir()
    outcome = vlprompt(*FIT)
    assert outcome.code == 2
    assert "No space left" in outcome.err
    kept = Path(outcome.err.split("is kept in ")[1].strip().rstrip("."))
    assert (kept / "prompts.safetensors").is_file()


# --- Ctrl-C ---


def test_an_interrupted_fit_says_how_to_go_on_and_goes_on(vlprompt, pictures, tmp_path, monkeypatch):
    from vlprompt.training import loop

    epoch = loop._Run._epoch

    def interrupt_in_third(run, number):
        if number == 2:
            raise KeyboardInterrupt
        epoch(run, number)

    monkeypatch.setattr(loop._Run, "_epoch", interrupt_in_third)
    outcome = vlprompt(*FIT, "--epochs", "4")
    assert outcome.code == 130
    assert "after 2 of 4 epochs" in outcome.err
    assert "the same command goes on" in outcome.err
    assert outcome.err.count("\n") == 1

    made = []
    monkeypatch.setattr(loop._Run, "_epoch", lambda run, number: (made.append(number), epoch(run, number)))
    assert vlprompt(*FIT, "--epochs", "4").code == 0
    assert made == [2, 3]


def test_an_unfinished_training_with_other_settings_is_started_over(vlprompt, pictures, tmp_path, monkeypatch):
    from vlprompt.training import loop

    with monkeypatch.context() as patch:
        epoch = loop._Run._epoch
        patch.setattr(loop._Run, "_epoch", lambda run, number: stop() if number == 2 else epoch(run, number))
        assert vlprompt(*FIT, "--epochs", "4").code == 130
    outcome = vlprompt(*FIT, "--epochs", "3")
    assert outcome.code == 0
    assert "other settings" in outcome.err


def stop():
    raise KeyboardInterrupt


def test_an_interrupted_benchmark_says_how_to_go_on(vlprompt, tmp_path, monkeypatch):
    from vlprompt.training import loop

    for split in ("train", "test"):
        write_pictures(tmp_path / "data" / split, ("blue", "green", "red", "yellow"))
    monkeypatch.setattr(loop._Run, "_epoch", lambda *_: stop())
    quick = ("--epochs", "2", "--views", "1", "--shots", "2", "--seeds", "1", "--workers", "1")
    outcome = vlprompt("benchmark", "base-to-new", "data", "--methods", "zero-shot,coop", *quick)
    assert outcome.code == 130
    assert "the same command" in outcome.err
    assert "Traceback" not in outcome.err


def test_ctrl_c_in_any_command_is_one_sentence(vlprompt, monkeypatch):
    from vlprompt.cli import listings

    monkeypatch.setitem(listings.LISTS, "methods", stop)
    outcome = vlprompt("list", "methods")
    assert outcome.code == 130
    assert outcome.err.startswith("vlprompt: interrupted; the same command")
    assert outcome.err.count("\n") == 1
