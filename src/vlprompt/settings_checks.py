"""What a setting must be: a whole number, a number, true or false, one of some words.

NumPy's and torch's scalars, as `np.arange` and scikit-learn's searches give them, are taken as the Python values that
they hold, so that whatever is saved is plain JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vlprompt.errors import SettingsError

LARGEST = 2**63 - 1
"""Of whole numbers; what is larger, generators of random numbers and file formats do not take."""

_LONGEST_SHOWN = 80


def plain(value: Any) -> Any:
    """A scalar of NumPy or torch as the Python value that it holds; anything else as it is."""
    is_scalar = getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None))
    return value.item() if is_scalar else value


def plain_all(value: Any) -> Any:
    """`plain` for all that mappings, sequences and arrays hold; arrays and tuples become lists."""
    if isinstance(value, Mapping):
        return {plain(key): plain_all(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_all(entry) for entry in value]
    if getattr(value, "ndim", 0) and hasattr(value, "tolist"):
        return value.tolist()
    return plain(value)


def whole_number(name: str, value: object, *, least: int, instead: str = "") -> int:
    """The value as an int.

    Args:
        instead: what else would be right, for the error.

    Raises:
        SettingsError: it is no whole number, too small, or larger than `LARGEST`.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} is {shown(value)}; it must be a whole number of at least {least}{instead}.")
    if value > LARGEST:
        raise SettingsError(f"{name} is {shown(value)}; it must be at most {LARGEST}.")
    return value


def seed_number(value: object, least: int = 0) -> int:
    """A seed as an int.

    Raises:
        SettingsError: it is no whole number, or negative: every run of vlprompt can be repeated, so there is no value
            for "no fixed seed", as which other programs take -1.
    """
    value = plain(value)
    hint = "; draw one yourself for runs that differ" if isinstance(value, int) and value < 0 else ""
    return whole_number("seed", value, least=least, instead=hint)


def number(
    name: str, value: object, *, least: float | None = None, above: float | None = None, below: float | None = None
) -> float:
    """The value as an int or float.

    Raises:
        SettingsError: it is no finite number, or outside the limits.
    """
    value = plain(value)
    limits = {"at least": least, "above": above, "below": below}
    wanted = " and ".join(f"{words} {limit:g}" for words, limit in limits.items() if limit is not None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise SettingsError(f"{name} is {shown(value)}; it must be a number {wanted}.")
    too_low = (least is not None and value < least) or (above is not None and value <= above)
    if too_low or (below is not None and value >= below):
        raise SettingsError(f"{name} is {shown(value)}; it must be {wanted}.")
    return value


def truth_value(name: str, value: object) -> bool:
    """The value as a bool; raises SettingsError unless it is one."""
    value = plain(value)
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is {shown(value)}; it must be true or false.")
    return value


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """The value, if it is one of the choices; raises SettingsError otherwise."""
    value = plain(value)
    if not isinstance(value, str) or value not in choices:
        raise SettingsError(f"{name} is {shown(value)}; it must be one of {', '.join(choices)}.")
    return value


def shown(value: object) -> str:
    """A value as an error quotes it, never at length."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False
