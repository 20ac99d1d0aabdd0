"""What a benchmark would compute, how long that takes and how much memory: measured, nothing trained or written.

plan -> runs -> rates of each method over the fewest and the most names -> seconds and memory of every run
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from vlprompt.data.samples import Dataset
from vlprompt.experiments.pace import training_steps
from vlprompt.experiments.plan import Run
from vlprompt.experiments.queue import Prepared, is_finished
from vlprompt.methods import AUTO, method_class

if TYPE_CHECKING:
    from vlprompt.experiments.rates import Rate

MEASURING_SECONDS = 40.0
"""After this no further rate is measured, so that loading included a forecast takes about a minute."""
ENCODED = 32
"""Pictures from which the encoder's rate is measured."""


@dataclass(frozen=True)
class ExpectedRun:
    """A run with what it is expected to take.

    Attributes:
        seconds: without encoding pictures; None where it was not measured.
        memory_bytes: of the process that computes it.
    """

    run: Run
    finished: bool
    steps: int
    seconds: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Forecast:
    """What is ahead.

    Attributes:
        pictures: that must be encoded at most, test pictures and augmented views, once for all runs; fewer where the
            cache has some.
        picture_s: to open and encode one.
        workers: runs that are computed at a time, with `threads` each.
    """

    runs: tuple[ExpectedRun, ...]
    pictures: int
    picture_s: float
    workers: int
    threads: int

    @property
    def missing(self) -> list[ExpectedRun]:
        """The runs that are not finished, in their order."""
        return [one for one in self.runs if not one.finished]

    @property
    def unknown(self) -> list[ExpectedRun]:
        """The missing runs whose time was not measured: the total does not count them."""
        return [one for one in self.missing if one.seconds is None]

    @property
    def seconds(self) -> float:
        """Until all is done: the work over the workers, and at least as long as the longest run."""
        each = [one.seconds for one in self.missing if one.seconds is not None]
        busy = max(1, min(self.workers, len(self.missing)))
        return max([(sum(each) + self.pictures * self.picture_s) / busy, *each])

    @property
    def memory_bytes(self) -> int | None:
        """Of all workers together, each with the largest run."""
        known = [one.memory_bytes for one in self.missing if one.memory_bytes]
        return max(1, min(self.workers, len(self.missing))) * max(known) if known else None


class _Parts:
    """What each data set is trained on, and its tests; made once for all runs."""

    def __init__(self, prepared: Prepared) -> None:
        protocol, datasets = prepared.plan.protocol, prepared.used.slim
        names = dict.fromkeys(run.dataset.name for run in prepared.runs)
        self.trained = {name: protocol.trained(datasets[name]) for name in names}
        self._tests = {name: protocol.all_tests(name, datasets) for name in names}

    def names(self, run: Run) -> int:
        """How many names the run trains with."""
        return len(self.trained[run.dataset.name].class_names)

    def tests(self, run: Run) -> list[Dataset]:
        """The tests of a run."""
        return [part for test, part in self._tests[run.dataset.name].items() if test in run.dataset.classes]


def forecast(prepared: Prepared, out: Path, workers: int, threads: int) -> Forecast:
    """Look at what is finished, and measure what the rest takes."""
    import torch

    parts = _Parts(prepared)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    finished = {run.settings_hash: is_finished(run, out, prepared) for run in prepared.runs}
    missing = [run for run in prepared.runs if not finished[run.settings_hash]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            picture_s = _picture_seconds(missing, prepared)
            rates = _rates(missing, parts, prepared)
    finally:
        torch.set_num_threads(before)
    expected = [_expected(run, finished[run.settings_hash], rates, parts) for run in prepared.runs]
    return Forecast(tuple(expected), _pictures(missing, parts), picture_s, workers, threads)


def _picture_seconds(runs: list[Run], prepared: Prepared) -> float:
    from vlprompt.experiments.rates import encoding_seconds

    if not runs:
        return 0.0
    dataset = prepared.used.slim[runs[0].dataset.name]
    pictures = [sample.image for sample in (*dataset.test, *dataset.train)[:ENCODED]]
    return encoding_seconds(pictures, prepared.backbone, prepared.plan.max_pixels)


def _rates(runs: Iterable[Run], parts: _Parts, prepared: Prepared) -> dict[str, list[Rate]]:
    """By method the rates over its fewest and its most names: all methods over their fewest first."""
    from vlprompt.experiments.rates import measured_rate

    of_method: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.method.name != AUTO:
            of_method.setdefault(run.method.label, {}).setdefault(parts.names(run), run)
    chosen = [some[pick(some)] for pick in (min, max) for some in of_method.values() if pick is min or len(some) > 1]
    rates: dict[str, list[Rate]] = {}
    started = time.monotonic()
    for run in chosen:
        if time.monotonic() - started < MEASURING_SECONDS:
            trained = parts.trained[run.dataset.name]
            rate = measured_rate(run, trained, prepared.backbone, prepared.plan.max_pixels)
            rates.setdefault(run.method.label, []).append(rate)
    return rates


def _expected(run: Run, finished: bool, rates: Mapping[str, list[Rate]], parts: _Parts) -> ExpectedRun:
    steps = training_steps(run)
    known = rates.get(run.method.label, ())
    if finished or not known:
        return ExpectedRun(run, finished, steps, None, None)
    names, pictures = parts.names(run), sum(len(part.test) for part in parts.tests(run))
    step, once, answer = (_between(known, what, names) for what in ("step_s", "once_s", "answer_s"))
    memory = _between(known, "memory_bytes", names) if all(rate.memory_bytes for rate in known) else None
    seconds = once + steps * step + answer * pictures
    return ExpectedRun(run, finished, steps, seconds, None if memory is None else ceil(memory))


def _between(rates: Iterable[Rate], what: str, names: int) -> float:
    """A rate for so many names, on the line through those measured, or in proportion to the names beyond them."""
    low, *others = rates
    first = float(getattr(low, what))
    if not others or others[0].names == low.names:
        return first
    last = float(getattr(others[0], what))
    share = (names - low.names) / (others[0].names - low.names)
    return max(0.0, first + share * (last - first))


def _pictures(runs: Iterable[Run], parts: _Parts) -> int:
    """Test pictures and augmented views of the runs that read features, each counted once for all that share it."""
    tested: set[int] = set()
    views: dict[tuple[str, int, int], int] = {}
    for run in runs:
        if run.method.name != AUTO and method_class(run.method.name).reads == "pixels":
            continue
        for part in parts.tests(run):
            tested.update(id(sample.image) for sample in part.test)
        draw = run.dataset.name, run.shots, run.seed
        views[draw] = max(views.get(draw, 0), run.training_images * _views(run))
    return len(tested) + sum(views.values())


def _views(run: Run) -> int:
    """Views of every training picture: as many as there are epochs, where each is fresh."""
    if run.training is None:
        return 1
    epochs = run.training.for_images(run.training_images).epochs
    return epochs if run.training.views is None else min(epochs, run.training.views)
