"""The scripts of tools/ and speed/ as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def tool(name: str) -> ModuleType:
    """A script of tools/, imported with its siblings in reach as when it is run."""
    return _module(ROOT / "tools", name)


def benchmark(name: str) -> ModuleType:
    """A script of speed/, likewise."""
    return _module(ROOT / "speed", name)


def _module(folder: Path, name: str) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module(name)
