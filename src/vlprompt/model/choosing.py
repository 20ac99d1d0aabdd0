"""method="auto": which method serves the pictures at hand, found by cross-validation on them.

Zero-shot CLIP and the heads name pictures that were held out, on features that are computed anyway; the most right ones
win, and of methods that cannot be told apart the simplest. Prompts do not take part: where there are pictures of every
class, heads beat them by far (README, "Which method"), and they take a hundred times as long.

Where there are fewer than `ENOUGH` pictures a class, held-out pictures say little, because a head that learns from one
picture less is another head: then a fixed rule holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlprompt.methods import build_method
from vlprompt.methods.folds import stratified_folds

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method, TrainingSet

CANDIDATES = ("zero-shot", "gda", "linear-probe", "tip-adapter", "lp++")
"""From the simplest: nothing to fit, closed form, convex, a cache of all pictures, a descent."""

ENOUGH = 3
"""Pictures a class, on average, from which cross-validation decides."""

FOR_FEW = "gda"
"""The method for fewer: at 1 and 2 pictures a class it was the best or near it on the validation pictures of all
bundled data sets, in their own style and in others (`benchmarks/choosing.py`), and its published averages are within
1.5 points of the best head's there. It falls back on the words where the pictures say little."""


@dataclass(frozen=True)
class Trial:
    """How one method did on held-out training pictures.

    Attributes:
        method: its name.
        right, total: held-out pictures.
        low, high: 95% interval (Wilson) of the share that is right, in percent.
        seconds: that it took.
    """

    method: str
    right: int
    total: int
    low: float
    high: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.right / self.total


@dataclass(frozen=True)
class Choice:
    """The chosen method.

    Attributes:
        method: its name.
        why: in one sentence.
        trials: of all candidates, in the order of `CANDIDATES`; only zero-shot where no picture could be held out.
        chance: percent that naming every picture by the largest class would give.
    """

    method: str
    why: str
    trials: tuple[Trial, ...]
    chance: float

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "trials": [asdict(trial) for trial in self.trials]}


def choose_method(
    backbone: Backbone, class_names: Sequence[str], template: str, training_set: TrainingSet, *, seed: int = 1
) -> Choice:
    """Choose among zero-shot and the heads for classes that there are pictures of.

    Args:
        class_names: N names, by label.
        template: of the zero-shot prompt.
        training_set: the pictures' features and labels; every class has at least one.
        seed: of the folds.
    """
    labels = training_set.labels
    chance = 100 * float(labels.bincount().max()) / len(labels)
    few = len(labels) < ENOUGH * len(class_names)
    methods = [build_method(name, backbone, class_names, template=template, seed=seed) for name in CANDIDATES]
    trials = tuple(trial for method in methods if (trial := _trial(method, training_set, seed)))
    if few:
        why = (
            f"with {len(labels) / len(class_names):.1f} pictures a class, held-out pictures cannot tell the methods "
            f"apart; {FOR_FEW} does best with so few."
        )
        return Choice(FOR_FEW, why, trials, chance)
    best = max(trials, key=lambda trial: trial.right)  # of equal ones the first, which is the simplest
    return Choice(best.method, _why(best, trials), trials, chance)


def _trial(method: Method, training_set: TrainingSet, seed: int) -> Trial | None:
    """The method on the held-out pictures; None where none can be held out."""
    started = time.perf_counter()
    if method.uses_pictures:
        method.setup(training_set)
        counts = getattr(method, "cross_validated", None)
    else:
        counts = _counts_of_words(method, training_set, seed)
    if not counts or not counts[1]:
        return None
    right, total = counts
    low, high = wilson_interval(right, total)
    return Trial(method.name, right, total, low, high, round(time.perf_counter() - started, 3))


def _counts_of_words(method: Method, training_set: TrainingSet, seed: int) -> tuple[int, int]:
    """Right and all of the same pictures, for a method that learned from none of them."""
    import torch

    held_out = [look for _, look in stratified_folds(training_set.labels, seed)]
    if not held_out:
        return 0, 0
    places = torch.cat(held_out)
    predicted = method.predict_logits(training_set.features[places]).argmax(1)
    return int((predicted == training_set.labels[places].cpu()).sum()), len(places)


def _why(best: Trial, trials: Sequence[Trial]) -> str:
    why = f"{best.method} names most held-out pictures right: {best.right} of {best.total}"
    equals = [trial.method for trial in trials if trial is not best and trial.right == best.right]
    return (
        f"{why}, as {' and '.join(equals)} {'do' if len(equals) > 1 else 'does'}, and is simpler."
        if equals
        else f"{why}."
    )


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95% interval of a share, in percent (Wilson 1927); honest also for few pictures and at 0 and 100%."""
    z = 1.959964
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
