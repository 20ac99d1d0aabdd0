"""Advice that speaks of Python's arguments speaks of options on the command line."""

from __future__ import annotations

import pytest

from vlprompt.cli.spelling import OPTIONS, as_options
from vlprompt.errors import UnreadableImagesError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('or skip with on_unreadable="skip"):', "or skip with --on-unreadable skip):"),
        ("are used, more with max_pixels=110556250.", "are used, more with --max-pixels 110556250."),
        ("name it with backbone='path/to/model'.", "name it with --backbone path/to/model."),
        ('method="my file.py:Mine"', '--method "my file.py:Mine"'),
        ("a=1, my_max_pixels=3 and max_pixels are left alone", "a=1, my_max_pixels=3 and max_pixels are left alone"),
    ],
)
def test_arguments_become_options(message, expected) -> None:
    assert as_options(message) == expected


def test_every_argument_that_is_respelled_is_an_option() -> None:
    from vlprompt.cli.arguments import build_parser

    commands = build_parser()._subcommands_action._name_parser_map
    flags = {flag for command in ("fit", "predict", "evaluate") for flag in commands[command]._option_string_actions}
    assert {f"--{name.replace('_', '-')}" for name in OPTIONS} <= flags


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
