from __future__ import annotations

import shutil

import pytest

from vlprompt.cli import main
from vlprompt.experiments import queue as base_to_new


class _Planned(Exception):
    """Stops the command where it would compute."""


def test_options_about_the_data_reach_the_plan(pictures, tmp_path, monkeypatch):
    plans = []

    def remember(plan, out, **_):
        plans.append(plan)
        raise _Planned

    monkeypatch.setattr(base_to_new, "run", remember)
    options = ["--on-unreadable", "skip", "--class-words", "words.csv", "--image-root", "pictures"]
    with pytest.raises(_Planned):
        main(["benchmark", "base-to-new", str(pictures), "--out", str(tmp_path), *options])
    assert plans[0].loading == {"class_words": "words.csv", "image_root": "pictures", "on_unreadable": "skip"}


def test_words_for_the_classes_of_bundled_data_sets_are_refused(tmp_path, capsys):
    assert main(["benchmark", "base-to-new", "--out", str(tmp_path), "--class-words", "words.csv"]) == 2
    assert "bundled data sets do not take it" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_end_the_command_with_all_their_names(pictures, backbone_folder, tmp_path, capsys):
    folder = shutil.copytree(pictures, tmp_path / "damaged")
    for name in ("red", "blue"):
        (folder / "test" / name / "0.png").write_bytes(b"")
    command = ["benchmark", "base-to-new", str(folder), "--out", str(tmp_path / "out"), "--shots", "2"]
    assert main([*command, "--methods", "zero-shot", "--backbone", backbone_folder, "--workers", "1"]) == 2
    said = capsys.readouterr().err
    assert "2 images cannot be read" in said
    assert "red" in said
    assert "blue" in said
    assert not list((tmp_path / "out").glob("records/**/*.json"))
