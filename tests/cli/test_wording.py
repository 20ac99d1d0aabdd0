"""Messages speak of arguments in Python and of options on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vlprompt
from vlprompt.cli.wording import _option_names, as_typed
from vlprompt.errors import UnreadableImagesError

PACKAGE = Path(vlprompt.__file__).parent


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ('skip with on_unreadable="skip"):', "skip with --on-unreadable skip):"),
        ("train with class_specific=False for that.", "train with --class-specific false for that."),
        ("take all with shots=None.", "take all with --shots null."),
        ("backbone='ViT-B-16/openai', or another", "--backbone ViT-B-16/openai, or another"),
        ('choose one (backbone="NAME"), or', "choose one (--backbone NAME), or"),
    ],
)
def test_an_argument_that_is_an_option_is_told_as_it_is_typed(said, typed):
    assert as_typed(said) == typed


@pytest.mark.parametrize(
    "said",
    [
        "there is no folder runs/seed=3/model.",
        "there is no folder seed=3/model.",
        "seed=3.png cannot be read",
        "a=b is no option",
        "epochs is 0; it must be a whole number of at least 1.",
    ],
)
def test_what_is_no_argument_stays_as_it_is(said):
    assert as_typed(said) == said


@given(st.text())
def test_text_without_an_assignment_stays_as_it_is(text):
    if "=" not in text:
        assert as_typed(text) == text


def test_no_error_of_the_library_speaks_of_options():
    """Only the command line's own files do, and what shows a whole command to type, in backquotes or a report."""
    flags = {f"--{name.replace('_', '-')}" for name in _option_names()}
    assert {"--on-unreadable", "--class-names", "--backbone", "--out"} < flags
    spoken = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "cli") or path.name == "repeating.py":
            continue
        spoken += [
            f"{path.relative_to(PACKAGE)}:{line} {text}"
            for line, text in _texts(ast.parse(path.read_text(encoding="utf-8")))
            if flags & set(re.findall(r"(?<![\w-])--[a-z-]+", re.sub("`[^`]*`", "", text)))
        ]
    assert spoken == []


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string but docstrings; a formatted one as a whole, with {} for what is put in."""
    parts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
            yield node.lineno, "".join(str(getattr(value, "value", "{}")) for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def test_python_users_read_of_arguments_and_the_command_line_of_options(vlprompt, model, tmp_path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    assert 'skip with on_unreadable="skip"' in str(UnreadableImagesError({"bad.png": "it is empty."}))
    assert "skip with --on-unreadable skip" in vlprompt("predict", "model", "bad.png").err
    outcome = vlprompt("predict", "model", "pictures/blue/0.png", "--max-pixels", "10")
    assert outcome.code == 2
    assert "more with --max-pixels " in outcome.err
    assert vlprompt("predict", "model", "pictures/blue/0.png", "--max-pixels", "0").err == (
        "vlprompt: max_pixels is 0; it must be a whole number of at least 1.\n"
    )
