"""Paths that a manifest lists: they must stay inside the images' folder, and the files must be there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vlprompt.errors import DataError, quoted
from vlprompt.escaping import as_list
from vlprompt.wording import others

LISTED_AT_MOST = 20
"""An error lists this many missing files; more are counted."""


def path_inside(root: Path, listed: str, where: str) -> Path:
    """The listed path below `root`; either kind of slash may part it, and blanks around it do not count.

    A file whose name has a backslash or begins or ends with a blank is found where there is one.

    Args:
        listed: relative to `root`, or absolute and inside it.
        where: `file:line`, for the error.

    Raises:
        DataError: the path leads out of `root`, by `..`, by being absolute elsewhere or by a symbolic link.
    """
    inside = os.path.abspath(root)
    path = os.path.normpath(os.path.join(inside, _as_on_disk(inside, listed)))
    if os.name != "nt" and re.match(r"\s*[A-Za-z]:[\\/]", listed) and not os.path.lexists(path):
        raise DataError(
            f"{where} lists {quoted(listed)}, an absolute path of Windows; write paths that start from {root}, or from "
            "a folder that image_root='FOLDER' names."
        )
    if not path.startswith(os.path.join(inside, "")):
        raise DataError(
            f"{where} lists {quoted(listed)}, which is not inside {root}; list images of that folder only, or name "
            "the folder of the images as image_root='FOLDER'."
        )
    if not _stays_inside(path, inside):
        raise DataError(
            f"{where} lists {quoted(listed)}, a link that leads out of {root}; list images of that folder only."
        )
    return root / os.path.relpath(path, inside)


def _as_on_disk(root: str, listed: str) -> str:
    """The path as it names a file, where there is one: as it was written, else without what may be meant otherwise."""
    plain = listed.strip(" \t")
    if plain == listed and "\\" not in listed:
        return listed
    for candidate in (listed, plain):
        # os.path, unlike Path, takes a name that cannot be as one that does not exist.
        if os.path.exists(os.path.join(root, candidate)) and not candidate.isspace():
            return candidate
    return plain.replace("\\", "/")


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
    more = f"\n  and {others(len(missing) - LISTED_AT_MOST)}" if len(missing) > LISTED_AT_MOST else ""
    raise DataError(
        f"{len(missing)} of the {len(paths)} images that {source} lists do not exist ({advice}):\n{listed}{more}"
    )
