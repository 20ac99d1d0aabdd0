"""Names, labels and text files as people have them, through the commands."""

from __future__ import annotations

import json
import shutil
import unicodedata

import pytest

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_refused
from vlprompt.cli.class_names import names_from
from vlprompt.errors import DataError

ZERO_SHOT = ("--method", "zero-shot", "--shots", "2")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("#love, #food", ["#love", "#food"]),
        ("null,~,true", ["null", "~", "true"]),
        ('"bird, small",dog', ["bird, small", "dog"]),
        ('5" pipe,hose', ['5" pipe', "hose"]),
        ("cafe\u0301,a\tb", ["caf\u00e9", "a b"]),
        ("okapi,", ["okapi", ""]),
    ],
)
def test_names_with_commas_are_what_was_typed(value, names) -> None:
    assert names_from(value) == names


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("okapi", r"gives only 'okapi'; at least two class names are needed"),
        ("", r"gives only ''"),
        ("~", r"gives only '~'"),
        ('"okapi', r"--class-names '\"okapi' cannot be read as names with commas: unexpected end of data"),
        ("gone.json", r"there is no class names file gone.json"),
        ("gone.csv", r"there is no class names file gone.csv"),
        (".", r"the class names file . cannot be read: it is a folder"),
        ("[ball, box]", r"'\[ball, box\]' stands in brackets; write the names with commas only"),
        ('["ball","box"]', r"stands in brackets"),
        ("{0: ball, 1: box}", r"stands in brackets"),
        ("ball\nbox", r"'ball\\nbox' has several lines; write commas between the names"),
        ("x" * 5000, r"gives only 'xxx.*\.\.\..*xxx'"),
    ],
)
def test_a_value_that_gives_no_names_is_a_sentence_about_it(tmp_path, monkeypatch, value, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=sentence):
        names_from(value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("n.csv", '"sea, deep"\nlime\n'),
        ("n.json", '["sea, deep", "lime"]'),
        ("n.yaml", "- sea, deep\n- lime\n"),
        ("n.txt", "sea, deep\nlime\n"),
    ],
)
def test_predict_takes_names_from_files_of_every_kind(vlprompt, model, tmp_path, file, content):
    (tmp_path / file).write_text(content)
    outcome = vlprompt("predict", "model", "pictures/red/0.png", "--class-names", file, "--top", "9")
    assert outcome.code == 0, outcome
    assert {line.split("\t")[1] for line in outcome.out.splitlines()} == {"sea, deep", "lime"}


def test_predict_reads_the_names_before_the_model(vlprompt, pictures):
    assert_refused(
        vlprompt("predict", "nowhere", "pictures", "--class-names", "gone.csv"), "no class names file gone.csv"
    )


def test_predict_takes_no_numbers_as_names(vlprompt, model):
    outcome = vlprompt("predict", "model", "pictures/red/0.png", "--class-names", "0,1")
    assert_refused(outcome, "class names '0', '1' are numbers", "give words")


def test_a_template_may_begin_with_a_number_sign(vlprompt, pictures):
    assert vlprompt("fit", "pictures", "--out", "model", *ZERO_SHOT, "--template", "#{} picture").code == 0
    assert json.loads((pictures.parent / "model/model.json").read_text())["template"] == "#{} picture"


def test_words_of_a_context_in_yaml_may_begin_with_a_number_sign(vlprompt, pictures, tmp_path):
    (tmp_path / "fit.yaml").write_text('context_init: "#1 photo"\n')
    assert vlprompt("fit", "pictures", "--out", "model", *QUICK, "--config", "fit.yaml").code == 0
    assert json.loads((tmp_path / "model/model.json").read_text())["options"]["context_init"] == "#1 photo"


@pytest.mark.parametrize(
    "option", [("--template", "\udcff{}"), ("--templates", "\udcff{}"), ("--context-init", "\udcff")]
)
def test_words_that_are_no_unicode_are_refused(vlprompt, pictures, option):
    method = "coop" if option[0] == "--context-init" else "zero-shot"
    outcome = vlprompt("fit", "pictures", "--out", "model", "--method", method, "--shots", "2", *option)
    assert_refused(outcome, "\\udcff", "not valid Unicode")


