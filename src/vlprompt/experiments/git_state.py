"""Which commit computed a result, where the code is under git."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SECONDS = 10


@dataclass(frozen=True)
class GitState:
    """A commit, and whether tracked files differed from it."""

    commit: str
    dirty: bool


@cache
def git_states() -> dict[str, GitState]:
    """That of this package ("vlprompt") and of the working folder, each where it is under git; asked once a process.

    An installed package may lie inside a foreign repository, so it counts only where git tracks it.
    """
    found = {}
    if _git(PACKAGE, "ls-files", "--error-unmatch", "__init__.py") is not None:
        found["vlprompt"] = _state(PACKAGE)
    if _git(Path(), "rev-parse", "--show-toplevel") != _git(PACKAGE, "rev-parse", "--show-toplevel"):
        found["working folder"] = _state(Path())
    return {where: state for where, state in found.items() if state is not None}


def _state(folder: Path) -> GitState | None:
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changes is None else GitState(commit, changes != "")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it is not there, or there is no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "--no-optional-locks", *arguments],
            capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=SECONDS, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
