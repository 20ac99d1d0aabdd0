from __future__ import annotations

import pytest

from vlprompt.experiments.pace import Pace, training_steps
from vlprompt.experiments.plan import Run
from vlprompt.experiments.records import BackboneFacts, DatasetFacts, MethodFacts
from vlprompt.recipes import TrainingSettings


def _run(dataset: str, method: str, epochs: int = 0, batch_size: int = 1) -> Run:
    facts = DatasetFacts(dataset, dataset, "", "{}.", {"base": tuple("abc"), "new": tuple("de")}, 480)
    training = TrainingSettings(epochs=epochs, batch_size=batch_size) if epochs else None
    backbone, facts_of_method = BackboneFacts("b", "", "fp32", "cpu"), MethodFacts(method, method, bool(epochs), {})
    return Run("base-to-new", facts, backbone, facts_of_method, 16, 1, training, training_images=3 * 16)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("vlprompt.experiments.pace.time.monotonic", lambda: now[0])
    return now


def test_steps_are_those_of_the_few_images_that_are_drawn():
    assert training_steps(_run("a", "coop", epochs=200, batch_size=32)) == 200 * 2  # 3 classes of 16
    assert training_steps(_run("a", "zero-shot")) == 0


def test_nothing_is_promised_before_a_run_has_told_anything(clock):
    pace = Pace([_run("a", "zero-shot"), _run("a", "coop", 10)], workers=1)
    assert pace.seconds_left() is None
    pace.started(_run("a", "zero-shot"))
    clock[0] += 1
    pace.ended(_run("a", "zero-shot"))
    assert pace.seconds_left() is None  # zero-shot says nothing about training


def test_a_methods_runs_take_as_long_as_its_finished_ones(clock):
    runs = [_run(dataset, "coop", 10) for dataset in "abc"]
    pace = Pace(runs, workers=2)
    pace.started(runs[0])
    clock[0] += 8
    assert pace.ended(runs[0]) == pytest.approx(8)
    assert pace.seconds_left() == pytest.approx(2 * 8 / 2)
    pace.started(runs[1])
    clock[0] += 6
    assert pace.seconds_left() == pytest.approx((2 + 8) / 2)


def test_a_method_not_seen_yet_is_judged_by_its_steps(clock):
    coop, cocoop = _run("a", "coop", 10), _run("a", "cocoop", 30)
    pace = Pace([coop, cocoop], workers=1)
    pace.started(coop)
    clock[0] += 5
    pace.ended(coop, train_s=4)
    assert pace.seconds_left() == pytest.approx(1 + 3 * 4)
