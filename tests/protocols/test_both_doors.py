"""The estimator and the benchmark: one fit, one evaluation, one rule for what they take."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlprompt import PromptClassifier
from vlprompt.backbones import Backbone
from vlprompt.data.catalogue import load_dataset
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, NonFiniteLogitsError
from vlprompt.experiments import MethodRun, Plan, run
from vlprompt.protocols import FEW_SHOT

NAMES = ("crane", "owl", "crane", "fox")


@pytest.fixture(autouse=True)
def as_many_threads(monkeypatch) -> None:
    """The benchmark takes as many threads as there are cores, and bits depend on their number."""
    import torch

    cores = set(range(torch.get_num_threads()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)


def _samples(names: tuple[str, ...], count: int, seed: int) -> tuple[Sample, ...]:
    chance = np.random.default_rng(seed)
    return tuple(
        Sample(np.clip(60 * label + chance.integers(0, 60, (32, 32, 3)), 0, 255).astype(np.uint8), label, name)
        for label, name in enumerate(names)
        for _ in range(count)
    )


def _dataset(*names: str) -> Dataset:
    return Dataset("birds", _samples(names, 3, 1), (), _samples(names, 4, 2))


def _benchmark(dataset: Dataset, backbone: Backbone, out: Path, method: MethodRun | str = "zero-shot"):
    plan = Plan(FEW_SHOT, (dataset,), (method,), shots=2, seeds=(1,), backbone=backbone)
    (record,) = run(plan, out, workers=1, progress=False, cache=None)
    return record


def _fitted(dataset: Dataset, backbone: Backbone, method: str = "zero-shot", **settings) -> PromptClassifier:
    classifier = PromptClassifier(method=method, backbone=backbone, shots=2, seed=1, cache=None, **settings)
    return classifier.fit(dataset)


@pytest.mark.parametrize("method", ["zero-shot", "coop", "cocoop", "kgcoop", "gda", "lp++", "tip-adapter-f"])
def test_both_name_every_picture_alike(tiny_backbone, tmp_path, method) -> None:
    dataset = _dataset("kite", "owl", "crane", "fox")
    training = {} if method in ("zero-shot", "gda", "lp++") else {"epochs": 3, "views": 2}
    record = _benchmark(dataset, tiny_backbone, tmp_path, MethodRun(method, training=training))
    recipe = "coop-few-shot-2" if method == "coop" else None
    classifier = _fitted(dataset, tiny_backbone, method, training=training or None, recipe=recipe)
    result, evaluation = record.results["test"], classifier.evaluate(dataset)
    guesses = classifier.predict([sample.image for sample in dataset.test])
    assert [record.dataset.classes["test"][label] for label in result.predictions] == list(guesses)
    assert (result.accuracy, result.macro_f1) == (evaluation.accuracy, evaluation.macro_f1)
    assert result.per_class_accuracy == evaluation.per_class
    assert record.final_loss == (classifier.fitted_.training["losses"][-1] if training else None)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (NAMES, "'crane' is given twice"),
        (("crane", "owl", "Crane", "fox"), "the same words"),
        (("caf\u00e9", "owl", "caf\u00c3\u00a9", "fox"), "are one prompt to the backbone"),
    ],
)
def test_both_refuse_two_classes_with_one_name_or_prompt(tiny_backbone, tmp_path, names, says) -> None:
    with pytest.raises(DataError, match=says):
        _benchmark(_dataset(*names), tiny_backbone, tmp_path / "out")
    with pytest.raises(DataError, match=says):
        _fitted(_dataset(*names), tiny_backbone)


@pytest.mark.parametrize("method", ["zero-shot", "gda"])
def test_both_take_published_names_as_they_are_and_tell_the_classes_apart(tiny_backbone, tmp_path, method) -> None:
    dataset = replace(_dataset(*NAMES), names_are_published=True)
    result = _benchmark(dataset, tiny_backbone, tmp_path / "out", method).results["test"]
    classifier = _fitted(dataset, tiny_backbone, method)
    assert list(classifier.classes_) == ["crane (0)", "owl", "crane (2)", "fox"]
    assert classifier.fitted_.class_words == {"crane (0)": "crane", "crane (2)": "crane"}
    assert classifier.evaluate(dataset).per_class == result.per_class_accuracy
    classifier.save(tmp_path / "model")
    images = [sample.image for sample in dataset.test]
    for again in (PromptClassifier.load(tmp_path / "model", tiny_backbone), pickle.loads(pickle.dumps(classifier))):
        assert list(again.predict(images)) == list(classifier.predict(images))


def test_names_of_a_split_file_are_published(tmp_path) -> None:
    from PIL import Image

    for split, count in (("train", 2), ("test", 1)):
        for label in range(2 * count):
            Image.new("RGB", (8, 8), (label, count, 0)).save(tmp_path / f"{split}{label}.png")
    rows = {
        split: [[f"{split}{label}.png", label // (count // 2), "missile"] for label in range(count)]
        for split, count in (("train", 4), ("test", 2))
    }
    file = tmp_path / "split_zhou_Things.json"
    file.write_text(json.dumps({**rows, "val": []}))
    assert load_dataset(file).names_are_published


BROKEN = """
from vlprompt.methods.zero_shot import ZeroShot

class Broken(ZeroShot):
    def class_features(self, image_features):
        return super().class_features(image_features) * float("nan")
"""


def test_neither_counts_answers_that_are_no_numbers(tiny_backbone, tmp_path) -> None:
    from vlprompt.errors import FailedRunsError

    (tmp_path / "broken.py").write_text(BROKEN)
    method = f"{tmp_path / 'broken.py'}:Broken"
    dataset = _dataset("kite", "owl", "crane", "fox")
    with pytest.raises(FailedRunsError, match="no finite numbers"):
        _benchmark(dataset, tiny_backbone, tmp_path / "out", MethodRun(method, "broken"))
    with pytest.raises(NonFiniteLogitsError):
        _fitted(dataset, tiny_backbone, method).evaluate(dataset)
