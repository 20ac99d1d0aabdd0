"""Groups of options that several commands share."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from jsonargparse import SUPPRESS, ArgumentParser

from vlprompt.cli.data_arguments import add_root_option
from vlprompt.cli.kinds import kind_of
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.errors import SettingsError
from vlprompt.methods import installed_method
from vlprompt.methods.declarations import Declaration, Option, all_options, declaration, declarations, options_of
from vlprompt.plugins import is_in_a_file
from vlprompt.recipes import TrainingSettings

TRAINING = [option for option in options_of(TrainingSettings) if option.name != "seed"]


def add_model(parser: ArgumentParser) -> None:
    """A saved model, and where its backbone and its method are."""
    parser.add_argument("model", metavar="MODEL", type=str, help="a folder that vlprompt fit wrote")
    parser.add_argument(
        "--backbone", type=str | None, default=None, help="where the same weights are now, if they moved"
    )
    parser.add_argument(
        "--method", type=str | None, default=None, help="file.py:ClassName, for a model of a method of your own"
    )


def add_backbone(parser: ArgumentParser) -> None:
    """The backbone and the device."""
    parser.add_argument(
        "--backbone", type=str, default="mini", help="vlprompt list backbones, or a local folder or file"
    )
    add_device(parser)


def add_device(parser: ArgumentParser) -> None:
    """The device."""
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, mps")


def add_loading(parser: ArgumentParser) -> None:
    """How data are read that are not bundled."""
    add_root_option(parser)
    parser.add_argument(
        "--class-words", type=str | None, default=None, metavar="FILE", help="YAML, JSON or CSV: folder or label, words"
    )
    parser.add_argument(
        "--image-root", type=str | None, default=None, metavar="FOLDER", help="what a manifest's paths start from"
    )
    for what in ("path", "label"):
        parser.add_argument(
            f"--{what}-column",
            type=str | None,
            default=None,
            metavar="NAME",
            help=f"what a manifest calls its column of {what}s, where it is not {what} or another usual name",
        )


def add_data_options(parser: ArgumentParser) -> None:
    """All about data and their pictures."""
    add_loading(parser)
    parser.add_argument(
        "--template", type=str | None, default=None, help='zero-shot prompt, such as "a photo of a {}."'
    )
    add_reading(parser)


def add_reading(parser: ArgumentParser) -> None:
    """What becomes of pictures that cannot be read."""
    parser.add_argument(
        "--on-unreadable", type=choice("fail", "skip"), default="fail", help="pictures that cannot be read"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="pictures that take more memory to decode than 8 bytes for each of N pixels cannot be read",
    )


def flag(option: Option) -> str:
    """An option as it is typed."""
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
        group.add_argument(flag(option), type=kind, default=SUPPRESS, help=text or None, **without_value)


def choice(*names: str) -> Any:
    """The type of an option with these values."""
    return typing.Literal[names]


def own_method(arguments: Sequence[str]) -> str | None:
    """The method that `fit` is asked for on the command line, where it is in a file or of an installed package."""
    if list(arguments[:1]) != ["fit"]:
        return None
    given = [after for word, after in pairwise(arguments) if word == "--method"]
    given += [word.removeprefix("--method=") for word in arguments if word.startswith("--method=")]
    return given[-1] if given and (is_in_a_file(given[-1]) or installed_method(given[-1])) else None


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
        if flag(option) in taken:
            raise SettingsError(
                f"the method {method} has an option {option.name}, but {flag(option)} is one of vlprompt fit itself; "
                "give it another name."
            )
