"""How much longer a benchmark takes, from the runs that are done.

Runs of different methods differ in length, so that counting runs says little: each takes as long as the finished ones
of its method and number of shots did on average, and before there is one, as long as its number of training steps
suggests: what a step took in the quickest run so far, and beside the training what runs of all methods took.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil
from statistics import fmean, median

from vlprompt.experiments.plan import Run


class Pace:
    """Expected durations of runs.

    Arguments:
        runs: all that are to be computed.
        workers: how many are computed at a time.
    """

    def __init__(self, runs: Sequence[Run], workers: int) -> None:
        self._waiting = list(runs)
        self._workers = workers
        self._running: dict[str, float] = {}
        self._seconds: dict[tuple[str, int], list[float]] = {}
        self._a_step: list[float] = []
        self._beside: list[float] = []

    def started(self, run: Run) -> None:
        """A run begins now."""
        self._running[run.name] = time.monotonic()

    def ended(self, run: Run, train_s: float = 0.0) -> float:
        """A run is over, of which training took `train_s`; returns its seconds."""
        self._waiting.remove(run)
        seconds = time.monotonic() - self._running.pop(run.name, time.monotonic())
        self._seconds.setdefault((run.method.label, run.shots), []).append(seconds)
        if train_s and (steps := training_steps(run)):
            self._a_step.append(train_s / steps)
            self._beside.append(max(0.0, seconds - train_s))
        return seconds

    def seconds_left(self) -> float | None:
        """Seconds until all runs are over; None while nothing is known of some method."""
        now, total = time.monotonic(), 0.0
        for run in self._waiting:
            expected = self._expected(run)
            if expected is None:
                return None
            total += max(0.0, expected - (now - self._running.get(run.name, now)))
        return total / max(1, min(self._workers, len(self._waiting)))

    def _expected(self, run: Run) -> float | None:
        """Seconds of a run: the mean of its method's, else from other methods' steps."""
        if known := self._seconds.get((run.method.label, run.shots)):
            return fmean(known)
        return median(self._beside) + min(self._a_step) * training_steps(run) if self._a_step else None


def training_steps(run: Run) -> int:
    """How many steps a run trains, 0 where it learns nothing."""
    if run.training is None:
        return 0
    epochs = run.training.for_images(run.training_images).epochs
    return epochs * ceil(run.training_images / run.training.batch_size)
