"""Names and numbers within a sentence."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMES = 10


def some_of(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """The names in quotes, of many only the first: `'a', 'b' and 3 others`."""
    listed = ", ".join(repr(name) for name in names[:most])
    left = len(names) - most
    return listed if left <= 0 else f"{listed} and {others(left)}"


def others(count: int) -> str:
    """How many more there are than are named: `1 other`, `3 others`."""
    return f"{count} other{'' if count == 1 else 's'}"
