"""A place that a model cannot take, and Ctrl-C: one sentence on stderr, and nothing that was computed is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from pathlib import Path

import pytest

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import FIT, assert_refused
from vlprompt.files.locks import close_locked, try_lock

# --- the place of the output ---


def test_an_output_folder_without_permission(vlprompt, pictures, tmp_path, nothing_is_computed, monkeypatch):
    # Root may write everywhere, so the operating system's answer is played.
    monkeypatch.setattr("vlprompt.files.whole.os.access", lambda *_: False)
    assert_refused(vlprompt(*FIT), str(tmp_path), "cannot be written")


def test_no_disk_space_for_the_output(vlprompt, pictures, nothing_is_computed, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr("vlprompt.files.whole.shutil.disk_usage", lambda _: usage._replace(free=1000))
    assert_refused(vlprompt(*FIT), "free")
    assert_refused(vlprompt("benchmark", "base-to-new", "pictures"), "free")


def test_an_output_that_is_a_file_or_below_one(vlprompt, pictures, tmp_path, nothing_is_computed):
    (tmp_path / "letter").write_text("dear")
    for out in ("letter", "letter/model"):
        assert_refused(vlprompt("fit", "pictures", "--out", out, *QUICK), "letter")


@pytest.mark.parametrize("out", [".", "/", "../home", "x" * 300, "x" * 250, f"{'x' * 300}/model"])
def test_an_output_folder_that_can_be_no_model(vlprompt, pictures, tmp_path, nothing_is_computed, monkeypatch, out):
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    arguments = ("fit", "../pictures", "--out", out, *QUICK)
    assert_refused(vlprompt(*arguments), out, "choose another --out")


def test_a_picture_and_class_names_that_are_too_long_for_a_file(vlprompt, model):
    assert_refused(vlprompt("predict", "model", "x" * 300), "x" * 100, lines=2)
    assert_refused(vlprompt("predict", "model", "pictures", "--class-names", "x" * 300), "class names")


def test_an_output_folder_with_other_files_in_it(vlprompt, pictures, nothing_is_computed):
    assert_refused(vlprompt("fit", "pictures", "--out", "pictures", *QUICK), "pictures", "other files")
    assert len(list(pictures.rglob("*.png"))) == 9


def test_a_model_whose_place_fails_after_the_training_is_kept_elsewhere(vlprompt, pictures, tmp_path, monkeypatch):
    from vlprompt.model import folder as model_folder

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


@pytest.fixture
def held(tmp_path):
    """Locks files as another process would, which opens them for itself."""
    descriptors = []

    def hold(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT))
        assert try_lock(descriptors[-1])

    yield hold
    for descriptor in descriptors:
        close_locked(descriptor)


def test_a_second_fit_into_one_folder_is_refused_and_the_firsts_checkpoint_stays(
    vlprompt, pictures, tmp_path, nothing_is_computed, held
):
    held(tmp_path / ".model.lock")
    (tmp_path / ".model.training").mkdir()
    (tmp_path / ".model.training" / "epoch-00001.safetensors").write_bytes(b"of the first")
    assert_refused(vlprompt(*FIT, "--epochs", "7"), "another process is writing", "model")
    assert (tmp_path / ".model.training" / "epoch-00001.safetensors").read_bytes() == b"of the first"


def test_a_fit_does_not_throw_away_a_checkpoint_that_a_program_trains_into(vlprompt, pictures, tmp_path, held):
    held(tmp_path / ".model.training" / ".lock")
    assert_refused(vlprompt(*FIT), "another process is writing")


def test_a_second_benchmark_into_one_folder_is_refused(vlprompt, tmp_path, held):
    for split in ("train", "test"):
        write_pictures(tmp_path / "data" / split, ("blue", "green", "red", "yellow"))
    held(tmp_path / "out" / ".lock")
    quick = ("--epochs", "2", "--views", "1", "--shots", "2", "--seeds", "1", "--workers", "1", "--out", "out")
    assert_refused(vlprompt("benchmark", "base-to-new", "data", *quick), "another process is writing", "out")


@pytest.mark.parametrize("folder", ["x" * 300, "x/" * 2500])
def test_an_export_to_a_name_that_is_too_long_is_one_sentence(vlprompt, folder):
    assert_refused(vlprompt("export", "emoji-food", folder, "--classes", "2"), "too long")


def test_an_export_that_another_one_writes_is_refused(vlprompt, tmp_path, held):
    held(tmp_path / ".toys.lock")
    assert_refused(vlprompt("export", "emoji-food", "toys", "--classes", "2"), "another process is writing")


def test_a_limit_on_the_size_of_files_is_told_before_the_training(
    vlprompt, pictures, tmp_path, nothing_is_computed, monkeypatch
):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        outcome = vlprompt(*FIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_refused(outcome, "ulimit -f")


def test_where_nothing_else_can_be_written_either_the_training_is_kept(vlprompt, pictures, tmp_path, monkeypatch):
    from vlprompt.model import folder as model_folder

    def fail(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    with monkeypatch.context() as patch:
        patch.setattr(model_folder, "_swap", fail)
        outcome = vlprompt(*FIT)
    assert_refused(outcome, "File too large", ".model.training", "the same command goes on from there")
    assert vlprompt(*FIT).code == 0


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
    assert outcome.err.splitlines()[-1].startswith("vlprompt: training was interrupted")

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
