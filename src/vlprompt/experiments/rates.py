"""How long the parts of runs take on this machine, measured in seconds and with nothing written.

Features are invented, because how long a step takes does not depend on what is in a picture; names, backbone, options
and batches are the runs' own. Methods that read pixels are given a few of the data set's pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from vlprompt.data.few_shot import group_by_label
from vlprompt.data.samples import Dataset, Sample
from vlprompt.experiments.plan import Run
from vlprompt.experiments.running import method_settings
from vlprompt.features import Extracted, FeatureExtractor
from vlprompt.methods import method_class
from vlprompt.model.fitting import MethodSettings, fit
from vlprompt.model.inputs import test_inputs
from vlprompt.model.prediction import Predictor
from vlprompt.process.peak_memory import forget_peak, peak_bytes, peak_gpu_bytes
from vlprompt.progress import Silent, Task

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone

TIMED_SECONDS = 2.0
"""How long a rate is measured, unless a single step takes longer."""
TIMED_STEPS = 8
TIMED_PICTURES = 16


@dataclass(frozen=True)
class Rate:
    """What a method takes over some number of names.

    Attributes:
        names: that it trains with.
        once_s: seconds to build it, set it up, and make what is the same for all test pictures.
        step_s: of a training step.
        answer_s: for a test picture, its features given.
        memory_bytes: the most that the process held; of the GPU where there is one. None where it cannot be known.
    """

    names: int
    once_s: float
    step_s: float
    answer_s: float
    memory_bytes: int | None


class InventedFeatures(FeatureExtractor):
    """Features drawn at random, in no time; pixels are those of the pictures."""

    def extract(self, images: Sequence[Any]) -> Extracted:
        """As `FeatureExtractor.extract`."""
        return Extracted(self._drawn(len(images)), np.arange(len(images)))

    def views(self, images: Sequence[Any], count: int, *_: Any, **__: Any) -> Extracted:
        """As `FeatureExtractor.views`."""
        return Extracted(np.stack([self._drawn(len(images))] * count, 1), np.arange(len(images)))

    def _drawn(self, count: int) -> np.ndarray:
        drawn: np.ndarray = np.random.default_rng(0).standard_normal((count, self.backbone.feature_size), np.float32)
        return drawn


class _Enough(Exception):
    """Ends a training that has been timed."""


class _Clock(Silent):
    """Times training steps, and ends the training where it knows enough. A board of its own."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ends: list[float] = []

    def training(self, description: str) -> _Clock:
        return self

    def task(self, description: str, total: int, unit: str = "") -> Task:
        return Task(lambda *_: None, description, total, unit)

    def begin(self, *, epochs: int, images: int, done: int = 0) -> None:
        self.began = time.perf_counter()

    def step(self, images: int, loss: float, correct: float) -> None:
        self.ends.append(time.perf_counter())
        if len(self.ends) > TIMED_STEPS or self.ends[-1] - self.ends[0] > TIMED_SECONDS:
            raise _Enough

    @property
    def seconds(self) -> float:
        """Of a step, the first not counted where there are others: it makes what later ones find made."""
        if not self.ends:
            return 0.0
        spent = np.diff([self.began, *self.ends])
        return float(median(spent[1:] if len(spent) > 1 else spent))


def measured_rate(run: Run, trained: Dataset, backbone: Backbone, max_pixels: int) -> Rate:
    """What a run's method takes over the names of its data set.

    Args:
        trained: the run's data set, cut to the classes that are trained on.
    """
    forget_peak(str(backbone.device))
    extractor = InventedFeatures(backbone, cache=None, workers=0, max_pixels=max_pixels)
    settings = method_settings(run, trained)
    names = trained.prompt_names
    batch = run.training.batch_size * run.training.accumulate if run.training else 1
    samples = _as_many(trained, max(run.training_images, (TIMED_STEPS + 1) * batch))
    needs_all = method_class(run.method.name).has_setup()

    def fitted(steps: int, board: _Clock | None = None) -> Any:
        few = samples[: run.training_images] if needs_all else samples[: steps * batch]
        return fit(_shortened(settings), few, names, backbone, extractor, identity={}, board=board).method

    started = time.perf_counter()
    method = fitted(1)
    answering = Predictor(method)
    pictures = [sample.image for sample in (trained.test or trained.train)[:TIMED_PICTURES]]

    def answer(count: int) -> None:
        answering.logits(test_inputs(method, pictures[:count], extractor)[0], screening="off")

    first = _seconds(lambda: answer(1))
    once = time.perf_counter() - started
    more = len(pictures) if first < TIMED_SECONDS / len(pictures) else 1
    answer_s = _seconds(lambda: answer(more)) / more
    clock = _Clock()
    if run.training is not None:
        with suppress(_Enough):
            fitted(TIMED_STEPS + 1, clock)
    device = str(backbone.device)
    return Rate(len(names), once, clock.seconds, answer_s, peak_gpu_bytes(device) or peak_bytes())


def encoding_seconds(pictures: Sequence[Any], backbone: Backbone, max_pixels: int) -> float:
    """Seconds to open and encode a picture, from a few of them; the first ones are not counted."""
    extractor = FeatureExtractor(backbone, cache=None, workers=0, max_pixels=max_pixels)
    half = max(1, len(pictures) // 2)
    extractor.extract(pictures[:half])
    timed = pictures[half:] or pictures
    return _seconds(lambda: extractor.extract(timed)) / len(timed)


def _shortened(settings: MethodSettings) -> MethodSettings:
    """One epoch, one view: what a step takes stays the same."""
    if settings.training is None:
        return settings
    return replace(settings, training=replace(settings.training, epochs=1, iterations=None, warmup_epochs=0, views=1))


def _as_many(trained: Dataset, count: int) -> list[Sample]:
    """So many training samples, class after class as equally as can be; pictures may come again."""
    turns = [cycle(samples) for _, samples in sorted(group_by_label(trained.train).items())]
    return [next(turn) for turn in islice(cycle(turns), count)] if turns else []


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
