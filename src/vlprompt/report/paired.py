"""Differences between methods, paired, so that what makes all of them easy or hard does not hide them.

Over seeds: both methods had the same shots. Over data sets: what another data set of the kind would show. Both are
Student's t intervals of the mean difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from vlprompt.experiments.records import ResultRecord
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.runs import Runs, accuracy_on, runs_by_test

FEW = 4
"""With so many methods all their pairs are shown, with more each against the best."""


@dataclass(frozen=True)
class PairedDifference:
    """First method minus second in points of accuracy, on the data sets that both have."""

    protocol: str
    test: str
    shots: int
    first: str
    second: str
    datasets: int
    over_seeds: Estimate
    over_datasets: Estimate

    @property
    def mean(self) -> Estimate:
        """The difference alone."""
        return Estimate(self.over_seeds.mean, None, 0)


def paired_differences(records: Sequence[ResultRecord], interval: Interval = "student") -> list[PairedDifference]:
    """Of all pairs of methods, by protocol, test and shots; the later method of a table minus the earlier one."""
    found = []
    for protocol in dict.fromkeys(record.protocol for record in records):
        tables = runs_by_test([record for record in records if record.protocol == protocol])
        for (test, shots), runs in tables.items():
            for second, first in combinations(runs.methods, 2):
                if (made := _difference(runs, protocol, test, shots, first, second, interval)) is not None:
                    found.append(made)
    return found


def worth_showing(records: Sequence[ResultRecord], differences: Sequence[PairedDifference]) -> list[PairedDifference]:
    """Those with most shots, of each test: all pairs of few methods, else each method against the best.

    Two methods that learn nothing have no chance in their difference, which their table shows already.
    """
    shown = []
    for protocol in dict.fromkeys(one.protocol for one in differences):
        learned = {r.method.label for r in records if r.protocol == protocol and r.method.learns}
        there = [one for one in differences if one.protocol == protocol and {one.first, one.second} & learned]
        if not there:
            continue
        most = max(one.shots for one in there)
        tables = runs_by_test([record for record in records if record.protocol == protocol])
        for test in dict.fromkeys(one.test for one in there):
            of_test = [one for one in there if (one.test, one.shots) == (test, most)]
            if (test, most) in tables and len(tables[test, most].methods) > FEW:
                best = _best(tables[test, most], test)
                of_test = [one for one in of_test if best in (one.first, one.second)]
            shown += of_test
    return shown


def _difference(
    runs: Runs, protocol: str, test: str, shots: int, first: str, second: str, interval: Interval
) -> PairedDifference | None:
    shared = [d for d in runs.datasets if (d, first) in runs.by_pair and (d, second) in runs.by_pair]
    if not shared:
        return None
    value = accuracy_on(test)
    over_seeds = runs.difference(shared, first, second, value, interval)
    over_datasets = runs.difference_over_datasets(shared, first, second, value, interval)
    return PairedDifference(protocol, test, shots, first, second, len(shared), over_seeds, over_datasets)


def _best(runs: Runs, test: str) -> str:
    """The method that is best on average over its data sets."""
    value = accuracy_on(test)
    means = {
        method: runs.estimate([d for d in runs.datasets if (d, method) in runs.by_pair], method, value, "student").mean
        for method in runs.methods
    }
    return max(means, key=lambda method: means[method])
