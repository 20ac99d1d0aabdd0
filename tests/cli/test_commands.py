"""The commands, end to end on small data, in this process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import warnings

import pytest

from tests.cli.pictures import QUICK, write_pictures


def test_without_arguments_it_prints_the_help(vlprompt):
    outcome = vlprompt()
    assert outcome.code == 0
    assert "fit" in outcome.out
    assert "benchmark" in outcome.out


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "benchmark", "report", "list", "export", "cache"])
def test_every_command_has_help(vlprompt, command):
    outcome = vlprompt(command, "--help")
    assert outcome.code == 0
    assert "usage: vlprompt" in outcome.out


def test_every_training_setting_is_an_option_of_fit(vlprompt):
    from dataclasses import fields

    from vlprompt.recipes import TrainingSettings

    text = vlprompt("fit", "--help").out
    for entry in fields(TrainingSettings):
        assert "--" + entry.name.replace("_", "-") in text


def test_fit_saves_a_model_and_says_how_good_it_is_on_the_pictures_left_over(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK)
    assert outcome.code == 0
    assert "of 3 pictures that it was not trained on" in outcome.err
    assert sorted(os.listdir("model")) == ["README.md", "model.json", "prediction.safetensors", "prompts.safetensors"]
    assert sorted(entry for entry in os.listdir() if entry.startswith(".")) == []


def test_fit_takes_its_options_from_a_yaml_file(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    (tmp_path / "fit.yaml").write_text("method: coop\nshots: 2\nepochs: 3\nviews: 1\n")
    assert vlprompt("fit", "pictures", "--out", "model", "--config", "fit.yaml", "--momentum", "0.5").code == 0
    settings = json.loads((tmp_path / "model/model.json").read_text())["training"]["settings"]
    assert (settings["epochs"], settings["momentum"]) == (3, 0.5)


def test_predict_says_when_probabilities_are_approximate(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    quick = ("--method", "cocoop", "--shots", "2", "--epochs", "2", "--views", "1")
    assert vlprompt("fit", "pictures", "--out", "model", *quick).code == 0
    exact = vlprompt("predict", "model", "pictures", "--top", "3")
    assert (exact.code, exact.err) == (0, "")
    screened = vlprompt("predict", "model", "pictures", "--top", "3", "--screening", "2")
    assert screened.code == 0
    assert "best 2 of 3 classes are encoded exactly" in screened.err
    assert screened.out.count("\n") == exact.out.count("\n")


def test_a_memory_that_is_too_small_is_said(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    quick = ("--method", "cocoop", "--shots", "2", "--epochs", "2", "--views", "1")
    outcome = vlprompt("fit", "pictures", "--out", "model", *quick, "--memory", "1000")
    assert outcome.code == 0
    assert "more than the 0.0 MB of the option memory" in outcome.err


def test_null_takes_every_picture_and_fresh_views(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    quick = ("--method", "coop", "--epochs", "2", "--shots", "null", "--views", "null")
    assert vlprompt("fit", "pictures", "--out", "model", *quick).code == 0
    training = json.loads((tmp_path / "model/model.json").read_text())["training"]
    assert training["images"] == 9
    assert training["settings"]["views"] is None


def test_a_setting_that_the_method_has_no_use_for_is_told_once(vlprompt, pictures):
    outcome = vlprompt("fit", "pictures", "--out", "model", "--method", "zero-shot", "--shots", "2", "--epochs", "3")
    assert outcome.code == 0
    assert outcome.err.count("epochs is ignored: the method zero-shot learns nothing") == 1


def test_one_epoch_trains_without_the_warm_up_and_says_so_once(vlprompt, pictures, tmp_path):
    quick = ("--method", "cocoop", "--shots", "2", "--epochs", "1", "--views", "1")
    outcome = vlprompt("fit", "pictures", "--out", "model", *quick)
    assert outcome.code == 0
    assert outcome.err.count("the recipe's warm-up of 1 is shortened to 0") == 1
    assert json.loads((tmp_path / "model/model.json").read_text())["training"]["settings"]["warmup_epochs"] == 0


def test_class_words_change_the_prompts_and_never_the_label_that_comes_out(vlprompt, tmp_path):
    write_pictures(tmp_path / "pictures")
    (tmp_path / "words.yaml").write_text("blue: the deep sea\n")
    outcome = vlprompt("fit", "pictures", "--out", "model", "--method", "zero-shot", "--class-words", "words.yaml")
    assert outcome.code == 0
    description = json.loads((tmp_path / "model/model.json").read_text())
    assert description["class_names"] == ["blue", "green", "red"]
    assert description["class_words"] == {"blue": "the deep sea"}
    assert "blue (in prompts: the deep sea), green, red" in (tmp_path / "model/README.md").read_text()
    named = {line.split("\t")[1] for line in vlprompt("predict", "model", "pictures", "--top", "3").out.splitlines()}
    assert named == {"blue", "green", "red"}
    measured = json.loads(vlprompt("evaluate", "model", "pictures", "--split", "all", "--json").out)
    assert sorted(measured["per_class"]) == ["blue", "green", "red"]


def test_predict_prints_one_line_a_picture(vlprompt, model):
    outcome = vlprompt("predict", "model", "pictures/red/0.png", "pictures/blue")
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert [line[0] for line in lines] == [f"pictures/{name}.png" for name in ("red/0", "blue/0", "blue/1", "blue/2")]
    assert {line[1] for line in lines} <= {"blue", "green", "red"}


def test_predict_prints_json_with_the_best_classes(vlprompt, model):
    outcome = vlprompt("predict", "model", "pictures/*/0.png", "--top", "2", "--json")
    results = json.loads(outcome.out)
    assert len(results) == 3
    shares = [guess["probability"] for guess in results[0]["predictions"]]
    assert len(shares) == 2
    assert shares[0] >= shares[1]


def test_predict_takes_other_class_names_and_a_file_of_them(vlprompt, model, tmp_path):
    (tmp_path / "names.txt").write_text("okapi\nquokka\n")
    by_name = vlprompt("predict", "model", "pictures/red/0.png", "--class-names", "okapi, quokka")
    by_file = vlprompt("predict", "model", "pictures/red/0.png", "--class-names", "names.txt")
    assert by_name.out.split("\t")[1] in ("okapi", "quokka")
    assert by_name.out == by_file.out


def test_predict_can_skip_what_cannot_be_read(vlprompt, model, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    outcome = vlprompt("predict", "model", "bad.png", "pictures/red/0.png", "--on-unreadable", "skip")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 1
    assert outcome.out.startswith("pictures/red/0.png")
    assert "bad.png" in outcome.err


def test_evaluate_prints_the_accuracy_of_each_class_and_of_all(vlprompt, model):
    outcome = vlprompt("evaluate", "model", "pictures", "--split", "all", "--json")
    values = json.loads(outcome.out)
    assert (values["total"], values["split"]) == (9, "all")
    assert set(values["per_class"]) == {"blue", "green", "red"}
    text = vlprompt("evaluate", "model", "pictures", "--split", "all").out
    assert f"accuracy\t{values['accuracy']:.2f}" in text


def test_evaluate_leaves_out_the_pictures_that_the_model_was_trained_on_as_fit_does(vlprompt, model, tmp_path):
    (tmp_path / "pictures").rename(tmp_path / "moved")
    outcome = vlprompt("evaluate", "model", "moved", "--json")
    values = json.loads(outcome.out)
    assert (values["total"], values["split"]) == (3, "not trained on")
    assert outcome.err.startswith("6 of 9 pictures are left out, because the model was trained on them.\n")
    (saved,) = json.loads((model / "model.json").read_text())["evaluation"].values()
    assert saved["accuracy"] == values["accuracy"]


def test_evaluate_on_a_test_split_leaves_nothing_out(vlprompt, model, tmp_path):
    for split in ("train", "test"):
        write_pictures(tmp_path / "data" / split)
    outcome = vlprompt("evaluate", "model", "data", "--json")
    assert (json.loads(outcome.out)["total"], json.loads(outcome.out)["split"]) == (9, "test")
    assert "left out" not in outcome.err


def test_evaluate_says_when_it_cannot_know_what_the_model_was_trained_on(vlprompt, model):
    path = model / "model.json"
    values = json.loads(path.read_text())
    del values["training"]["image_keys"]
    path.write_text(json.dumps(values))
    outcome = vlprompt("evaluate", "model", "pictures", "--json")
    assert json.loads(outcome.out)["split"] == "all"
    assert "does not tell" in outcome.err


def test_the_card_does_not_list_the_keys_of_the_pictures(model):
    assert "image keys" not in (model / "README.md").read_text()


def test_what_the_code_of_backbones_warns_of_is_shown_and_what_libraries_warn_of_is_not(vlprompt, monkeypatch):
    from vlprompt.backbones import openclip
    from vlprompt.cli import listings

    def warn() -> list[tuple[str, str]]:
        warnings.warn_explicit("this takes GELU", UserWarning, openclip.__file__, 1)
        warnings.warn_explicit("deep inside", UserWarning, warnings.__file__, 1)
        return []

    monkeypatch.setitem(listings.LISTS, "methods", warn)
    assert vlprompt("list", "methods").err == "vlprompt: warning: this takes GELU\n"


@pytest.mark.parametrize("what", ["methods", "recipes", "backbones"])
def test_list_prints_names_and_json(vlprompt, what):
    names = [line.split("\t")[0] for line in vlprompt("list", what).out.splitlines()]
    assert names
    assert [entry["name"] for entry in json.loads(vlprompt("list", what, "--json").out)] == names


def test_list_backbones_says_what_each_needs_its_size_and_whether_it_is_here(vlprompt):
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in vlprompt("list", "backbones").out.splitlines()}
    assert rows["mini"] == ["-", "64", "8 M", "yes"]
    assert rows["ViT-B-16/openai"][:3] == ["-", "224", "150 M"]
    assert rows["ViT-B-16-SigLIP/webli"][:3] == ["vlprompt[hf]", "224", "203 M"]
    assert rows["nllb-clip-base/v1"][:3] == ["vlprompt[hf]", "224", "-"]


def test_base_to_new_prints_a_table_and_writes_a_report_and_a_second_run_is_there_at_once(vlprompt, tmp_path):
    folder = tmp_path / "data"
    for split in ("train", "test"):
        write_pictures(folder / split, ("blue", "green", "red", "yellow"))
    command = ("benchmark", "base-to-new", "data", "--methods", "zero-shot,coop", "--seeds", "1", "--shots", "2")
    quick = ("--epochs", "2", "--views", "1", "--workers", "1", "--out", "runs")
    first = vlprompt(*command, *quick)
    assert first.code == 0
    assert "coop" in first.out
    assert (tmp_path / "runs/report.html").is_file()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/records").rglob("*.json")}
    second = vlprompt(*command, *quick)
    assert second.out == first.out
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "| coop base" in vlprompt("report", "runs", "--format", "markdown").out.replace("  ", " ")
    assert vlprompt("report", "runs", "--format", "csv").out.startswith("dataset,method")


def test_cache_info_tells_what_is_kept_and_clear_empties_it(vlprompt, model):
    assert "mini" in vlprompt("cache", "info").out
    assert vlprompt("cache", "clear").code == 0
    assert vlprompt("cache", "info").out == ""


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    command = f"{shlex.quote(sys.executable)} -m vlprompt list recipes | head -1"
    outcome = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert outcome.returncode == 0
    assert outcome.stderr == ""


def test_debug_shows_the_traceback_of_an_error(vlprompt):
    assert "Traceback" not in vlprompt("evaluate", "nowhere", "nothing/").err
    assert "Traceback" in vlprompt("evaluate", "nowhere", "nothing/", "--debug").err
