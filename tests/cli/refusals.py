"""What a refused command must look like."""

from __future__ import annotations

from pathlib import Path

from tests.cli.pictures import QUICK

FIT = ("fit", "pictures", "--out", "model", *QUICK)


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