@pytest.mark.parametrize("fitted_on", ["NFC", "NFD"])
def test_a_folder_written_by_a_mac_is_the_folder_written_by_others(vlprompt, tmp_path, fitted_on):
    for form in ("NFC", "NFD"):
        write_pictures(tmp_path / form, ("bar", unicodedata.normalize(form, "caf\u00e9")))
    assert vlprompt("fit", fitted_on, "--out", "model", *ZERO_SHOT).code == 0
    for form in ("NFC", "NFD"):
        outcome = vlprompt("evaluate", "model", form, "--split", "all", "--json")
        assert outcome.code == 0, outcome
        assert set(json.loads(outcome.out)["per_class"]) == {"bar", "caf\u00e9"}
        words = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "caf\u00e9: coffee house\n")
        (tmp_path / "words.yaml").write_text(words, encoding="utf-8")
        assert vlprompt("fit", form, "--out", "other", *ZERO_SHOT, "--class-words", "words.yaml").code == 0
        shutil.rmtree(tmp_path / "other")


def test_a_model_fitted_in_python_on_a_mac_s_names_takes_its_folder(vlprompt, tmp_path, tiny_backbone):
    from vlprompt import PromptClassifier

    name = "cafe\u0301"
    folder = write_pictures(tmp_path / "data", ("bar", name))
    paths = sorted(folder.glob("*/*.png"))
    classifier = PromptClassifier(method="zero-shot", shots=2, backbone=tiny_backbone)
    classifier.fit(paths, [path.parent.name for path in paths]).save(tmp_path / "model")
    assert set(classifier.predict(paths)) <= {"bar", name}
    assert classifier.score(paths, [unicodedata.normalize("NFC", path.parent.name) for path in paths]) >= 0
    assert vlprompt("evaluate", "model", "data", "--split", "all", "--backbone", "mini").code == 0


def write_table(folder, text="kind;where\n", suffix="csv"):
    rows = "".join(f"{path.parent.name};{path.relative_to(folder)}\n" for path in sorted(folder.glob("pictures/*/*")))
    (folder / f"m.{suffix}").write_text(text + rows)


def test_columns_of_other_names_are_chosen_in_fit_evaluate_and_benchmark(vlprompt, pictures, tmp_path):
    write_table(tmp_path)
    columns = ("--path-column", "where", "--label-column", "kind")
    assert_refused(
        vlprompt("fit", "m.csv", "--out", "model", *ZERO_SHOT), "m.csv has no column 'path'", "--path-column"
    )
    assert vlprompt("fit", "m.csv", "--out", "model", *ZERO_SHOT, *columns).code == 0
    assert vlprompt("evaluate", "model", "m.csv", "--split", "all", *columns).code == 0
    (tmp_path / "bench.yaml").write_text("path_column: where\nlabel_column: kind\nseeds: 1\nworkers: 1\n")
    command = ("benchmark", "base-to-new", "m.csv", "--methods", "zero-shot", "--out", "runs", "--shots", "1")
    assert vlprompt(*command, "--config", "bench.yaml").code == 0
    assert_refused(vlprompt("benchmark", "base-to-new", "emoji-food", *columns), "path_column is where")


def test_a_repeated_row_is_a_warning_and_counts_once(vlprompt, pictures, tmp_path):
    write_table(tmp_path, "label;path\n")
    text = (tmp_path / "m.csv").read_text()
    (tmp_path / "m.csv").write_text(text + text.splitlines()[1] + "\n")
    outcome = vlprompt("fit", "m.csv", "--out", "model", *ZERO_SHOT)
    assert outcome.code == 0
    assert "vlprompt: warning: 1 row of m.csv repeat" in outcome.err
    assert outcome.err.count("row of m.csv repeat") == 1
