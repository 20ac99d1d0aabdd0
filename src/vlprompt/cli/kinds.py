"""What options take: text as it was typed, whole numbers, numbers, true or false, one of some words, lists of text.

The parser's own way reads every value as YAML, for which `#love` is a remark and nothing, `null` and `~` are nothing,
and `{}` is a mapping. Here a text option gives exactly what was typed. In a YAML file (`--config`) the rules of YAML
hold, and what they make of a value must be of the option's kind.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vlprompt.errors import SettingsError, quoted
from vlprompt.files.yaml_files import compose_yaml

_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Sequence[str]: 'a list of texts such as ["art of a {}.", "a {}."]',
}


class RefusedValueError(ArgumentTypeError, ValueError):
    """A value that is not of the option's kind: the parser takes the one on the command line, the other from YAML."""


@dataclass(frozen=True, repr=False)
class Kind:
    """What one option takes; made by `kind_of`.

    Attributes:
        choices: words that may be given.
        types: of str, int, float, bool and Sequence[str].
        optional: whether None is a value.
        null_typed: whether `null` on the command line means None; always so where it cannot be text.
    """

    choices: tuple[str, ...]
    types: tuple[Any, ...]
    optional: bool
    null_typed: bool

    def __repr__(self) -> str:
        words = [_WORDS[one] for one in self.types] + ["null"] * self.null_typed
        if self.choices:
            several = len(self.choices) > 1 and not words
            words.insert(0, ("one of " if several else "") + ", ".join(self.choices))
        return " or ".join(words)

    def typed(self, text: str) -> Any:
        """The value of an argument of the command line."""
        if text == "null" and self.null_typed:
            return None
        return self._parsed(text)

    def __call__(self, value: Any) -> Any:
        """The value that a YAML file gives, or one that was parsed before."""
        if isinstance(value, str):
            return self._parsed(value)
        if value is None and self.optional:
            return None
        if isinstance(value, bool):
            right = bool in self.types
        elif isinstance(value, int | float):
            if isinstance(value, int) and int in self.types:
                return str(value) if str in self.types else value
            right = float in self.types and abs(value) <= sys.float_info.max
        else:
            right = Sequence[str] in self.types and isinstance(value, list | tuple)
            right = right and all(isinstance(item, str) for item in value)
        if not right:
            hint = " in quotes" if str in self.types else ""
            raise RefusedValueError(f"is {quoted(value)} by the rules of YAML; it must be {self!r}{hint}.")
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _parsed(self, text: str) -> Any:
        if text in self.choices or str in self.types:
            return text
        for one in self.types:
            try:
                return _READERS[one](text)
            except (KeyError, ValueError, SettingsError):
                continue
        raise RefusedValueError(f"is {quoted(text)}; it must be {self!r}.")


def kind_of(annotation: Any, null_is_documented: bool = False) -> Kind:
    """The kind for a type annotation.

    Args:
        annotation: str, int, float, bool, a Literal, Sequence[str] or None, or a union of them; a kind stays.
        null_is_documented: `null` on the command line means None, also for a text.
    """
    if isinstance(annotation, Kind):
        return annotation
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    members = typing.get_args(annotation) if union else (annotation,)
    choices = [word for one in members if typing.get_origin(one) is typing.Literal for word in typing.get_args(one)]
    optional = type(None) in members
    plain = tuple(one for one in _WORDS if one in members)
    literal = sum(typing.get_origin(one) is typing.Literal for one in members)
    if len(plain) + literal + optional != len(members):
        raise TypeError(f"no option can be made of the type {annotation}")
    return Kind(tuple(choices), plain, optional, optional and (null_is_documented or str not in plain))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _texts(text: str) -> list[str]:
    """A list as JSON or YAML write it; anything else is one text."""
    if not text.lstrip().startswith("["):
        return [text]
    node = compose_yaml(text, "the list", SettingsError)
    if not isinstance(node, yaml.SequenceNode) or not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise ValueError(text)
    return [str(item.value) for item in node.value]


_READERS: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: _finite,
    bool: lambda text: _TRUTHS[text.lower()],
    Sequence[str]: _texts,
}
