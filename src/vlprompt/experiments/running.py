"""One run: draw a few images, train on those of the protocol's classes, name the images of each of its tests."""

from __future__ import annotations

import os
import platform
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.few_shot import FewerShotsWarning
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import Dataset, Sample
from vlprompt.escaping import for_terminal, for_terminal_lines
from vlprompt.experiments.git_state import git_states
from vlprompt.experiments.plan import Run
from vlprompt.experiments.protocol import Protocol
from vlprompt.experiments.records import Machine, NearestWord, ResultRecord, TestResult, Times, write_record
from vlprompt.experiments.used_pictures import Draw, draw
from vlprompt.model.evaluation import evaluate
from vlprompt.model.fitting import MethodSettings, fit
from vlprompt.model.inputs import frozen_features, test_inputs
from vlprompt.process.peak_memory import forget_peak, peak_bytes, peak_gpu_bytes
from vlprompt.progress import Board, Counting, OnProgress

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.features import EvaluationPixels, FeatureExtractor
    from vlprompt.methods.method import Method

WORK_FOLDER = "work"
"""Below the output folder: what stopped runs continue from. Empty when all is done."""
KEPT_BYTES = 256_000_000
"""Of test images' features that a process keeps at hand, at most; the last test's in any case."""


@dataclass
class Bench:
    """What the runs of one process share.

    Attributes:
        sources: what `load_dataset` takes, or the data set itself, by name.
        feature_workers: processes for opening images; 0 in a process that is a worker itself.
        max_pixels: bounds the memory that opening an image takes.
        draws: training images by data set, shots and seed; those that are not here are drawn from the data set.
    """

    out: Path
    protocol: Protocol
    backbone: Backbone
    sources: Mapping[str, str | Path | Dataset]
    cache: str | Path | None = "default"
    feature_workers: int | str = 0
    max_pixels: int = MAX_PIXELS
    draws: Mapping[tuple[str, int, int], Draw] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _tests: dict[tuple[str, ...], dict[str, Dataset]] = field(default_factory=dict)
    _test_inputs: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def dataset(self, name: str) -> Dataset:
        """A data set, loaded once."""
        if name not in self._datasets:
            source = self.sources[name]
            self._datasets[name] = source if isinstance(source, Dataset) else load_dataset(source)
        return self._datasets[name]

    def draw(self, name: str, shots: int, seed: int) -> Draw:
        """The training images of a run."""
        return self.draws.get((name, shots, seed)) or draw(self.protocol, self.dataset(name), shots, seed)

    def extractor(self, on_progress: OnProgress | None = None) -> FeatureExtractor:
        """Features of this bench's backbone through the cache on disk."""
        from vlprompt.features import FeatureExtractor

        return FeatureExtractor(
            self.backbone,
            cache=self.cache,
            workers=self.feature_workers,
            max_pixels=self.max_pixels,
            on_progress=on_progress,
        )

    def tests(self, run: Run) -> dict[str, Dataset]:
        """The tests of a run, made once for all runs with these data sets."""
        needed = (run.dataset.name, *run.dataset.targets)
        if needed not in self._tests:
            self._tests[needed] = self.protocol.all_tests(needed[0], {name: self.dataset(name) for name in needed})
        return {test: self._tests[needed][test] for test in run.dataset.classes}

    def test_inputs(
        self, method: Method, name: str, test: str, part: Dataset, on_progress: OnProgress | None = None
    ) -> Tensor | EvaluationPixels:
        """What the method reads of the images of a test on a data set; features of the last tests are kept at hand."""
        images = [sample.image for sample in part.test]
        if method.reads == "pixels":
            return test_inputs(method, images, self.extractor(on_progress))[0]
        key = name, test
        if key not in self._test_inputs:
            self._test_inputs[key], _ = frozen_features(images, self.extractor(on_progress))
            while sum(kept.nbytes for kept in self._test_inputs.values()) > KEPT_BYTES and len(self._test_inputs) > 1:
                del self._test_inputs[next(iter(self._test_inputs))]
        return self._test_inputs[key]


