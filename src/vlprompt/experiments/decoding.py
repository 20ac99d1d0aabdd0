"""JSON values as instances of the annotated types of a dataclass, checked all the way down."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, cast


class MismatchError(Exception):
    """A JSON value that is not what its field says."""


def decode(expected: Any, value: Any, where: str) -> Any:
    """The JSON value as an instance of the annotated type, all the way down."""
    if is_dataclass(expected):
        return _decode_dataclass(cast(type, expected), value, where)
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        present = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else decode(present[0], value, where)
    if origin is tuple:
        items = _expect(value, list, where)
        if all(type(item) is arguments[0] for item in items):  # thousands of numbers, most of a record
            return tuple(items)
        return tuple(decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if origin is dict:
        entries = _expect(value, dict, where)
        return {key: decode(arguments[1], item, f"{where}.{key:.60}") for key, item in entries.items()}
    if expected is Any:
        return value
    if expected is float and type(value) is int:
        return float(value)
    return _expect(value, expected, where)


def _decode_dataclass(expected: type, value: Any, where: str) -> Any:
    entries = _expect(value, dict, where)
    hints = typing.get_type_hints(expected)
    names = {entry.name for entry in fields(expected)}
    required = {e.name for e in fields(expected) if e.default is MISSING and e.default_factory is MISSING}
    if missing := sorted(required - entries.keys()):
        raise MismatchError(f"{where} lacks {', '.join(missing)}")
    if surplus := sorted(entries.keys() - names):
        raise MismatchError(f"{where} has the unknown {surplus[0]!r:.60}")
    return expected(**{name: decode(hints[name], entries[name], f"{where}.{name}") for name in names & entries.keys()})


def _expect(value: Any, expected: type, where: str) -> Any:
    if type(value) is not expected:
        raise MismatchError(f"{where} is {type(value).__name__}, not {expected.__name__}")
    return value
