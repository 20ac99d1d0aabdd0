"""What the commands tell of `auto`: stages, table, reason, and who answers."""

from __future__ import annotations

import re

from rich.console import Console

from tests.cli.refusals import assert_refused
from vlprompt.cli import choices, output


def test_a_fit_tells_its_stages_its_table_and_why_on_stderr(vlprompt, pictures) -> None:
    outcome = vlprompt("fit", "pictures", "--out", "model")
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    encoding, choosing = (
        next(p for p, line in enumerate(lines) if line.startswith(w)) for w in ("Image f", "choosing")
    )
    assert lines[encoding].endswith("/9 ...")
    assert lines[choosing] == "choosing among zero-shot, blend, gda, linear-probe, tip-adapter, lp++: 0/6 ..."
    assert encoding < choosing < next(place for place, line in enumerate(lines) if "zero-shot " in line)
    heading = next(place for place, line in enumerate(lines) if line.startswith("method "))
    names = [re.split(" {2,}", line)[0] for line in lines[heading + 1 : heading + 9]]
    assert names == ["chance", "largest class", "zero-shot", "blend", "gda", "linear-probe", "tip-adapter", "lp++"]
    assert sum("  chosen" in line for line in lines) == 1
    assert any(line.startswith("Chosen: ") for line in lines)
    assert "as soon as one name is none of these, zero-shot answers for all." in outcome.err


def test_no_progress_means_no_stages(vlprompt, pictures) -> None:
    assert "..." not in vlprompt("fit", "pictures", "--out", "model", "--no-progress").err.replace("PICTURE...", "")


def test_predict_says_which_method_answers(vlprompt, pictures) -> None:
    assert vlprompt("fit", "pictures", "--out", "model").code == 0
    assert "answers" not in vlprompt("predict", "model", "pictures").err
    trained = vlprompt("predict", "model", "pictures", "--class-names", "red,blue")
    assert "All names are classes that the model was trained on: blend answers." in trained.err
    mixed = vlprompt("predict", "model", "pictures", "--class-names", "red,an owl")
    assert "zero-shot answers for all names." in mixed.err


def test_the_table_on_a_terminal_keeps_every_number_at_80_columns(monkeypatch) -> None:
    row = {"accuracy": 87.5, "low": 71.9, "high": 95.0, "seconds": 0.1, "chosen": True, "note": ""}
    note = "not tried: for names without pictures (new_names=True)"
    blank = dict.fromkeys(("accuracy", "low", "high", "seconds"))
    rows = [{"method": "gda", **row}, {"method": "tip-adapter-f", **blank, "chosen": False, "note": note}]
    shown = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setattr("rich.console.Console", lambda **_: shown)
    choices.note_choices({"pictures": {"rows": rows, "why": "so"}})
    text = shown.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "71.9 to 95.0" in text
    assert "--new-names true)" in " ".join(text.split())


def test_new_names_and_a_named_method_are_refused_as_they_were_typed(vlprompt, pictures) -> None:
    refused = vlprompt("fit", "pictures", "--out", "model", "--method", "gda", "--new-names")
    assert_refused(refused, "--new-names", "--method auto", "--method gda")
