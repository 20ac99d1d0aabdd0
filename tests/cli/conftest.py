"""The command line within a test, with a small random backbone under the name `mini`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.cli.pictures import QUICK, write_pictures
from tests.http_stand_in import server
from vlprompt.cli import main

__all__ = ["server"]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def vlprompt(tiny_backbone, tmp_path, monkeypatch, capsys):
    """Runs the real `main` in an empty folder, with `mini` and `tiny` standing for the small random backbone."""
    from vlprompt import backbones

    load = backbones.load_backbone
    # Under a name of the list, because a model folder's backbone is loaded by no other.
    as_mini = replace(tiny_backbone, name="mini")

    def load_tiny(name, **options):
        return as_mini if name in ("mini", "tiny") else load(name, **options)

    monkeypatch.setattr(backbones, "load_backbone", load_tiny)
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def model(vlprompt, tmp_path):
    """A model of three colours in the folder `model`, trained on `pictures`."""
    write_pictures(tmp_path / "pictures")
    assert vlprompt("fit", "pictures", "--out", "model", *QUICK).code == 0
    return tmp_path / "model"


@pytest.fixture
def pictures(tmp_path):
    return write_pictures(tmp_path / "pictures")


@pytest.fixture
def nothing_is_computed(monkeypatch):
    from vlprompt import PromptClassifier

    monkeypatch.setattr(PromptClassifier, "fit", lambda *_: pytest.fail("it computed before it checked"))
