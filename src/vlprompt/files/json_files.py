"""JSON that people and strangers write, read within bounds: plain values, or one reason why not."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlprompt.errors import DataError, VlpromptError
from vlprompt.files import read_bounded

DEEPEST = 64
"""Lists and objects within each other; what we write has at most six."""

LONGEST_NUMBER = 40
"""Letters of a number; ours have at most 25."""


class NotJsonError(ValueError):
    """Text that is not JSON, or JSON with values that we never write; the message is a reason, not a sentence."""


def read_json(path: str | os.PathLike[str], most_bytes: int) -> Any:
    """The value in a regular file of at most so many bytes.

    Raises:
        OSError: the file cannot be read, is no regular file or is larger.
        NotJsonError: as `parse_json`.
    """
    try:
        text = read_bounded(Path(path), most_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError("it is not UTF-8 text") from error
    return parse_json(text)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        NotJsonError: it is no JSON, has NaN or an infinite number, a number of very many digits, one key twice in an
            object, half of a character pair, or more than `DEEPEST` lists and objects within each other.
    """
    return _parsed(text, _refuse_constant)


def parse_listed(text: str, source: str, error: type[VlpromptError] = DataError) -> Any:
    """As `parse_json`, for what people list: NaN is taken, as pandas writes it for what is missing.

    Args:
        source: what the text is, for the message.
        error: the class of the errors.

    Raises:
        VlpromptError: an `error`, in one sentence.
    """
    try:
        return _parsed(text, float)
    except NotJsonError as problem:
        at = f" ({problem.__cause__})" if isinstance(problem.__cause__, json.JSONDecodeError) else ""
        raise error(f"{source} cannot be read as JSON: {problem}{at}.") from problem


def _parsed(text: str, constant: Callable[[str], Any]) -> Any:
    try:
        value = json.loads(
            text,
            parse_constant=constant,
            parse_int=_whole_number,
            parse_float=_number,
            object_pairs_hook=_distinct_keys,
        )
    except NotJsonError:
        raise
    except RecursionError as error:
        raise NotJsonError("its values are nested too deeply") from error
    except ValueError as error:
        raise NotJsonError("it is not valid JSON") from error
    _check_values(value)
    return value


def _refuse_constant(name: str) -> Any:
    raise NotJsonError(f"it has {name} for a number")


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise NotJsonError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits) if len(digits) <= LONGEST_NUMBER else math.nan
    if not math.isfinite(number):
        raise NotJsonError(f"it has the number {digits[:12]}..., which is too large or too long")
    return number


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotJsonError(f"it has {twice[:40]!r} twice")
    return entries


def _check_values(value: Any) -> None:
    """Level by level, since a value may be nested more deeply than Python likes to call."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for entry in level:
            if depth >= DEEPEST and isinstance(entry, dict | list):
                raise NotJsonError("its values are nested too deeply")
            if isinstance(entry, dict):
                below += entry.keys()
                below += entry.values()
            elif isinstance(entry, list):
                below += entry
            elif isinstance(entry, str):
                _check_text(entry)
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")  # bytes of file names that are no UTF-8 are ours
        except UnicodeEncodeError as error:
            raise NotJsonError("it has text with half of a character pair") from error
