"""Made-up records that have confusions and calibrations."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from vlprompt.experiments.records import ResultRecord, TestResult
from vlprompt.model.calibration import Calibration
from vlprompt.model.evaluation import measure


def diagnosed(record: ResultRecord) -> ResultRecord:
    """The record with answers that fit together, right with some chance."""
    return replace(record, results={test: _result(record, test) for test in record.results})


def _result(record: ResultRecord, test: str) -> TestResult:
    chance = random.Random(f"{record.method.label} {record.seed} {test}")
    names = record.dataset.classes[test]
    truth = np.array([label for label in range(len(names)) for _ in range(20)])
    predicted = np.array([t if chance.random() < 0.8 else chance.randrange(len(names)) for t in truth.tolist()])
    right = int((truth == predicted).sum())
    half = len(truth) // 2
    bins = Calibration.of_bins(
        np.array([half, len(truth) - half]),
        np.array([right // 2, right - right // 2]),
        np.array([half * 0.4, half * 0.9]),
    )
    return TestResult.of(truth, measure(truth, predicted, names), predicted, bins)
