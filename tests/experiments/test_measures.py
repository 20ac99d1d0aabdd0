from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from vlprompt.experiments.measures import measure


def test_accuracy_is_over_images_and_f1_over_classes():
    true = [0, 0, 0, 0, 1, 2]
    predicted = np.array([0, 0, 0, 0, 2, 1])
    result = measure(predicted, true, ["a", "b", "c"])
    assert (result.correct, result.total) == (4, 6)
    assert result.accuracy == pytest.approx(100 * 4 / 6)
    assert result.macro_f1 == pytest.approx(100 * f1_score(true, predicted, average="macro"))
    assert result.per_class_accuracy == {"a": 100.0, "b": 0.0, "c": 0.0}
    assert result.predictions == (0, 0, 0, 0, 2, 1)


def test_a_class_without_test_images_does_not_count_in_f1():
    assert measure(np.array([0, 0, 2]), [0, 0, 0], ["a", "b", "c"]).macro_f1 == pytest.approx(80)


def test_two_classes_of_one_name_stay_apart():
    result = measure(np.array([0, 0]), [0, 1], ["crane", "crane"])
    assert result.per_class_accuracy == {"crane (0)": 100.0, "crane (1)": 0.0}
