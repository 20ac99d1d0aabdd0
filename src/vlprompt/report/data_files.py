"""The numbers of a report as CSV, unrounded, a row for each: for further computing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from statistics import fmean

from vlprompt.escaping import for_csv
from vlprompt.experiments.records import ResultRecord
from vlprompt.model.calibration import Calibration
from vlprompt.report.diagnostics import Confusions
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.paired import PairedDifference
from vlprompt.report.runs import Runs, accuracy_on, balanced_accuracy_on, runs_by_test


def results_csv(records: Sequence[ResultRecord], interval: Interval = "student") -> str:
    """Every method on every test of every data set and protocol; `shots` is 0 for one that learns nothing."""
    rows: dict[tuple[object, ...], None] = {}
    for protocol in dict.fromkeys(record.protocol for record in records):
        tables = runs_by_test([record for record in records if record.protocol == protocol])
        for (test, shots), runs in tables.items():
            for dataset, method in runs.by_pair:
                row = _result_row(runs, protocol, dataset, test, method, shots, interval)
                rows.setdefault(tuple(row))  # what learns nothing would come again with other shots
    head = "protocol dataset test method shots seeds accuracy half_width balanced_accuracy macro_f1 calibration_error"
    return _csv(head, rows)


def paired_csv(differences: Iterable[PairedDifference]) -> str:
    """All paired differences with their intervals over seeds and over data sets."""
    rows = (
        (
            one.protocol, one.test, one.shots, one.first, one.second, one.over_seeds.mean,
            _half_width(one.over_seeds), one.over_seeds.count, _half_width(one.over_datasets), one.datasets,
        )
        for one in differences
    )  # fmt: skip
    head = "protocol test shots first second difference half_width_over_seeds seeds half_width_over_datasets datasets"
    return _csv(head, rows)


def calibration_csv(calibrations: dict[tuple[str, str], dict[str, Calibration]]) -> str:
    """The bins of the reliability diagrams."""
    rows = (
        (*key, method, number, pictures, correct, confidence, made.error)
        for key, of_methods in calibrations.items()
        for method, made in of_methods.items()
        for number, (pictures, correct, confidence) in enumerate(
            zip(made.pictures, made.correct, made.confidence, strict=True), start=1
        )
    )
    return _csv("protocol test method bin pictures correct confidence calibration_error", rows)


def confusion_csv(confusions: Iterable[Confusions]) -> str:
    """Every pair of true and predicted class that occurs."""
    rows = (
        (one.protocol, one.dataset, one.test, one.method, one.classes[true], one.classes[predicted], count)
        for one in confusions
        for (true, predicted), count in sorted(one.counts.items())
    )
    return _csv("protocol dataset test method class answer pictures", rows)


def _result_row(
    runs: Runs, protocol: str, dataset: str, test: str, method: str, shots: int, interval: Interval
) -> list[object]:
    of_runs = list(runs.by_pair[dataset, method].values())
    accuracy = runs.estimate([dataset], method, accuracy_on(test), interval)
    learns = runs.learns[method]
    errors = [made.error for run in of_runs if (made := run.results[test].calibration) is not None]
    return [
        protocol, dataset, test, method, shots if learns else 0, accuracy.count if learns else 0, accuracy.mean,
        _half_width(accuracy) if learns else "", fmean(balanced_accuracy_on(test)(run) for run in of_runs),
        fmean(run.results[test].macro_f1 for run in of_runs),
        fmean(errors) if len(errors) == len(of_runs) else "",
    ]  # fmt: skip


def _half_width(estimate: Estimate) -> float | str:
    return "" if estimate.half_width is None else estimate.half_width


def _csv(head: str, rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head.split())
    for row in rows:
        writer.writerow([for_csv(cell) if isinstance(cell, str) else cell for cell in row])
    return stream.getvalue()
