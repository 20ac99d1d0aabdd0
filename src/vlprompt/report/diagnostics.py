"""How sure the methods are and what they confuse, over all seeds of the runs with most shots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vlprompt.experiments.records import ResultRecord
from vlprompt.model.calibration import Calibration, pooled
from vlprompt.report.runs import in_order


@dataclass(frozen=True)
class Confusions:
    """What became of the pictures of one test on one data set, named by one method with all its seeds.

    Attributes:
        classes: names, by label.
        counts: pictures by true and predicted label.
    """

    protocol: str
    dataset: str
    test: str
    method: str
    classes: tuple[str, ...]
    counts: Counter[tuple[int, int]]

    @property
    def accuracy(self) -> float:
        """In percent."""
        right = sum(count for (true, predicted), count in self.counts.items() if true == predicted)
        return 100 * right / self.counts.total()

    def shares(self) -> dict[tuple[int, int], float]:
        """The part of each true class's pictures that got an answer, by true and predicted label."""
        of_class: Counter[int] = Counter()
        for (true, _), count in self.counts.items():
            of_class[true] += count
        return {pair: count / of_class[pair[0]] for pair, count in self.counts.items()}

    def most_frequent(self, number: int) -> list[tuple[str, str, int, int]]:
        """Wrong answers: class, answer, how often, of how many; the most frequent first."""
        shares = self.shares()
        wrong = sorted((pair for pair in self.counts if pair[0] != pair[1]), key=lambda p: (-self.counts[p], p))
        return [
            (self.classes[p[0]], self.classes[p[1]], self.counts[p], round(self.counts[p] / shares[p]))
            for p in wrong[:number]
        ]


def calibrations(records: Sequence[ResultRecord]) -> dict[tuple[str, str], dict[str, Calibration]]:
    """By protocol and test, then by method; over data sets and seeds. Records of earlier versions have none."""
    found: dict[tuple[str, str], dict[str, list[Calibration]]] = {}
    for record in _with_most_shots(records):
        for test, result in record.results.items():
            if result.calibration is not None:
                of_test = found.setdefault((record.protocol, test), {})
                of_test.setdefault(record.method.label, []).append(result.calibration)
    return {
        key: {method: pooled(of_test[method]) for method in in_order(of_test)} for key, of_test in sorted(found.items())
    }


def all_confusions(records: Sequence[ResultRecord]) -> list[Confusions]:
    """By protocol, data set, test and method; records of earlier versions have none."""
    counts: dict[tuple[str, str, str, str], Counter[tuple[int, int]]] = {}
    classes: dict[tuple[str, str, str, str], tuple[str, ...]] = {}
    for record in _with_most_shots(records):
        for test, result in record.results.items():
            if result.confusion:
                key = record.protocol, record.dataset.name, test, record.method.label
                counts.setdefault(key, Counter()).update(result.confused)
                classes[key] = record.dataset.classes[test]
    return [Confusions(*key, classes[key], counts[key]) for key in sorted(counts)]


def best_confusions(confusions: Sequence[Confusions]) -> list[Confusions]:
    """Of the method that is best in each test on each data set, which alone are drawn."""
    best: dict[tuple[str, str, str], Confusions] = {}
    for one in confusions:
        key = one.protocol, one.dataset, one.test
        if key not in best or one.accuracy > best[key].accuracy:
            best[key] = one
    return list(best.values())


def _with_most_shots(records: Sequence[ResultRecord]) -> list[ResultRecord]:
    most: dict[str, int] = {}
    for record in records:
        if record.method.learns:
            most[record.protocol] = max(record.shots, most.get(record.protocol, 0))
    return [r for r in records if not r.method.learns or r.shots == most[r.protocol]]
