"""What labelled pictures say of a classifier: how often it is right, how sure that is, and beside what it stands.

An accuracy alone says little. Beside it stand what needs no training (zero-shot prompts on the same pictures) and no
look at the picture (always naming the most frequent class, or guessing), the interval that so many pictures leave open,
and what becomes of each class, which the accuracy over uneven classes hides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from vlprompt.data.samples import told_apart
from vlprompt.errors import DataError
from vlprompt.model.calibration import Calibration, calibration_of

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.features import EvaluationPixels
    from vlprompt.model.prediction import Predictor

NORMAL_QUANTILE = 1.959963984540054
"""Of 0.975, for intervals of 95%."""
LARGEST = 2**53
"""No share or number of pictures that is read is beyond this."""


class UntestedClassesWarning(UserWarning):
    """Classes of which no picture was evaluated; what was measured says nothing of them."""


@dataclass(frozen=True)
class ClassResult:
    """What became of the pictures of one class.

    Attributes:
        pictures: how many were evaluated; 0 for a class that was not tested.
        correct: how many of them were named right.
        mistaken_for: the most frequent wrong answer; None where there is none.
        mistakes: how many pictures got that answer.
    """

    name: str
    pictures: int
    correct: int
    mistaken_for: str | None = None
    mistakes: int = 0


@dataclass(frozen=True)
class Evaluation:
    """How well labelled pictures are named. Shares are in percent; what older versions did not save is None.

    Attributes:
        accuracy: correct in percent of all pictures.
        macro_f1: mean over the classes of their F1 scores.
        correct, total: numbers of pictures.
        per_class: accuracy by class name, of the classes that have pictures.
        balanced_accuracy: mean of `per_class`, in which a rare class counts as much as a frequent one.
        interval: the 95% interval of the accuracy (Wilson), for other pictures of the same kind.
        chance: what guessing gets right, 100 / N for the N classes of the model.
        majority: what naming always the most frequent class gets right of these pictures; at least `chance`, and equal
            to it where all classes have equally many pictures.
        majority_class: that class.
        zero_shot: accuracy of the untrained template on the same pictures.
        zero_shot_balanced: its balanced accuracy.
        classes: every class of the model, tested or not.
        trained_on: the pictures are those that the model was trained on, so that the accuracy flatters it.
        cross_validated: each picture was named by a model that had not learned from it, but from the others.
    """

    accuracy: float
    macro_f1: float
    correct: int
    total: int
    per_class: dict[str, float]
    balanced_accuracy: float | None = None
    interval: tuple[float, float] | None = None
    chance: float | None = None
    majority: float | None = None
    majority_class: str | None = None
    zero_shot: float | None = None
    zero_shot_balanced: float | None = None
    classes: tuple[ClassResult, ...] = ()
    trained_on: bool = False
    cross_validated: bool = False

    @property
    def untested(self) -> list[str]:
        """The classes of which no picture was evaluated."""
        return [entry.name for entry in self.classes if not entry.pictures]

    @property
    def uneven(self) -> bool:
        """Whether one tested class has at least twice the pictures of another, so that accuracy speaks for it more."""
        counts = [entry.pictures for entry in self.classes if entry.pictures]
        return bool(counts) and max(counts) >= 2 * min(counts)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "interval": self.interval and list(self.interval), "classes": self._class_rows()}

    def _class_rows(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self.classes]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """What `as_dict` gave, of this or an older version, every value checked.

        Raises:
            ValueError: a value is missing or of another kind; the message names it.
        """
        if not isinstance(values, Mapping):
            raise ValueError("it is no object")
        needed = {name: _number(values, name) for name in ("accuracy", "macro_f1", "total")}
        per_class = values.get("per_class", {})
        if not isinstance(per_class, Mapping):
            raise ValueError("per_class is no object")
        optional = ("balanced_accuracy", "chance", "majority", "zero_shot", "zero_shot_balanced")
        measured = {name: _number(values, name) for name in optional if values.get(name) is not None}
        rows = values.get("classes", ())
        if not isinstance(rows, list | tuple):
            raise ValueError("classes is no list")
        return cls(
            needed["accuracy"],
            needed["macro_f1"],
            int(_number(values, "correct")) if "correct" in values else 0,
            int(needed["total"]),
            {str(name): _number({"per_class": share}, "per_class") for name, share in per_class.items()},
            interval=_interval(values.get("interval")),
            majority_class=_text_or_none(values.get("majority_class"), "majority_class"),
            classes=tuple(_class_result(row) for row in rows),
            trained_on=values.get("trained_on", False) is True,
            cross_validated=values.get("cross_validated", False) is True,
            **measured,
        )


def evaluate(
    predictor: Predictor,
    inputs: Tensor | EvaluationPixels,
    truth: np.ndarray,
    names: Sequence[str],
    zero_shot: np.ndarray | None = None,
    *,
    trained_on: bool = False,
    places: Sequence[Sequence[int]] | None = None,
) -> tuple[Evaluation, np.ndarray, Calibration]:
    """How well a method names pictures, exactly, what it names them (n,), and how sure: the only way to a result.

    Args:
        inputs: of the n pictures, as the method reads them.
        truth: their labels, (n,).
        names, zero_shot, trained_on: as for `measure`.
        places: the method's labels that each of the names stands for, of which the best counts; None where the names
            are the method's own.

    Raises:
        DataError: there are no pictures.
        NonFiniteLogitsError: the method's answers are no finite numbers.
    """
    logits = predictor.logits(inputs, screening="off")
    if places is not None:
        import torch

        logits = torch.stack([logits[:, list(labels)].amax(dim=1) for labels in places], dim=1)
    predicted = logits.numpy().argmax(axis=1)
    evaluation = measure(truth, predicted, names, zero_shot, trained_on=trained_on)
    return evaluation, predicted, calibration_of(logits, predicted == truth)


def measure(
    truth: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    zero_shot: np.ndarray | None = None,
    *,
    trained_on: bool = False,
    cross_validated: bool = False,
) -> Evaluation:
    """The evaluation of predicted labels (n,) against true ones (n,).

    Args:
        names: of the N classes, by label.
        zero_shot: what the untrained template names the same pictures, (n,).
        trained_on, cross_validated: see `Evaluation`.

    Raises:
        DataError: there are no pictures.
    """
    from sklearn.metrics import f1_score

    if len(truth) == 0:
        raise DataError("there are no pictures to evaluate on.")
    present = sorted(set(truth.tolist()))
    correct = int((truth == predicted).sum())
    # As published, the mean is over the classes that the pictures are of.
    macro_f1 = 100 * float(f1_score(truth, predicted, labels=present, average="macro", zero_division=0))
    counts = np.bincount(truth, minlength=len(names))
    majority = int(counts.argmax())
    called = told_apart(names)
    return Evaluation(
        100 * (correct / len(truth)),
        macro_f1,
        correct,
        len(truth),
        {called[label]: 100 * float((predicted[truth == label] == label).mean()) for label in present},
        balanced_accuracy=balanced_accuracy(truth, predicted),
        interval=wilson_interval(correct, len(truth)),
        chance=100 / len(names),
        majority=100 * int(counts[majority]) / len(truth),
        majority_class=called[majority],
        zero_shot=None if zero_shot is None else 100 * float((truth == zero_shot).mean()),
        zero_shot_balanced=None if zero_shot is None else balanced_accuracy(truth, zero_shot),
        classes=tuple(_result_of(label, truth, predicted, called) for label in range(len(names))),
        trained_on=trained_on,
        cross_validated=cross_validated,
    )


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over the classes that the pictures are of, of their accuracies, in percent."""
    return 100 * float(np.mean([(predicted[truth == label] == label).mean() for label in np.unique(truth)]))


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95% interval of a share, in percent (Wilson, J. Am. Stat. Assoc. 22, 1927), always within 0 and 100.

    Unlike a mean with its standard error it holds for few pictures, and for none or all of them right.
    """
    share, squared = correct / total, NORMAL_QUANTILE**2
    centre = share + squared / (2 * total)
    half = NORMAL_QUANTILE * sqrt(share * (1 - share) / total + squared / (4 * total**2))
    low, high = ((centre + side * half) / (1 + squared / total) for side in (-1, 1))
    # At the ends rounding would leave 1e-17 and 99.99999.
    return (0.0 if correct == 0 else 100 * low, 100.0 if correct == total else 100 * high)


def _result_of(label: int, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> ClassResult:
    answers = Counter(predicted[truth == label].tolist())
    correct = answers.pop(label, 0)
    # Of equally frequent answers the first by label, so that the same pictures always say the same.
    wrong, count = min(answers.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
    mistaken_for = None if wrong is None else str(names[wrong])
    return ClassResult(str(names[label]), correct + answers.total(), correct, mistaken_for, count)


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    # Compared rather than converted: neither NaN nor a number of a thousand digits passes or fails otherwise.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{name} is no number")
    return value


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("interval is no pair of numbers")
    low, high = (_number({"interval": end}, "interval") for end in value)
    return low, high


def _text_or_none(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def _class_result(row: Any) -> ClassResult:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise ValueError("classes has an entry without a name")
    try:
        pictures, correct, mistakes = (int(_number(row, name)) for name in ("pictures", "correct", "mistakes"))
    except ValueError as error:
        raise ValueError(f"classes has an entry whose {error}") from error
    return ClassResult(row["name"], pictures, correct, _text_or_none(row.get("mistaken_for"), "mistaken_for"), mistakes)
