"""Small data for the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30), "yellow": (220, 220, 30)}


QUICK = ("--method", "coop", "--shots", "2", "--epochs", "2", "--views", "1")
"""Options of a fit of a tenth of a second."""


def write_pictures(folder: Path, names: tuple[str, ...] = ("blue", "green", "red"), count: int = 3) -> Path:
    """A folder of class folders with a few noisy colours each."""
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = random.integers(-30, 30, (40, 40, 3))
            pixels = np.clip(np.array(COLOURS.get(name, (120, 120, 120))) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder
