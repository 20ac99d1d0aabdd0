"""Whether the figures of a record that was read belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlprompt.data.samples import told_apart
from vlprompt.experiments.decoding import MismatchError

if TYPE_CHECKING:
    from vlprompt.experiments.records import ResultRecord, TestResult


def check_results(record: ResultRecord) -> None:
    """Raise MismatchError where the figures of a record do not belong together."""
    if record.results.keys() != record.dataset.classes.keys() or not record.results:
        raise MismatchError(
            f"record.results are of {sorted(record.results)}, and record.dataset.classes of "
            f"{sorted(record.dataset.classes)}"
        )
    if surplus_targets := record.dataset.targets.keys() - record.results.keys():
        raise MismatchError(f"record.dataset.targets has {min(surplus_targets)!r:.60}, which is no test")
    for name, result in record.results.items():
        where, classes = f"record.results.{name:.60}", record.dataset.classes[name]
        if not 0 <= result.correct <= result.total:
            raise MismatchError(f"{where}.correct is {result.correct} of {result.total}")
        if len(result.predictions) != result.total:
            raise MismatchError(f"{where}.predictions are {len(result.predictions)}, of {result.total} images")
        if not all(0 <= label < len(classes) for label in result.predictions):
            raise MismatchError(f"{where}.predictions name a class beyond the {len(classes)} of its test")
        figures = {"accuracy": result.accuracy, "macro_f1": result.macro_f1, **result.per_class_accuracy}
        if wrong := [figure for figure, percent in figures.items() if not 0 <= percent <= 100.001]:
            raise MismatchError(f"{where} has {figures[wrong[0]]} percent for {wrong[0]!r:.60}")
        if surplus := result.per_class_accuracy.keys() - set(told_apart(classes)):
            raise MismatchError(f"{where}.per_class_accuracy has the unknown class {min(surplus)!r:.60}")
        _check_counts(result, len(classes), where)
    if record.shots < (1 if record.method.learns else 0) or record.seed < 0:
        raise MismatchError(f"record has {record.shots} shots and seed {record.seed}")


def _check_counts(result: TestResult, classes: int, where: str) -> None:
    """Raise MismatchError where the counts by class or by confidence are not of all images."""
    if result.confusion:
        if len(result.confusion) % 3:
            raise MismatchError(f"{where}.confusion has {len(result.confusion)} numbers, which is no multiple of 3")
        if not all(0 <= label < classes for pair in result.confused for label in pair):
            raise MismatchError(f"{where}.confusion names a class beyond the {classes} of its test")
        if sum(result.confused.values()) != result.total:
            raise MismatchError(f"{where}.confusion is of {sum(result.confused.values())} of {result.total} images")
    if (bins := result.calibration) is not None:
        if not len(bins.pictures) == len(bins.correct) == len(bins.confidence):
            raise MismatchError(f"{where}.calibration has bins of different number")
        if sum(bins.pictures) != result.total:
            raise MismatchError(f"{where}.calibration is of {sum(bins.pictures)} of {result.total} images")
