"""Values of options: text arrives as it was typed, other kinds are what they must be or one sentence."""

from __future__ import annotations

import os
from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlprompt.cli.arguments import build_parser, parse
from vlprompt.cli.kinds import Kind
from vlprompt.errors import SettingsError


def commands(parser: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command's words and its parser."""
    nested = getattr(parser._subcommands_action, "_name_parser_map", None) if parser._subcommands_action else None
    if nested is None:
        return {path: parser}
    return {words: one for name, below in nested.items() for words, one in commands(below, (*path, name)).items()}


PARSER = build_parser()
COMMANDS = commands(PARSER)
OPTIONS = [
    (path, action) for path, parser in COMMANDS.items() for action in parser._actions if isinstance(action.type, Kind)
]
TEXTS = [(path, action) for path, action in OPTIONS if str in action.type.types]
OTHERS = [(path, action) for path, action in OPTIONS if not {str, Sequence[str]} & {*action.type.types}]
TYPED = [
    "#love,#food", "~", "null", "Null", "true", "yes", "no", "1e3", "[a", "[a, b]", "{}", "{a: b}", "*x", "&y z",
    "!tag", "1_000", "0x10", "007", "2024-01-01", "12:30", "a: b", "- a", "'a", '"a"', "%x", "@x", "`x`", "a #b", "? a",
    "|", ">", "", " ", " a ", "a\nb", "\ufeffa", "é", "e\u0301", "=", "a=b", "<<", "---", "...", "[" * 3000, "NaN",
]  # fmt: skip


def name_of(case: object) -> str:
    return "-".join(case) if isinstance(case, tuple) else getattr(case, "dest", str(case))


def arguments_for(path: tuple[str, ...], action: Any, value: str) -> list[str]:
    """A command line that sets this argument, and what else the command needs."""
    parser = COMMANDS[path]
    needed = [f"{one.option_strings[-1]}=x" for one in parser._actions if one.option_strings and one.dest == "out"]
    positionals = [one for one in parser._actions if not one.option_strings]
    usual = {"what": "methods", "action": "info"}
    values = [value if one is action else usual.get(one.dest, "x") for one in positionals]
    if action.option_strings:
        needed = [one for one in needed if not one.startswith(action.option_strings[-1] + "=")]
        needed.append(f"{action.option_strings[-1]}={value}")
    return [*path, *needed, *(["--", *values] if values else [])]


def given_value(path: tuple[str, ...], action: Any, value: str) -> Any:
    result: Any = PARSER.parse_args(arguments_for(path, action, value))
    for word in (*path, action.dest):
        result = result[word]
    return result[0] if action.nargs in ("+", "*") else result


@pytest.mark.parametrize(("path", "action"), TEXTS, ids=name_of)
def test_a_text_option_gives_exactly_what_was_typed(path, action) -> None:
    for value in TYPED:
        expected = None if value == "null" and action.dest == "context_init" else value
        assert given_value(path, action, value) == expected


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.text(st.characters(codec="utf-8"), max_size=12))
@example(TEXTS[0], "*a &a !!python/object:os.system")
def test_any_text_arrives_unchanged_at_any_text_option(option, value) -> None:
    path, action = option
    assert given_value(path, action, value) == (None if value == "null" and action.type.null_typed else value)


def test_null_means_nothing_only_where_the_option_says_so() -> None:
    said = {action.dest for _, action in OPTIONS if action.type.null_typed}
    of_training = {"shots", "classes", "views", "iterations"}
    assert said == of_training | {"context_init", "templates", "alpha", "beta", "strength", "averaging_mean"}
    assert all("null" in repr(action.type) for _, action in OPTIONS if action.type.null_typed)


@pytest.mark.parametrize(("path", "action"), OTHERS, ids=name_of)
def test_what_is_no_value_of_another_kind_is_refused_with_what_it_must_be(path, action) -> None:
    for value in ("[" * 3000, "*a", "&a [*a]", "9" * 5000, "{a: b}", "!x", "'", "nan", "", "#"):
        with pytest.raises(ArgumentError, match=r" is .*; it must be ") as caught:
            given_value(path, action, value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ('["art of a {}.", "#{} a"]', ["art of a {}.", "#{} a"]),
        ("a {} in a row.", ["a {} in a row."]),
        ("#{} picture", ["#{} picture"]),
        ("null", None),
    ],
)
def test_templates_are_a_list_or_one_text(typed, value) -> None:
    parsed = parse(["fit", "data", "--out", "m", "--templates", typed])
    assert parsed is not None
    assert parsed[1].templates == value


def test_a_value_that_begins_with_a_dash_is_told_how_to_be_written() -> None:
    with pytest.raises(SettingsError, match=r"--template needs one value; .* --template=VALUE"):
        parse(["fit", "data", "--out", "m", "--template", "-x"])


YAML_VALUES = [
    ("template: '#{} picture'\n", "template", "#{} picture"),
    ("context_init: 'null'\n", "context_init", "null"),
    ("context_init: null\n", "context_init", None),
    ("class_words: ~\n", "class_words", None),
    ("shots: null\n", "shots", None),
    ("learning_rate: 1e-3\n", "learning_rate", 0.001),
    ("learning_rate: 1\n", "learning_rate", 1.0),
    ("nesterov: yes\n", "nesterov", True),
    ("memory: auto\n", "memory", "auto"),
    ("templates: ['{} a', '#{}']\n", "templates", ["{} a", "#{}"]),
    ("method: coop # a remark\n", "method", "coop"),
    ("views: 0x10\n", "views", 16),
]


