"""Made-up result records with plausible numbers, and a browser."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.report.chromium import Chromium
from vlprompt.experiments.records import (
    BackboneFacts,
    DatasetFacts,
    HalfResult,
    Machine,
    MethodFacts,
    ResultRecord,
    Results,
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
        dataset=DatasetFacts(dataset, source, "d" * 16, "a drawing of a {}.", tuple(names[:6]), tuple(names[6:]), 96),
        backbone=BackboneFacts(backbone, "b" * 16, "fp32", "cpu"),
        method=MethodFacts(method, method, learns, {"context_length": 4} if learns else {}),
        shots=shots,
        seed=seed,
        training={"epochs": 200 if method == "coop" else 10, "batch_size": 32} if learns else None,
        results=Results(_half(base, total, names[:6]), _half(new, total, names[6:])),
        final_loss=0.412 if learns else None,
        times=Times(1.25, 14.5 if learns else 0.0, 0.2),
        versions={"vlprompt": "0.1.0", "torch": "2.14.1", "python": "3.12.1"},
        machine=Machine("Linux x86_64", "A processor of two cores", 2, 1, 8 * 2**30),
        finished="2026-11-24T06:00:00+00:00",
    )


def _half(accuracy: float, total: int, names: list[str]) -> HalfResult:
    correct = round(accuracy / 100 * total)
    predictions = tuple(index % len(names) for index in range(total))
    return HalfResult(100 * correct / total, accuracy - 1, correct, total, dict.fromkeys(names, accuracy), predictions)


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
