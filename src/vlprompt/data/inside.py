"""Paths that a manifest lists: they must stay inside the images' folder, and the files must be there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vlprompt.errors import DataError
from vlprompt.escaping import as_list

LISTED_AT_MOST = 20
"""An error lists this many missing files; more are counted."""


def path_inside(root: Path, listed: str, where: str) -> Path:
    """The listed path below `root`; either kind of slash may part it.

    Args:
        listed: relative to `root`, or absolute and inside it.
        where: `file:line`, for the error.

    Raises:
        DataError: the path leads out of `root`, by `..`, by being absolute elsewhere or by a symbolic link.
    """
    inside = os.path.abspath(root)
    path = os.path.normpath(os.path.join(inside, listed.replace("\\", "/")))
    if not path.startswith(os.path.join(inside, "")):
        raise DataError(f"{where} lists {listed!r}, which is not inside {root}; list images of that folder only.")
    if not _stays_inside(path, inside):
        raise DataError(f"{where} lists {listed!r}, a link that leads out of {root}; list images of that folder only.")
    return root / os.path.relpath(path, inside)


def _stays_inside(path: str, root: str) -> bool:
    try:
        return os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))
    except ValueError:  # a null character: no file can be called so, and missing files are reported together
        return True


def refuse_missing(paths: Sequence[Path], source: Path, advice: str) -> None:
    """Raises a `DataError` that lists the files that do not exist, if any."""
    missing = [path for path in paths if not os.path.isfile(path)]
    if not missing:
        return
    listed = as_list(map(str, missing[:LISTED_AT_MOST]))
    more = f"\n  and {len(missing) - LISTED_AT_MOST} others" if len(missing) > LISTED_AT_MOST else ""
    raise DataError(
        f"{len(missing)} of the {len(paths)} images that {source} lists do not exist ({advice}):\n{listed}{more}"
    )
