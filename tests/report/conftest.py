"""Made-up result records with plausible numbers, and a browser."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from tests.report.chromium import Chromium
from vlprompt.experiments.records import (
    BackboneFacts,
    DatasetFacts,
    Machine,
    MethodFacts,
    ResultRecord,
    TestResult,
    Times,
    hash_settings,
)

CENTRES = {"zero-shot": (80.6, 82.9), "coop": (85.9, 79.5), "cocoop": (83.3, 82.3)}
WORDS = ["red apple", "okapi", "teapot", "kite", "violin", "beach", "cable car", "owl", "pizza", "crab", "tent", "fox"]


def make_record(
    dataset: str, method: str, seed: int, base: float, new: float, *, backbone: str = "mini", source: str = "nowhere",
    shots: int = 16, total: int = 900,
) -> ResultRecord:  # fmt: skip
    learns = not method.startswith("zero-shot")
    names = [f"{word}" for word in WORDS]
    return ResultRecord(
        protocol="base-to-new",
        settings_hash=hash_settings({"dataset": dataset, "method": method, "seed": seed}),
        dataset=DatasetFacts(
            dataset, source, "d" * 16, "a drawing of a {}.", {"base": tuple(names[:6]), "new": tuple(names[6:])}, 96
        ),
        backbone=BackboneFacts(backbone, "b" * 16, "fp32", "cpu"),
        method=MethodFacts(method, method, learns, {"context_length": 4} if learns else {}),
        shots=shots,
        seed=seed,
        training={"epochs": 200 if method == "coop" else 10, "batch_size": 32} if learns else None,
        results={"base": _half(base, total, names[:6]), "new": _half(new, total, names[6:])},
        final_loss=0.412 if learns else None,
        times=Times(1.25, 14.5 if learns else 0.0, 0.2),
        versions={"vlprompt": "0.1.0", "torch": "2.14.1", "python": "3.12.1"},
        machine=Machine("Linux x86_64", "A processor of two cores", 2, 1, 8 * 2**30),
        finished="2026-11-24T06:00:00+00:00",
    )


def _half(accuracy: float, total: int, names: list[str]) -> TestResult:
    correct = round(accuracy / 100 * total)
    predictions = tuple(index % len(names) for index in range(total))
    return TestResult(100 * correct / total, accuracy - 1, correct, total, dict.fromkeys(names, accuracy), predictions)


@pytest.fixture(scope="session")
def record_of() -> Callable[..., ResultRecord]:
    return make_record


@pytest.fixture(scope="session")
def records() -> list[ResultRecord]:
    """Six data sets, three methods, three seeds; CoCoOp better than CoOp on new classes on average."""
    chance = random.Random(7)
    made = []
    for dataset in ("activities", "animals", "faces", "food", "objects", "travel"):
        offset = chance.uniform(-9, 9)
        tilt = chance.uniform(-3, 3)
        for method, (base, new) in CENTRES.items():
            shift = tilt if method == "cocoop" else 0
            for seed in (1, 2, 3) if method != "zero-shot" else (0,):
                noise = [chance.gauss(0, 0.5) if method != "zero-shot" else 0 for _ in range(2)]
                made.append(
                    make_record(
                        f"emoji-{dataset}", method, seed, base + offset + noise[0], new + offset + shift + noise[1]
                    )
                )
    return made


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is on this machine, so the page cannot be looked at")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


KINDS = {"zero-shot": True, "coop": True, "cocoop": True, "gda": False, "lp++": False, "auto": False}
"""Methods of made-up few-shot records, and whether they take names without pictures."""
FEW_SHOT_CENTRES = {
    "zero-shot": {"test": (71, 71), "3d": (70, 70), "high-contrast": (44, 44)},
    "coop": {"test": (74, 88), "3d": (71, 80), "high-contrast": (42, 47)},
    "cocoop": {"test": (72, 78), "3d": (70, 73), "high-contrast": (43, 43)},
    "gda": {"test": (87, 98.3), "3d": (78, 95), "high-contrast": (52, 68)},
    "lp++": {"test": (88, 98.0), "3d": (80, 94), "high-contrast": (53, 67)},
    "auto": {"test": (87.5, 98.2), "3d": (79, 94.8), "high-contrast": (52, 67.5)},
}
"""Accuracy with 1 and 16 shots."""


def make_few_shot_record(
    dataset: str, method: str, shots: int, seed: int, results: dict[str, float], *, source: str = "nowhere",
    total: int = 1000,
) -> ResultRecord:  # fmt: skip
    """A record of the few-shot protocol: the shape that `vlprompt benchmark few-shot` writes."""
    made = make_record(dataset, method, seed, 0, 0, shots=shots, source=source)
    return replace(
        made,
        protocol="few-shot",
        method=replace(made.method, open_names=KINDS.get(method, True)),
        training=made.training if method in ("coop", "cocoop") else None,
        dataset=replace(made.dataset, classes=dict.fromkeys(results, tuple(WORDS))),
        results={test: _half(accuracy, total, WORDS) for test, accuracy in results.items()},
    )


def make_few_shot_records(
    datasets: Sequence[str] = ("animals", "food", "travel"),
    methods: Sequence[str] = tuple(KINDS),
    shots: Sequence[int] = (1, 2, 4, 8, 16),
    seeds: Sequence[int] = (1, 2, 3),
    tests: Sequence[str] = ("test", "3d", "high-contrast"),
) -> list[ResultRecord]:
    chance = random.Random(3)
    made = []
    for dataset in datasets:
        offset = chance.uniform(-2, 1)
        for method in methods:
            fixed = method == "zero-shot"
            for number in (0,) if fixed else shots:
                part = math.log2(max(number, 1)) / 4
                for seed in (0,) if fixed else seeds:
                    results = {
                        test: low + (high - low) * part + offset + (0 if fixed else chance.gauss(0, 0.3))
                        for test, (low, high) in FEW_SHOT_CENTRES[method].items()
                        if test in tests
                    }
                    made.append(make_few_shot_record(f"emoji-{dataset}", method, number, seed, results))
    return made


@pytest.fixture(scope="session")
def few_shot_record_of() -> Callable[..., ResultRecord]:
    return make_few_shot_record


@pytest.fixture(scope="session")
def few_shot_records_of() -> Callable[..., list[ResultRecord]]:
    """Heads better than prompts from 1 shot on, in every style."""
    return make_few_shot_records
