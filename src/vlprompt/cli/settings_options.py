"""Options of the command line that are fields of a settings class: of the training, and of the methods.

They are made from the classes, so that code, YAML (`--config`) and command line share names, defaults and words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from jsonargparse import SUPPRESS, ArgumentParser

from vlprompt.cli.kinds import kind_of
from vlprompt.errors import SettingsError
from vlprompt.methods.declarations import Declaration, Option, all_options, declaration, declarations, options_of
from vlprompt.recipes import TrainingSettings

TRAINING = [option for option in options_of(TrainingSettings) if option.name != "seed"]
"""The seed is an option of the command's own."""


def own_method(arguments: Sequence[str]) -> str | None:
    """The method of the user's own that `fit` is asked for on the command line, as file.py:ClassName."""
    if list(arguments[:1]) != ["fit"]:
        return None
    given = [after for word, after in pairwise(arguments) if word == "--method"]
    given += [word.removeprefix("--method=") for word in arguments if word.startswith("--method=")]
    return given[-1] if given and given[-1].rpartition(":")[0].endswith(".py") else None


def options_of_methods(parser: ArgumentParser, own: str | None) -> list[tuple[str, list[Option]]]:
    """The options of all methods, each once, in groups of the methods that have them; the user's own come first."""
    methods: dict[str, Declaration] = {}
    if own is not None:
        methods[own] = declaration(own)
        _refuse_taken(parser, own, methods[own])
    groups: dict[str, list[Option]] = {}
    for having, option in all_options(methods | declarations()).values():
        groups.setdefault(", ".join(having), []).append(option)
    return list(groups.items())


def _refuse_taken(parser: ArgumentParser, method: str, declared: Declaration) -> None:
    taken = {flag for action in parser._actions for flag in action.option_strings}
    for option in declared.options:
        if _flag(option) in taken:
            raise SettingsError(
                f"the method {method} has an option {option.name}, but {_flag(option)} is one of vlprompt fit itself; "
                "give it another name."
            )


def _flag(option: Option) -> str:
    return "--" + option.name.replace("_", "-")


def add_options(parser: ArgumentParser, title: str, options: Iterable[Option]) -> None:
    """Flags for options; one that is not given is left out, an explicit null is kept.

    What the command line has no type for can only be given in Python.
    """
    group = parser.add_argument_group(title)
    for option in options:
        if option.annotation is None:
            continue
        text = option.about.replace("`", "").replace("%", "%%")
        text = text.replace("None", "null")  # as the command line and YAML write it
        kind = kind_of(option.annotation, null_is_documented="null" in text)
        without_value: dict[str, Any] = {"nargs": "?", "const": True} if option.annotation is bool else {}
        group.add_argument(_flag(option), type=kind, default=SUPPRESS, help=text or None, **without_value)
