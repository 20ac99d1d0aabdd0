"""From result records to the numbers that tables and figures show.

Accuracies are in percent. Means are over seeds; an interval is a 95% interval of that mean, so it covers the choice of
shots, augmentation and initial values, and not the choice of test images. H is the harmonic mean as published: of the
averaged base and the averaged new accuracy, 2bn / (b + n), on the average row too (CoCoOp, arXiv 2203.05557, Table 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from vlprompt.errors import SettingsError
from vlprompt.experiments.records import ResultRecord
from vlprompt.report.estimates import Estimate, Interval, estimate
from vlprompt.report.runs import Runs, accuracy_on, balanced_accuracy_on

_HALVES = (accuracy_on("base"), accuracy_on("new"))


@dataclass(frozen=True)
class Cell:
    """One method on one data set, or on the average over data sets."""

    base: Estimate
    new: Estimate
    harmonic: Estimate

    @property
    def columns(self) -> tuple[Estimate, Estimate, Estimate]:
        """Base, new and H."""
        return self.base, self.new, self.harmonic


@dataclass(frozen=True)
class Summary:
    """What a table shows.

    Attributes:
        cells: by data set and method; a pair without a record yet is absent.
        averaged: the data sets that every method has results for; the average row is over these.
        average: by method; empty when `averaged` is.
        learned: the methods that learn something; the others have no shots and no seeds.
        balanced: balanced accuracy (the mean over the classes of their accuracies) on base and new classes, by data set
            and method, mean over seeds.
        threads: numbers of torch threads that the runs had, by data set and method.
    """

    backbone: str
    shots: int
    seeds: tuple[int, ...]
    interval: Interval
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    averaged: tuple[str, ...]
    average: dict[str, Cell]
    learned: tuple[str, ...]
    balanced: dict[tuple[str, str], tuple[float, float]]
    threads: dict[tuple[str, str], tuple[int, ...]]

    @property
    def thread_counts(self) -> list[int]:
        """All numbers of threads that runs had, once each."""
        return sorted({count for counts in self.threads.values() for count in counts})

    @property
    def has_intervals(self) -> bool:
        """Whether an interval over seeds is known for any number."""
        return any(cell.base.half_width is not None for (_, m), cell in self.cells.items() if m in self.learned)

    @property
    def shows_average(self) -> bool:
        """Whether an average row says more than the data sets' rows: not of a single data set."""
        return bool(self.average) and len(self.datasets) > 1

    def best(self, dataset: str | None, column: int) -> str | None:
        """The method that is best in a column (0 base, 1 new, 2 H) of a data set, or of the average (None).

        Only where its interval lies wholly above every other method's, so that "best" claims nothing that
        other seeds could overturn at that level; otherwise None.
        """
        row = self.average if dataset is None else {m: self.cells[dataset, m] for m in self.methods_of(dataset)}
        estimates = {method: cell.columns[column] for method, cell in row.items()}
        if len(estimates) < 2:
            return None
        leader = max(estimates, key=lambda method: estimates[method].mean)
        others = [estimate for method, estimate in estimates.items() if method != leader]
        return leader if all(estimates[leader].low > other.high for other in others) else None

    def methods_of(self, dataset: str) -> list[str]:
        """The methods that have results on a data set."""
        return [method for method in self.methods if (dataset, method) in self.cells]


@dataclass(frozen=True)
class Comparison:
    """One method minus another, in points, paired by seed; by data set and on average."""

    first: str
    second: str
    base: dict[str, Estimate]
    new: dict[str, Estimate]
    average_base: Estimate
    average_new: Estimate

    @property
    def wins_on_new(self) -> int:
        """On how many data sets the first method's mean on new classes is the higher one."""
        return sum(estimate.mean > 0 for estimate in self.new.values())


def harmonic_mean(base: float, new: float) -> float:
    """H = 2bn / (b + n), and 0 where both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


def summarize(records: Sequence[ResultRecord], *, interval: Interval = "student") -> Summary:
    """The numbers of a table, from the records of one backbone and one number of shots.

    Raises:
        SettingsError: there are no records, or they mix backbones, numbers of shots, data or settings.
    """
    runs = Runs(records)
    cells = {(dataset, method): _cell(runs, [dataset], method, interval) for dataset, method in runs.by_pair}
    averaged = tuple(d for d in runs.datasets if all((d, method) in runs.by_pair for method in runs.methods))
    average = {method: _cell(runs, averaged, method, interval) for method in runs.methods} if averaged else {}
    return Summary(
        records[0].backbone.name, records[0].shots, runs.seeds, interval, runs.datasets, runs.methods, cells,
        averaged, average, tuple(method for method in runs.methods if runs.learns[method]),
        {pair: _balanced(runs, *pair) for pair in runs.by_pair}, {pair: runs.threads(*pair) for pair in runs.by_pair},
    )  # fmt: skip


def compare(
    records: Sequence[ResultRecord], first: str = "cocoop", second: str = "coop", *, interval: Interval = "student"
) -> Comparison | None:
    """First method minus second, paired by seed, on the data sets where they share one; None where there is none."""
    runs = Runs(records)
    shared = [d for d in runs.datasets if runs.shared_seeds([d], first, second)]
    if not shared:
        return None
    base, new = ({d: runs.difference([d], first, second, value, interval) for d in shared} for value in _HALVES)
    averages = [runs.difference(shared, first, second, value, interval) for value in _HALVES]
    return Comparison(first, second, base, new, *averages)


def _cell(runs: Runs, datasets: Sequence[str], method: str, interval: Interval) -> Cell:
    base, new = (runs.estimate(datasets, method, value, interval) for value in _HALVES)
    harmonics = [
        harmonic_mean(*(fmean(runs.values(datasets, method, seed, value)) for value in _HALVES))
        for seed in runs.shared_seeds(datasets, method)
    ]
    mean = harmonic_mean(base.mean, new.mean)
    spread = estimate(harmonics, interval, chance=runs.learns[method]) if harmonics else Estimate(mean, None, 0)
    return Cell(base, new, Estimate(mean, spread.half_width, spread.count))


def _balanced(runs: Runs, dataset: str, method: str) -> tuple[float, float]:
    """Balanced accuracy on base and new classes, mean over seeds."""
    of_runs = runs.by_pair[dataset, method].values()
    base, new = (fmean(balanced_accuracy_on(test)(run) for run in of_runs) for test in ("base", "new"))
    return base, new


def chosen(
    records: Sequence[ResultRecord], *, shots: int | None, backbone: str | None, protocol: str | None = None
) -> list[ResultRecord]:
    """The records of one number of shots, one backbone and one protocol, each None for any.

    Results that hold for all numbers of shots, as they use no training images, stay.

    Raises:
        SettingsError: there are none of these.
    """
    found = [
        record
        for record in records
        if (shots is None or record.shots in (shots, 0))
        and backbone in (None, record.backbone.name)
        and protocol in (None, record.protocol)
    ]
    if records and not found:
        several = len({record.protocol for record in records}) > 1
        there = sorted(
            {f"{r.backbone.name} with {r.shots} shots{f' ({r.protocol})' if several else ''}" for r in records}
        )
        asked = {"backbone": backbone, "shots": shots, "protocol": protocol}
        words = [f'{name}="{v}"' if isinstance(v, str) else f"{name}={v}" for name, v in asked.items() if v is not None]
        raise SettingsError(f"there are no results for {' '.join(words)}; there are some of {', '.join(there)}")
    return found
