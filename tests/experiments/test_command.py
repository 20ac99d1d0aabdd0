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


def test_few_shot_runs_every_method_over_all_shots_and_zero_shot_once(
    pictures, backbone_folder, tmp_path, capsys, monkeypatch
):
    from vlprompt.experiments import plan, read_records

    methods = ["zero-shot", "gda", "kgcoop"]
    monkeypatch.setattr(plan, "all_methods", lambda protocol: methods)
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    command = ["benchmark", "few-shot", str(pictures), "--out", str(tmp_path / "out"), "--shots", "1,2", "--seeds", "1"]
    options = ["--methods", "all", "--backbone", backbone_folder, "--workers", "1", "--epochs", "2", "--views", "1"]
    assert main([*command, *options]) == 0
    shown = capsys.readouterr().out
    assert all(method in shown for method in methods)
    records = read_records(tmp_path / "out")
    assert sorted((record.method.label, record.shots, record.seed) for record in records) == [
        ("gda", 1, 1), ("gda", 2, 1), ("kgcoop", 1, 1), ("kgcoop", 2, 1), ("zero-shot", 0, 0),
    ]  # fmt: skip
    assert {record.results["test"].total for record in records} == {5 * 2}
    assert main([*command[:-4], "--methods", "zero-shot", "--backbone", backbone_folder, "--workers", "1"]) == 0
    assert read_records(tmp_path / "out") == records


@pytest.mark.parametrize(
    ("shots", "says"),
    [
        ("1,two", "--shots has 'two'"),
        ("0,1", "--shots is 0; it must be at least 1"),
        (",", "--shots is empty"),
        ("4,4", "number of shots 4 is given twice"),
    ],
)
def test_shots_that_are_no_numbers_are_refused_in_one_sentence(tmp_path, capsys, shots, says):
    assert main(["benchmark", "few-shot", "--out", str(tmp_path), "--shots", shots, "--methods", "zero-shot"]) == 2
    assert says in capsys.readouterr().err


def test_data_sets_are_named_one_way(tmp_path, capsys):
    command = ["benchmark", "cross-dataset", "emoji-food", "--datasets", "emoji-faces,emoji-food"]
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "give the data sets one way" in capsys.readouterr().err


def test_a_protocol_s_command_computes_and_tells_it(pictures, backbone_folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    command = ["benchmark", "cross-dataset", "--datasets", f"first={pictures},second={pictures}", "--out", out]
    command += ["--methods", "zero-shot", "--backbone", backbone_folder, "--workers", "1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "cross-dataset: first" in said
    assert all(column in said for column in ("first", "second", "average"))
    assert main(["report", out]) == 0
    assert capsys.readouterr().out == said