@pytest.mark.parametrize(("text", "option", "value"), YAML_VALUES)
def test_in_a_yaml_file_the_rules_of_yaml_hold(tmp_path, text, option, value) -> None:
    (tmp_path / "fit.yaml").write_text(text)
    parsed = parse(["fit", "data", "--out", "m", "--config", str(tmp_path / "fit.yaml")])
    assert parsed is not None
    assert parsed[1][option] == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_yaml_file_may_have_a_byte_order_mark_and_any_signs(tmp_path, encoding) -> None:
    text = 'template: "{} \\u0085 \\U0001F600 \\x07 日本"\n'
    (tmp_path / "fit.yaml").write_bytes(text.encode(encoding))
    parsed = parse(["fit", "data", "--out", "m", f"--config={tmp_path / 'fit.yaml'}"])
    assert parsed is not None
    assert parsed[1].template == "{} \x85 😀 \x07 日本"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_config_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "fit.yaml")
    with pytest.raises(SettingsError, match=r"fit.yaml cannot be read: it is a pipe, not a regular file"):
        parse(["fit", "data", "--out", "m", "--config", str(tmp_path / "fit.yaml")])


def test_what_stands_after_a_config_goes_before_it(tmp_path) -> None:
    (tmp_path / "fit.yaml").write_text("epochs: 3\nshots: 2\n")
    parsed = parse(["fit", "data", "--out", "m", "--config", str(tmp_path / "fit.yaml"), "--epochs", "7"])
    assert parsed is not None
    assert (parsed[1].epochs, parsed[1].shots) == (7, 2)


def test_numbers_stand_for_a_list_of_numbers_in_yaml(tmp_path) -> None:
    (tmp_path / "bench.yaml").write_text("seeds: 2\nworkers: 1\n")
    parsed = parse(["benchmark", "base-to-new", "--config", str(tmp_path / "bench.yaml")])
    assert parsed is not None
    assert (parsed[1].seeds, parsed[1].workers) == ("2", "1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("out: 7\n", r"--out is 7 by the rules of YAML; it must be text in quotes"),
        ("method: yes\n", r"fit.yaml: --method is True by the rules of YAML; it must be text in quotes"),
        ("method: null\n", r"--method is None by the rules of YAML"),
        ("template: [a]\n", r"--template is \['a'\] by the rules of YAML"),
        ("epochs: 2.5\n", r"--epochs is 2.5 by the rules of YAML; it must be a whole number"),
        ("epochs: true\n", r"--epochs is True"),
        ("no_progress: 1\n", r"--no-progress is 1 by the rules of YAML; it must be true or false"),
        ("learning_rate: .nan\n", r"--learning-rate is nan"),
        ("learning_rate: .inf\n", r"--learning-rate is inf"),
        ("learning_rate: true\n", r"--learning-rate is True"),
        ("learning_rate: 1" + "0" * 400, r"--learning-rate is a number of 40[01] digits by the rules"),
        ("templates: [1]\n", r"--templates is \[1\]"),
        ("templates: {a: b}\n", r"--templates is {'a': 'b'}"),
        ("epochs: 2\nepochs: 3\n", r"fit.yaml \(line 2\) has 'epochs' a second time"),
        ("config: other.yaml\n", r"fit.yaml names another config file; write its options into this one"),
        ("data: pictures\n", r"there is no option \(which .*fit.yaml sets\) named '--data'"),
        ("on-unreadable: skip\n", r"has the key on-unreadable; in YAML it is written on_unreadable"),
        ("1: 2\n", r"has the key 1, which must be text"),
        ("a: &a [*a]\n", r"\(line 1\) has an alias or anchor"),
        ("a: " + "[" * 3000, r"nests lists or mappings more than 16 deep"),
        ("method: !!python/name:os.system\n", r"\(line 1\) has a tag"),
        ("shots: 1\n---\nshots: 2\n", r"\(line 2\) begins a second document"),
        ("shots: " + "9" * 5000, r"cannot be read as a value"),
        ("template: '{} " + "x" * 3000 + "'", r"fit.yaml: --template has a text of more than 2,000 characters"),
        ("templates: ['{} " + "x" * 3000 + "']", r"fit.yaml: --templates has a text of more than 2,000 characters"),
        ("#" * 3_000_000, r"fit.yaml cannot be read: it has more than 2.0 MB"),
    ],
)
def test_a_yaml_value_of_another_kind_or_beyond_a_bound_is_one_short_sentence(tmp_path, text, named) -> None:
    (tmp_path / "fit.yaml").write_text(text)
    with pytest.raises(SettingsError, match=named) as caught:
        parse(["fit", "data", "--out", "m", "--config", str(tmp_path / "fit.yaml")])
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("fit", "data", "--out", "m"), "method: theirs.py:Method"),
        (("benchmark", "base-to-new"), "methods: zero-shot, ./theirs.py:Method"),
    ],
)
def test_a_config_file_alone_never_has_code_run(tmp_path, command, line) -> None:
    (tmp_path / "theirs.yaml").write_text(f"{line}\n")
    with pytest.raises(SettingsError, match=r"names a method in a file, '.*theirs.py:Method', which .* never has run"):
        parse([*command, "--config", str(tmp_path / "theirs.yaml")])
