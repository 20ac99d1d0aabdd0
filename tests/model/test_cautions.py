"""A result that is no better than no training says so, and one that is stays quiet."""

from __future__ import annotations

import numpy as np
import pytest

from vlprompt.model.cautions import against_what, cautions, drawn_words, knows_only_drawings, untested_words
from vlprompt.model.evaluation import Evaluation, measure


def result(correct: int, zero_shot: int, total: int = 300, classes: int = 3, **options) -> Evaluation:
    """Even classes of which the first `correct` pictures are named right, by zero-shot the first `zero_shot`."""
    truth = np.arange(total) % classes
    answers = [np.where(np.arange(total) < count, truth, (truth + 1) % classes) for count in (correct, zero_shot)]
    return measure(truth, answers[0], [f"class {n}" for n in range(classes)], answers[1], **options)


def words(evaluation: Evaluation, learns: bool = True) -> str:
    return " ".join(cautions(evaluation, learns))


def test_a_result_that_is_plainly_better_has_no_cautions() -> None:
    assert cautions(result(270, 150), uses_pictures=True) == []


@pytest.mark.parametrize(
    ("correct", "zero_shot", "how"),
    [(150, 200, "worse than zero-shot"), (195, 200, "no better than zero-shot"), (205, 200, "not clearly better than")],
)
def test_a_training_that_won_nothing_says_so_with_both_figures(correct, zero_shot, how) -> None:
    said = words(result(correct, zero_shot))
    assert how in said
    assert f"{correct / 3:.1f}%" in said
    assert f"{zero_shot / 3:.1f}%" in said


def test_what_to_do_follows_from_which_is_ahead() -> None:
    assert "method='zero-shot'" in words(result(195, 200))
    assert "method='zero-shot'" not in words(result(205, 200))


def test_a_result_at_chance_says_so_with_what_to_do() -> None:
    said = words(result(95, 30))
    assert "not clearly better than guessing (33.3%)" in said
    assert "labels" in said


def test_too_few_pictures_are_not_blamed_on_the_labels() -> None:
    said = words(result(4, 0, total=9))
    assert "9 test pictures are too few to tell" in said
    assert "labels" not in said


def test_a_result_below_chance_is_called_worse() -> None:
    assert "worse than guessing" in words(result(40, 20))


def test_zero_shot_is_not_held_against_itself() -> None:
    assert cautions(result(200, 200), uses_pictures=False) == []
    assert "zero-shot" not in against_what(result(200, 200), uses_pictures=False)


def test_uneven_classes_are_held_against_the_most_frequent_one() -> None:
    truth = np.array([0] * 299 + [1] * 3)
    predicted = truth.copy()
    predicted[:4] = 1
    said = words(measure(truth, predicted, ["ok", "broken"], np.zeros(302, int)))
    assert "always naming 'ok' (99.0%)" in said
    assert "go by the balanced accuracy" in said


def test_a_training_that_learned_only_what_is_frequent_says_that_rare_classes_lose() -> None:
    truth = np.array([0] * 280 + [1] * 20)
    before = truth.copy()
    before[:100] = 1
    evaluation = measure(truth, np.zeros(300, int), ["ok", "broken"], before)
    assert evaluation.accuracy > evaluation.zero_shot
    assert "the rare classes lose" in words(evaluation)


def test_pictures_that_were_trained_on_are_called_so_and_are_compared_with_nothing() -> None:
    (said,) = cautions(result(150, 200, trained_on=True), uses_pictures=True)
    assert "was trained on" in said
    assert "fewer shots" in said


def test_chance_zero_shot_and_the_most_frequent_class_stand_beside_an_accuracy() -> None:
    even, uneven = result(270, 150), measure(np.array([0, 0, 0, 1]), np.zeros(4, int), ["a", "b"], np.ones(4, int))
    assert against_what(even) == (
        "On the same pictures: zero-shot, without training, 50.0%; guessing among 3 classes (chance) 33.3%."
    )
    assert "zero-shot, without training, 25.0% (balanced 50.0%); always 'a', the most frequent, 75.0%" in against_what(
        uneven
    )


def test_an_evaluation_of_an_older_version_says_nothing_that_it_does_not_know() -> None:
    older = Evaluation(50.0, 50.0, 1, 2, {})
    assert against_what(older) == ""
    assert cautions(older, uses_pictures=True) == []


def test_many_classes_without_pictures_are_counted_and_the_first_named() -> None:
    assert untested_words(["owl"], 3) == "1 of 3 classes has no picture in this test and counts nowhere: 'owl'."
    said = untested_words([f"c{n}" for n in range(40)], 50)
    assert said.startswith("40 of 50 classes have")
    assert said.endswith("'c9' and 30 others.")


def test_how_many_pictures_are_used_is_said_with_how_to_use_all() -> None:
    assert drawn_words(94, 199, 16) == (
        "It was trained on 94 of 199 training pictures, at most 16 a class (shots=None: on all)."
    )
    assert drawn_words(30, 30, 16) == "It was trained on all 30 training pictures."
    assert drawn_words(199, 199, None) == "It was trained on all 199 training pictures."


@pytest.mark.parametrize(
    ("backbone", "bundled", "only"), [("mini", "", True), ("mini", "emoji-food/flat", False), ("ViT-B-16", "", False)]
)
def test_mini_is_out_of_its_depth_on_whatever_is_not_bundled(backbone, bundled, only) -> None:
    assert knows_only_drawings(backbone, bundled) == only
