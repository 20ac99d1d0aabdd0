"""What the parser says of the arguments, as one sentence in the words that the user typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from jsonargparse import Namespace

from vlprompt.errors import SettingsError, UnknownNameError, quoted

_POSITIONALS = {"checkpoint", "data", "model", "images", "results", "what", "dataset", "folder", "action", "names"}
_PATHS = (*sorted(_POSITIONALS), "out", "image_root", "class_words")


def explained(message: str, command: str, flags: Callable[[], Iterable[str]]) -> SettingsError:
    """The parser's message as one sentence about what the user typed.

    Args:
        command: that was typed, such as "benchmark few-shot"; empty where none was.
        flags: gives the options of this command.
    """
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        return _explained_surplus(match[1], command, flags)
    if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
        return UnknownNameError("command", match[1], re.findall(r"'([^']+)'", match[2]) or match[2].split(", "))
    if match := re.match(r'(?:argument ([^:]+)|Parser key "([^"]+)"):\s*(.*)', message, re.DOTALL):
        return SettingsError(_explained_value(_as_typed(match[1] or match[2]), " ".join(match[3].split())))
    if match := re.search(r"arguments are required: (.*)", message):
        missing = ", ".join(_as_typed(name) for name in match[1].split(", "))
        return SettingsError(f"{missing} is missing; see vlprompt {command} --help.")
    if match := re.search(r"to be one of \{(.*)\}, but it was not provided", message):
        return SettingsError(f"a command is missing after {command or 'vlprompt'}: {match[1].replace(',', ', ')}.")
    if match := re.search(r"does not accept option '([^']+)'", message):
        return UnknownNameError("option", _as_typed(match[1]), list(flags()))
    return SettingsError(" ".join(message.split()))


def refuse_empty(options: Namespace) -> None:
    """As a path an empty text is the current folder, which whoever has an unset variable in a script does not mean."""
    for name in _PATHS:
        value = options.get(name)
        if value == "" or (isinstance(value, list) and "" in value):
            raise SettingsError(f"{_as_typed(name)} is empty; the current folder is written as a full stop (.).")


def _explained_value(option: str, problem: str) -> str:
    if problem.startswith("is "):
        return f"{option} {problem}"
    if problem == "expected one argument":
        return f"{option} needs one value; one that begins with - is written {option}=VALUE."
    return f"{option}: {problem}"


def _as_typed(key: str) -> str:
    """An option's name as the user writes it."""
    name = key.lstrip("-").rsplit(".", 1)[-1]
    return name.upper() if name.lower() in _POSITIONALS else "--" + name.replace("_", "-")


def _explained_surplus(argument: str, command: str, flags: Callable[[], Iterable[str]]) -> SettingsError:
    if argument.startswith("-"):
        return UnknownNameError("option", argument.split("=")[0], list(flags()))
    return SettingsError(f"{quoted(argument)} is one argument too many; see vlprompt {command} --help.")
