"""The library's messages in the words of the command line.

The library speaks to Python users: `on_unreadable="skip"`. What it says of an argument that is also an option here is
told as it is typed here: `--on-unreadable skip`. So a message is written once, and no code below knows who reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# A name, =, and a value: quoted text, or a word. Not within a path or another assignment, which are the user's own.
_ARGUMENT = re.compile(
    r"""(?<![\w/.\\=:-])([a-z][a-z_]*)=("[^"\s]*"|'[^'\s]*'|[A-Za-z0-9_+-]+)(?=[\s,;:)]|\.?$|\.\s)"""
)
_VALUES = {"None": "null", "True": "true", "False": "false"}


def as_typed(message: str) -> str:
    """The message with Python's arguments, where they are options of a command, as options."""
    options: set[str] | None = None

    def option(match: re.Match[str]) -> str:
        nonlocal options
        options = set(_option_names()) if options is None else options
        name, value = match[1], match[2]
        if name not in options:
            return match[0]
        return f"--{name.replace('_', '-')} {_VALUES.get(value, value.strip(chr(34) + chr(39)))}"

    return _ARGUMENT.sub(option, message)


def _option_names() -> Iterator[str]:
    """The options of all commands, as Python's arguments are called."""
    from vlprompt.cli.arguments import build_parser

    parsers: list[Any] = [build_parser()]
    while parsers:
        for action in parsers.pop()._actions:
            parsers += (getattr(action, "_name_parser_map", None) or {}).values()
            yield from (flag[2:].replace("-", "_") for flag in action.option_strings if flag.startswith("--"))
