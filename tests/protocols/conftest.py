"""Coloured pictures as data sets, and runs of any protocol on them that take no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlprompt.data.samples import Dataset, Sample
from vlprompt.experiments import MethodRun, Plan, ResultRecord, run
from vlprompt.experiments.protocol import Protocol


def coloured(name: str, names: Sequence[str], *, seed: int = 1, template: str = "a photo of a {}.") -> Dataset:
    """A data set with a colour a class, two training and two test pictures of each."""
    chance = np.random.default_rng(seed)

    def samples() -> tuple[Sample, ...]:
        return tuple(
            Sample(np.clip(40 * label + chance.integers(0, 60, (32, 32, 3)), 0, 255).astype(np.uint8), label, word)
            for label, word in enumerate(names)
            for _ in range(2)
        )

    return Dataset(name, samples(), (), samples(), template)


def without_training(dataset: Dataset) -> Dataset:
    """Test pictures only, as the shifted versions of ImageNet are."""
    return replace(dataset, train=())


@pytest.fixture
def benchmark(tiny_backbone, tmp_path: Path) -> Callable[..., list[ResultRecord]]:
    """Runs a protocol over data sets with one shot and two epochs; the same folder every time."""

    def compute(
        protocol: Protocol, datasets: Sequence[Dataset], methods: Sequence[str | MethodRun], **changes
    ) -> list[ResultRecord]:
        training = changes.pop("training", {"epochs": 2, "views": 2})
        plan = Plan(
            protocol,
            tuple(datasets),
            tuple(methods),
            **{"shots": 1, "seeds": (1,), "backbone": tiny_backbone, "training": training, **changes},
        )
        return run(plan, tmp_path / "out", workers=1, progress=False, cache=None)

    return compute