def compute(run: Run, bench: Bench, board: Board) -> ResultRecord:
    """Train and test one run, and write its record.

    A run that was stopped continues from its checkpoint, to the same bits.
    """
    dataset, name = bench.dataset(run.dataset.name), run.dataset.name
    forget_peak(run.backbone.device)
    work = bench.out / WORK_FOLDER / run.settings_hash
    with _showing_features(run, board) as on_progress:
        fitted = fit(
            method_settings(run, dataset),
            _few_images(run, bench) if run.method.learns else (),
            bench.protocol.trained(dataset).prompt_names,
            bench.backbone,
            bench.extractor(on_progress),
            identity={"run": run.settings_hash},
            checkpoint=work / "checkpoint",
            board=board,
            title=run.name,
        )
        started = time.perf_counter()
        tests = bench.tests(run)
        inputs = {test: bench.test_inputs(fitted.method, name, test, part, on_progress) for test, part in tests.items()}
        encoded = time.perf_counter()
        # Within the row, because pixels are read only now.
        results = {test: _test(fitted.method, inputs[test], part) for test, part in tests.items()}
    features_s = encoded - started + fitted.record.get("features_s", 0.0)
    train_s = sum(fitted.record.get(part, 0.0) for part in ("choosing_s", "setup_s", "train_s"))
    words = nearest_words(fitted.method) if bench.protocol.keeps_words else ()
    record = _record(run, results, words, fitted.record, Times(features_s, train_s, time.perf_counter() - encoded))
    write_record(bench.out, record)
    shutil.rmtree(work, ignore_errors=True)
    return record


def method_settings(run: Run, dataset: Dataset) -> MethodSettings:
    """What `fit` is told of a run's method."""
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in run.method.options.items()}
    return MethodSettings(
        run.method.name,
        options,
        run.dataset.template,
        run.seed,
        run.training,
        one_prompt_allowed=dataset.names_are_published,
    )


def _showing_features(run: Run, board: Board) -> closing[Counting]:
    """A row for the images that must be encoded, where there are any; a warm cache shows none."""
    return closing(Counting(board, f"{run.dataset.name} images", "img"))


def _few_images(run: Run, bench: Bench) -> Sequence[Sample]:
    few = bench.draw(run.dataset.name, run.shots, run.seed)
    for words in few.warnings:
        warnings.warn(words, FewerShotsWarning, stacklevel=2)
    return few.samples


def _test(method: Method, inputs: Tensor | EvaluationPixels, test: Dataset) -> TestResult:
    from vlprompt.model.prediction import Predictor

    names, places = test.prompt_names, None
    if not method.takes_other_names:
        places = places_of(names, method.class_names)
    elif names != method.class_names or test.template != method.template:
        method = method.over(names, test.template, one_prompt_allowed=test.names_are_published)
    truth = np.array([sample.label for sample in test.test])
    return TestResult.of(truth, *evaluate(Predictor(method), inputs, truth, test.class_names, places=places))


def places_of(names: Sequence[str], trained: Sequence[str]) -> list[list[int]] | None:
    """Under which trained labels each name stands; None where they are the trained names in their order.

    Published names may repeat. Where as many classes have a name as were trained, they are told apart by their order;
    where fewer have it, which of the trained ones they are cannot be known, and they stand for all of them.
    """
    if list(names) == list(trained):
        return None
    labels: dict[str, list[int]] = {}
    for label, name in enumerate(trained):
        labels.setdefault(name, []).append(label)
    counts, met = Counter(names), Counter[str]()
    places = []
    for name in names:
        found = labels[name]
        places.append([found[met[name]]] if counts[name] == len(found) else found)
        met[name] += 1
    return places


def nearest_words(method: Method) -> tuple[NearestWord, ...]:
    """The nearest words of a method's context vectors; nothing where it has none, or one context a class."""
    from vlprompt.methods.prompt_learner import PromptLearner

    if not isinstance(method, PromptLearner) or method.context_vectors.ndim != 2:
        return ()
    return tuple(NearestWord(token, round(distance, 4)) for token, distance in method.nearest_words())


def _record(
    run: Run, results: dict[str, TestResult], words: tuple[NearestWord, ...], of_fit: Mapping[str, Any], times: Times
) -> ResultRecord:
    from vlprompt.model.card import package_versions

    return ResultRecord(
        protocol=run.protocol,
        settings_hash=run.settings_hash,
        dataset=run.dataset,
        backbone=run.backbone,
        method=run.method,
        shots=run.shots,
        seed=run.seed,
        training=None if run.training is None else run.training.as_dict(),
        results=results,
        final_loss=of_fit["losses"][-1] if "losses" in of_fit else None,
        losses=tuple(of_fit.get("losses", ())),
        times=times,
        versions=package_versions(),
        machine=this_machine(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        peak_bytes=peak_bytes(),
        peak_gpu_bytes=peak_gpu_bytes(run.backbone.device),
        git=git_states(),
        nearest_words=words,
    )


def this_machine() -> Machine:
    """The machine that computes, and how many threads torch has."""
    import torch

    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=_memory_bytes(),
    )


def _processor() -> str:
    """The processor's name; Linux tells it in one file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def describe_failure(error: BaseException) -> str:
    """An error of ours in its own words, all lines of them, and another in one line with its kind."""
    from vlprompt.errors import VlpromptError

    if isinstance(error, VlpromptError):
        return for_terminal_lines(str(error))
    text: Any = str(error).splitlines()[0] if str(error) else ""
    return for_terminal(f"{type(error).__name__}: {text}".rstrip(": "))
