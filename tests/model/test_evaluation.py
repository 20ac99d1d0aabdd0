"""What an evaluation says: its measures, its interval, what it is held against, and what it is read from."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from vlprompt.errors import DataError
from vlprompt.model.evaluation import NORMAL_QUANTILE, ClassResult, Evaluation, measure, wilson_interval

NAMES = ["cat", "dog", "owl", "yak"]
ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def evaluation_of(answers: list[tuple[int, int, int]]) -> Evaluation:
    """Of (true, predicted, zero-shot) labels."""
    truth, predicted, zero_shot = np.array(answers).T
    return measure(truth, predicted, NAMES, zero_shot)


@given(ANSWERS)
def test_balanced_accuracy_is_that_of_scikit_learn(answers) -> None:
    truth, predicted, zero_shot = np.array(answers).T
    evaluation = evaluation_of(answers)
    assert evaluation.balanced_accuracy == pytest.approx(_balanced(truth, predicted))
    assert evaluation.zero_shot_balanced == pytest.approx(_balanced(truth, zero_shot))


def _balanced(truth: np.ndarray, predicted: np.ndarray) -> float:
    # scikit-learn warns of predicted classes without pictures, which count nowhere in either.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return 100 * float(balanced_accuracy_score(truth, predicted))


@given(ANSWERS)
def test_the_classes_account_for_every_picture_and_their_mistakes_are_real(answers) -> None:
    evaluation = evaluation_of(answers)
    assert [entry.name for entry in evaluation.classes] == NAMES
    assert sum(entry.pictures for entry in evaluation.classes) == evaluation.total == len(answers)
    assert sum(entry.correct for entry in evaluation.classes) == evaluation.correct
    for label, entry in enumerate(evaluation.classes):
        wrong = [predicted for true, predicted, _ in answers if true == label != predicted]
        assert entry.mistakes == max((wrong.count(other) for other in wrong), default=0)
        assert (entry.mistaken_for is None) == (not wrong)
        if wrong:
            assert wrong.count(NAMES.index(entry.mistaken_for)) == entry.mistakes


@given(ANSWERS)
def test_chance_and_the_most_frequent_class_do_not_depend_on_the_answers(answers) -> None:
    evaluation = evaluation_of(answers)
    counts = [sum(true == label for true, _, _ in answers) for label in range(4)]
    assert evaluation.chance == 25
    assert evaluation.majority == pytest.approx(100 * max(counts) / len(answers))
    assert counts[NAMES.index(evaluation.majority_class)] == max(counts)
    assert evaluation.majority >= evaluation.chance - 1e-9


@given(ANSWERS)
def test_what_is_written_is_read_back_through_json(answers) -> None:
    evaluation = evaluation_of(answers)
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))) == evaluation


def test_an_uneven_set_has_a_high_accuracy_and_a_low_balanced_one() -> None:
    truth = np.array([0] * 299 + [1] * 3)
    evaluation = measure(truth, np.zeros(302, int), ["ok", "broken"])
    assert evaluation.accuracy == pytest.approx(99.0066, abs=1e-4)
    assert evaluation.balanced_accuracy == 50
    assert (evaluation.majority, evaluation.majority_class) == (evaluation.accuracy, "ok")
    assert evaluation.uneven
    assert evaluation.classes[1] == ClassResult("broken", 3, 0, "ok", 3)


def test_a_class_without_pictures_is_listed_and_counts_in_no_mean() -> None:
    evaluation = measure(np.array([0, 0, 1]), np.array([0, 2, 1]), NAMES)
    assert evaluation.untested == ["owl", "yak"]
    assert evaluation.balanced_accuracy == 75
    assert set(evaluation.per_class) == {"cat", "dog"}


def test_nothing_to_evaluate_is_refused() -> None:
    with pytest.raises(DataError, match="no pictures"):
        measure(np.array([], int), np.array([], int), NAMES)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_ends_where_the_score_test_does(counts) -> None:
    correct, total = counts
    share = correct / total
    low, high = (end / 100 for end in wilson_interval(correct, total))

    assert 0 <= low <= share <= high <= 1
    assert low < high
    for end in (low, high):
        if end not in (0, 1):  # as many standard errors away as the quantile says, the error being that of the end
            assert abs(share - end) == pytest.approx(NORMAL_QUANTILE * math.sqrt(end * (1 - end) / total), rel=1e-6)
    assert (low == 0) == (correct == 0)
    assert (high == 1) == (correct == total)


def test_what_an_older_version_saved_is_read_with_what_it_has() -> None:
    older = {"accuracy": 50.0, "macro_f1": 40.0, "correct": 1, "total": 2, "per_class": {"cat": 100.0, "dog": 0.0}}
    evaluation = Evaluation.from_dict(older)
    assert (evaluation.accuracy, evaluation.per_class) == (50.0, older["per_class"])
    assert (evaluation.balanced_accuracy, evaluation.zero_shot, evaluation.interval) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": math.nan},
        {"accuracy": True},
        {"total": 10**400},
        {"macro_f1": None},
        {"chance": "33"},
        {"zero_shot": math.inf},
        {"interval": [1.0]},
        {"interval": [1.0, "x"]},
        {"per_class": [1.0]},
        {"per_class": {"cat": math.nan}},
        {"majority_class": 3},
        {"classes": {"cat": 1}},
        {"classes": [{"pictures": 1}]},
        {"classes": [{"name": "cat", "pictures": "1", "correct": 1, "mistakes": 0}]},
    ],
)
def test_a_value_that_is_none_of_ours_is_refused(changes) -> None:
    values = evaluation_of([(0, 0, 0), (1, 0, 1)]).as_dict() | changes
    with pytest.raises(ValueError, match=next(iter(changes))):
        Evaluation.from_dict(values)


def test_equal_answers_are_settled_by_the_order_of_the_classes() -> None:
    evaluation = measure(np.array([3, 3, 3, 3]), np.array([2, 1, 1, 2]), NAMES)
    assert evaluation.classes[3] == ClassResult("yak", 4, 0, "dog", 2)
    assert replace(evaluation, total=5) != evaluation


def test_two_classes_of_one_name_stay_apart() -> None:
    result = measure(np.array([0, 1]), np.array([0, 0]), ["crane", "crane", "owl"])
    assert result.per_class == {"crane (0)": 100.0, "crane (1)": 0.0}
    assert [entry.name for entry in result.classes] == ["crane (0)", "crane (1)", "owl"]


def test_equal_predictions_have_accuracies_equal_to_the_bit() -> None:
    truth = np.zeros(29, int)
    predicted = np.array([0] * 11 + [1] * 18)
    result = measure(truth, predicted, ["a", "b"], predicted)
    assert result.accuracy == result.zero_shot
