"""What a refused command must look like."""

from __future__ import annotations

from pathlib import Path

from tests.cli.pictures import QUICK

FIT = ("fit", "pictures", "--out", "model", *QUICK)


def assert_refused(outcome, *named: str, lines: int = 1) -> None:
    """One sentence (and, for several files, a line for each), that names what is wrong; nothing on stdout.

    Warnings may have come before it, and lines that tell the stages of the work.
    """
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    said = [line for line in outcome.err.splitlines() if not line.startswith("vlprompt: warning: ")]
    said = [line for line in said if not line.endswith(" ...")]
    assert said[0].startswith("vlprompt: ")
    assert len(said) == lines, outcome.err
    assert "Traceback" not in outcome.err
    for text in named:
        assert text in outcome.err


def assert_left_nothing(folder: Path) -> None:
    left = {entry.name for entry in folder.iterdir()} - {"pictures", "cache", "home"}
    assert not left
