"""A data set of one's own, complete: drawn shapes, with pictures to train on and others to test on.

    vlprompt fit my_dataset.py:shapes --method coop --shots 4 --out model
    vlprompt benchmark base-to-new my_dataset.py:shapes --methods zero-shot,coop,cocoop --out runs
    vlprompt benchmark domain-shift my_dataset.py:shapes my_dataset.py:outlines --methods zero-shot,coop --out runs

A folder of class folders, a table of paths and labels or a split file needs no code: give its path instead.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vlprompt import Dataset, Sample

SIDES = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6, "octagon": 8, "circle": 40}
"""The classes, and how many corners each has; a circle has as many as one cannot see."""


def shapes(filled: bool = True) -> Dataset:
    """The data set, as `my_dataset.py:shapes` names it; called without arguments.

    A picture may be a path, a Pillow image or an array (height, width, 3) of bytes; labels count from 0.
    """
    random = np.random.default_rng(0)  # the same pictures whenever it is asked
    return Dataset(
        name="shapes",
        train=_samples(8, filled, random),
        test=_samples(4, filled, random),
        template="a drawing of a {}.",
        class_words={"circle": "round disc"},  # what prompts say, where that is not the name
    )


def outlines() -> Dataset:
    """The same classes, drawn otherwise; a data set is called as its function is."""
    return shapes(filled=False)


def _samples(count: int, filled: bool, random: np.random.Generator) -> tuple[Sample, ...]:
    """So many pictures of each class."""
    return tuple(
        Sample(image=_drawn(sides, filled, random), label=label, class_name=name)
        for label, (name, sides) in enumerate(SIDES.items())
        for _ in range(count)
    )


def _drawn(sides: int, filled: bool, random: np.random.Generator) -> np.ndarray:
    """One shape of random place, size, turn and colour on a light ground."""
    picture = Image.new("RGB", (64, 64), tuple(random.integers(200, 256, 3).tolist()))
    x, y = random.integers(24, 40, 2).tolist()
    circle = (x, y, int(random.integers(12, 22)))
    colour, turn = tuple(random.integers(0, 160, 3).tolist()), int(random.integers(360))
    ImageDraw.Draw(picture).regular_polygon(circle, sides, turn, fill=colour if filled else None, outline=colour)
    return np.asarray(picture)
