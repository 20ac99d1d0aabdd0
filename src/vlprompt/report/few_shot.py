"""From few-shot records to the numbers that tables, curves and words show: all classes, by method, shots and test.

A figure is the mean over data sets of the means over seeds, with its 95% interval over seeds; beside it stands the
standard deviation of the data sets' means. A test's averages are over the data sets that every method has at every
number of shots it was run with, so that curves and rows compare like with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from vlprompt.experiments.records import ResultRecord
from vlprompt.report.estimates import Estimate, Interval
from vlprompt.report.runs import AUTO, Runs, accuracy_on, balanced_accuracy_on, check_same_data, in_order, runs_by_test

PROTOCOL = "few-shot"
OWN_STYLE = "test"
"""The test pictures of the data set itself; other tests show its classes in other styles."""
ENOUGH_DATA_SETS = 3
"""From so many on, whether two methods differ is judged over data sets, else over seeds."""

Kind = Literal["zero-shot", "prompt", "head", "auto"]


@dataclass(frozen=True)
class Figure:
    """A mean with its interval over seeds.

    Attributes:
        deviation: standard deviation of the data sets' means; None for one data set.
        balanced: balanced accuracy.
    """

    mean: Estimate
    deviation: float | None
    balanced: float


@dataclass(frozen=True)
class FewShotSummary:
    """What tables and curves show.

    Attributes:
        shots: the numbers of training images a class that methods which learn were run with, ascending.
        kinds: what each method is.
        averaged: by test, the data sets that its averages are over; none where methods share no data set.
        averages: by test, method and shots; a pair that was not run is absent.
        cells: the same by data set before these.
        differences: by test, shots, first and second method: first minus second, with the interval that says whether
            they differ.
        regrets: by test and shots, for each data set and seed: best method minus auto; empty without auto.
    """

    backbone: str
    interval: Interval
    seeds: tuple[int, ...]
    shots: tuple[int, ...]
    datasets: tuple[str, ...]
    tests: tuple[str, ...]
    methods: tuple[str, ...]
    kinds: dict[str, Kind]
    averaged: dict[str, tuple[str, ...]]
    averages: dict[tuple[str, str, int], Figure]
    cells: dict[tuple[str, str, str, int], Figure]
    differences: dict[tuple[str, int, str, str], Estimate]
    regrets: dict[tuple[str, int], tuple[float, ...]]

    def methods_at(self, test: str, shots: int, *kinds: Kind) -> list[str]:
        """Methods of some kinds (of all, where none is named) with an average, the best first."""
        there = [m for m in self.methods if (test, m, shots) in self.averages and (not kinds or self.kinds[m] in kinds)]
        return sorted(there, key=lambda method: -self.averages[test, method, shots].mean.mean)

    def leaders(self, test: str, shots: int) -> list[str]:
        """The best method that was run on its own and those that do not clearly differ from it, the best first.

        `auto` is one of the others, so it does not lead.
        """
        ranked = self.methods_at(test, shots, "zero-shot", "prompt", "head")
        return [m for m in ranked if m == ranked[0] or not self.is_clear(test, shots, ranked[0], m)]

    def is_clear(self, test: str, shots: int, first: str, second: str) -> bool:
        """Whether two methods differ: the interval of their difference is known and does not hold 0."""
        difference = self.differences[test, shots, first, second]
        return not difference.low <= 0 <= difference.high


def summarize_few_shot(records: Sequence[ResultRecord], *, interval: Interval = "student") -> FewShotSummary:
    """The numbers of the few-shot records of one backbone.

    Raises:
        SettingsError: there are no records, or they mix backbones, data or settings.
    """
    check_same_data(records)
    tables = runs_by_test(records)
    tests = tuple(dict.fromkeys(test for test, _ in tables))
    averaged = {test: _averaged([runs for (name, _), runs in tables.items() if name == test]) for test in tests}
    averages, differences, regrets = {}, {}, {}
    for (test, shots), runs in tables.items():
        if not averaged[test]:
            continue
        for method in runs.methods:
            averages[test, method, shots] = _figure(runs, averaged[test], method, test, interval)
            for other in runs.methods:
                differences[test, shots, method, other] = _difference(
                    runs, averaged[test], method, other, test, interval
                )
        if AUTO in runs.methods:
            regrets[test, shots] = _regrets(runs, averaged[test], test)
    cells = {
        (dataset, test, method, shots): _figure(runs, [dataset], method, test, interval)
        for (test, shots), runs in tables.items()
        for dataset, method in runs.by_pair
    }
    return FewShotSummary(
        records[0].backbone.name, interval, tuple(sorted({r.seed for r in records if r.method.learns})),
        tuple(dict.fromkeys(shots for _, shots in tables)), tuple(sorted({r.dataset.name for r in records})), tests,
        in_order({r.method.label for r in records}), {r.method.label: kind_of(r) for r in records},
        averaged, averages, cells, differences, regrets,
    )  # fmt: skip


def kind_of(record: ResultRecord) -> Kind:
    """What a run's method is, from what its record says that it can do."""
    if record.method.name == AUTO:
        return "auto"
    if not record.method.learns:
        return "zero-shot"
    return "prompt" if record.method.open_names else "head"


def mean_regret(summary: FewShotSummary, test: str) -> tuple[float, float] | None:
    """Mean and largest of best method minus auto over data sets, seeds and shots; None without auto."""
    found = [value for (name, _), values in summary.regrets.items() if name == test for value in values]
    return (fmean(found), max(found)) if found else None


def _averaged(tables: Sequence[Runs]) -> tuple[str, ...]:
    """The data sets on which every method has every number of shots that it was run with."""
    pairs = [{d for d, m in runs.by_pair if m == method} for runs in tables for method in runs.methods]
    return tuple(sorted(set.intersection(*pairs)))


def _figure(runs: Runs, datasets: Sequence[str], method: str, test: str, interval: Interval) -> Figure:
    value, balanced = accuracy_on(test), balanced_accuracy_on(test)
    means = [runs.estimate([dataset], method, value, interval).mean for dataset in datasets]
    return Figure(
        runs.estimate(datasets, method, value, interval),
        stdev(means) if len(means) > 1 else None,
        runs.estimate(datasets, method, balanced, interval).mean,
    )


def _difference(
    runs: Runs, datasets: Sequence[str], first: str, second: str, test: str, interval: Interval
) -> Estimate:
    """First minus second; the interval is over data sets where there are enough, else over seeds."""
    value = accuracy_on(test)
    if len(datasets) < ENOUGH_DATA_SETS:
        return runs.difference(datasets, first, second, value, interval)
    return runs.difference_over_datasets(datasets, first, second, value, interval)


def _regrets(runs: Runs, datasets: Sequence[str], test: str) -> tuple[float, ...]:
    """Best method of those run with a seed minus auto, for each data set and seed."""
    value, members = accuracy_on(test), [method for method in runs.methods if method != AUTO]
    found = []
    for dataset in datasets:
        for seed in runs.shared_seeds([dataset], AUTO):
            with_seed = [method for method in members if seed in runs.shared_seeds([dataset], method, AUTO)]
            if with_seed:
                best = max(runs.values([dataset], method, seed, value)[0] for method in with_seed)
                found.append(best - runs.values([dataset], AUTO, seed, value)[0])
    return tuple(found)
