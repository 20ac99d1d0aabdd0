"""The files that the published CoOp and CoCoOp code leaves, by their names: `prompt_learner/model.pth.tar-10`.

Imports no torch: whoever expects something else and is given such a file says how a model is made of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = re.compile(r"\.pth\.tar(-\d+)?$")


def is_checkpoint_name(path: str | Path) -> bool:
    """Whether the published code calls its checkpoints like this file."""
    return _NAME.search(os.path.basename(path)) is not None


def checkpoint_in(folder: str | Path) -> Path | None:
    """A checkpoint of the published code in a run's output folder or its prompt_learner folder: the last epoch's."""
    for place in (Path(folder), Path(folder) / "prompt_learner"):
        try:
            found = [place / name for name in os.listdir(place) if is_checkpoint_name(name)]
        except OSError:
            continue
        if found:
            return max(found, key=lambda path: (epoch_in_name(path) or 0, path.name))
    return None


def epoch_in_name(path: str | Path) -> int | None:
    """The epoch that a checkpoint's name ends with; None where there is none."""
    match = _NAME.search(os.path.basename(path))
    return int(match[1][1:]) if match and match[1] else None


def how_to_convert(path: str | Path) -> str:
    """What to do with a checkpoint that was given in a model's, a backbone's or a data set's place."""
    return (
        f"`vlprompt convert {path} DATA --out model` makes a model folder of a checkpoint of the published CoOp and "
        "CoCoOp code"
    )
