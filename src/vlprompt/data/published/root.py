"""The folder that holds the folders of the published data sets, as `$DATA` does for the published code."""

from __future__ import annotations

import os
from pathlib import Path

from vlprompt.errors import SettingsError

ROOT_VARIABLE = "VLPROMPT_DATA"
DEFAULT_ROOT = "~/vlprompt-data"


def data_root(root: str | Path | None = None) -> Path:
    """What was asked for, else what the environment variable VLPROMPT_DATA names, else ~/vlprompt-data.

    Raises:
        SettingsError: it is there and no folder.
    """
    chosen, called = (root, "root") if root is not None else (os.environ.get(ROOT_VARIABLE), ROOT_VARIABLE)
    path = Path(os.path.abspath(os.path.expanduser(chosen or DEFAULT_ROOT)))
    if os.path.lexists(path) and not os.path.isdir(path):
        raise SettingsError(f"{called} is {path}, which is no folder; name the folder that holds the data sets.")
    return path
