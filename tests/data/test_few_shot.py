"""Few-shot sampling against the picks that the published code made, and its properties."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.few_shot import FewerShotsWarning, sample_few_shot, warn_about_lost_shots
from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.splits import select_half
from vlprompt.errors import SettingsError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "reference_fewshot.json").read_text())
CASES = [pytest.param(case, id=f"{case['shots']}-shots-seed-{case['seed']}") for case in REFERENCE["cases"]]


def reference_samples(split: str) -> tuple[Sample, ...]:
    return tuple(Sample(Path(path), label, name) for path, label, name in REFERENCE[split])


def paths(samples: tuple[Sample, ...]) -> list[str]:
    return [Path(str(sample.image)).as_posix() for sample in samples]


def samples_of(labels: list[int]) -> tuple[Sample, ...]:
    return tuple(Sample(Path(f"{place}.png"), label, f"class {label}") for place, label in enumerate(labels))


def quietly(*arguments) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewerShotsWarning)
        return sample_few_shot(*arguments)


@pytest.mark.parametrize("case", CASES)
def test_the_picks_are_the_published_ones_in_the_same_order(case) -> None:
    train, val = quietly(reference_samples("train"), reference_samples("val"), case["shots"], case["seed"])
    assert paths(train) == case["train"]
    assert paths(val) == case["val"]


@pytest.mark.parametrize("half", ["base", "new"])
@pytest.mark.parametrize("case", CASES)
def test_the_halves_of_the_picks_are_the_published_ones(case, half) -> None:
    train, val = quietly(reference_samples("train"), reference_samples("val"), case["shots"], case["seed"])
    chosen = select_half(Dataset("reference", train, val, reference_samples("test")), half)
    for split in ("train", "test"):
        samples = getattr(chosen, split)
        assert [[path, sample.label] for path, sample in zip(paths(samples), samples, strict=True)] == case[half][split]


def test_one_warning_names_every_class_with_fewer_images_and_how_many_it_has() -> None:
    with pytest.warns(FewerShotsWarning) as caught:
        train, _ = sample_few_shot(samples_of([0, 0, 0, 1, 1, 2]), (), 3, 1)
    assert len(caught) == 1
    assert "'class 1' has 2, 'class 2' has 1" in str(caught[0].message)
    assert len(train) == 6


def test_enough_images_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample_few_shot(samples_of([0, 0, 1, 1]), samples_of([0]), 2, 1)


def test_no_number_of_shots_takes_every_image() -> None:
    samples = samples_of([1, 0, 1])
    assert sample_few_shot(samples, samples[:1], None, 1) == (samples, samples[:1])


@pytest.mark.parametrize("shots", [0, -1])
def test_less_than_one_shot_is_refused(shots) -> None:
    with pytest.raises(SettingsError, match=f"shots is {shots}; it must be a whole number of at least 1"):
        sample_few_shot(samples_of([0, 1]), (), shots, 1)


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 8), st.integers(0, 2**32))
def test_sampling_never_repeats_and_takes_as_many_as_there_are(labels, shots, seed) -> None:
    train, val = quietly(samples_of(labels), samples_of(labels), shots, seed)
    assert len(set(paths(train))) == len(train)
    for label in set(labels):
        assert sum(sample.label == label for sample in train) == min(shots, labels.count(label))
        assert sum(sample.label == label for sample in val) == min(shots, 4, labels.count(label))


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 8), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_picks(labels, shots, seed) -> None:
    samples = samples_of(labels)
    assert quietly(samples, samples, shots, seed) == quietly(samples, samples, shots, seed)


@pytest.mark.parametrize("shots", [2, None])
def test_a_class_without_training_images_is_named_whatever_is_asked_for(shots) -> None:
    with pytest.warns(FewerShotsWarning, match=r"'owl' has none"):
        sample_few_shot(samples_of([0, 0, 1, 1]), (), shots, 1, ["class 0", "class 1", "owl"])


def test_classes_that_lost_images_are_named_with_what_is_left() -> None:
    drawn = samples_of([0, 0, 1, 1, 2, 2])
    with pytest.warns(FewerShotsWarning, match=r"'class 1' has 1 of 2, 'class 2' has none of 2; a class with none"):
        warn_about_lost_shots(drawn, [0, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about_lost_shots(drawn, range(6))
