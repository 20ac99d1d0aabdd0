"""JSON that people and strangers write, with the faults that Python's reader lets pass or ends in a traceback with."""

from __future__ import annotations

import json
from typing import Any

from vlprompt.errors import DataError, VlpromptError, quoted


def parse_json(text: str, source: str, error: type[VlpromptError] = DataError) -> Any:
    """The value of a JSON text.

    Args:
        source: what the text is, for the message.
        error: the class of the errors.

    Raises:
        VlpromptError: an `error`: it is no JSON, nests too deep, has a number of more than 4,300 digits, or gives an
            object one key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except _RepeatedKeyError as problem:
        raise error(f"{source} gives {problem} twice in one object.") from problem
    except RecursionError as problem:
        raise error(f"{source} is not JSON that can be read: it nests too deep.") from problem
    except json.JSONDecodeError as problem:
        raise error(f"{source} is not JSON: {problem}.") from problem
    except ValueError as problem:
        raise error(f"{source} is not JSON that can be read: a number has too many digits.") from problem


class _RepeatedKeyError(Exception):
    """A key that stands twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(quoted(key))
            seen.add(key)
    return values
