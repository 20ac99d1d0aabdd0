"""From result records to the numbers that tables and figures show.

Accuracies are in percent. Means are over seeds; an interval is a 95% interval of that mean, so it covers the choice of
shots, augmentation and initial values, and not the choice of test images. H is the harmonic mean as published: of the
averaged base and the averaged new accuracy, 2bn / (b + n), on the average row too (CoCoOp, arXiv 2203.05557, Table 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, pstdev, stdev
from typing import Any, Literal

from vlprompt.errors import SettingsError
from vlprompt.experiments.records import ResultRecord, shortened

Interval = Literal["student", "published"]
INTERVALS: dict[str, str] = {
    "student": "mean over seeds with its 95% interval (Student's t)",
    "published": "mean over seeds with 1.96 population standard deviations / sqrt(seeds), as in the published code",
}
METHOD_ORDER = ("zero-shot", "zero-shot-ensemble", "coop", "cocoop")
Half = Literal["base", "new"]


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` seeds; `half_width` of its interval is 0 without chance and None where it is unknown."""

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float:
        """Lower end of the interval, minus infinity where it is unknown."""
        return float("-inf") if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval, infinity where it is unknown."""
        return float("inf") if self.half_width is None else self.mean + self.half_width


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
    runs = _Runs(records)
    cells = {(dataset, method): runs.cell([dataset], method, interval) for dataset, method in runs.by_pair}
    averaged = tuple(d for d in runs.datasets if all((d, method) in runs.by_pair for method in runs.methods))
    average = {method: runs.cell(averaged, method, interval) for method in runs.methods} if averaged else {}
    return Summary(
        records[0].backbone.name, records[0].shots, runs.seeds, interval, runs.datasets, runs.methods, cells,
        averaged, average, tuple(method for method in runs.methods if runs.learns[method]),
        {pair: runs.balanced(*pair) for pair in runs.by_pair}, {pair: runs.threads(*pair) for pair in runs.by_pair},
    )  # fmt: skip


def compare(
    records: Sequence[ResultRecord], first: str = "cocoop", second: str = "coop", *, interval: Interval = "student"
) -> Comparison | None:
    """First method minus second, paired by seed, on the data sets where they share one; None where there is none."""
    runs = _Runs(records)
    shared = [d for d in runs.datasets if runs.shared_seeds([d], first, second)]
    if not shared:
        return None
    base = {d: runs.difference([d], first, second, "base", interval) for d in shared}
    new = {d: runs.difference([d], first, second, "new", interval) for d in shared}
    averages = [runs.difference(shared, first, second, half, interval) for half in ("base", "new")]
    return Comparison(first, second, base, new, *averages)


def estimate(values: Sequence[float], interval: Interval, *, chance: bool = True) -> Estimate:
    """Mean and interval of values over seeds; one value leaves the interval unknown, unless no `chance` is in it."""
    mean, count = fmean(values), len(values)
    if not chance:
        return Estimate(mean, 0.0, count)
    if count < 2:
        return Estimate(mean, None, count)
    if interval == "published":
        return Estimate(mean, 1.96 * pstdev(values) / sqrt(count), count)
    return Estimate(mean, _student_quantile(count - 1) * stdev(values) / sqrt(count), count)


def _student_quantile(degrees: int) -> float:
    from scipy.stats import t  # type: ignore[import-untyped, unused-ignore]

    return float(t.ppf(0.975, degrees))


class _Runs:
    """Records by data set, method and seed."""

    def __init__(self, records: Sequence[ResultRecord]) -> None:
        _check_one_comparison(records)
        self.by_pair: dict[tuple[str, str], dict[int, ResultRecord]] = {}
        for record in records:
            pair = (record.dataset.name, record.method.label)
            self.by_pair.setdefault(pair, {})[record.seed] = record
        self.learns = {record.method.label: record.method.learns for record in records}
        self.datasets = tuple(sorted({record.dataset.name for record in records}))
        self.methods = tuple(sorted(self.learns, key=_method_rank))
        self.seeds = tuple(sorted({record.seed for record in records if record.method.learns}))

    def cell(self, datasets: Sequence[str], method: str, interval: Interval) -> Cell:
        """Mean over data sets of the means over seeds; the interval is of the seeds that all of them have."""
        halves = [self._estimate(datasets, method, self._accuracy_of(half), interval) for half in ("base", "new")]
        harmonics = [
            harmonic_mean(*(fmean(self._values(datasets, method, seed, self._accuracy_of(half))) for half in _HALVES))
            for seed in self.shared_seeds(datasets, method)
        ]
        mean = harmonic_mean(halves[0].mean, halves[1].mean)
        spread = estimate(harmonics, interval, chance=self.learns[method]) if harmonics else Estimate(mean, None, 0)
        return Cell(halves[0], halves[1], Estimate(mean, spread.half_width, spread.count))

    def _estimate(
        self, datasets: Sequence[str], method: str, value: Callable[[ResultRecord], float], interval: Interval
    ) -> Estimate:
        mean = fmean(fmean(value(run) for run in self.by_pair[d, method].values()) for d in datasets)
        seeds = self.shared_seeds(datasets, method)
        if not seeds:
            return Estimate(mean, None, 0)
        by_seed = [fmean(self._values(datasets, method, seed, value)) for seed in seeds]
        spread = estimate(by_seed, interval, chance=self.learns[method])
        return Estimate(mean, spread.half_width, spread.count)

    def balanced(self, dataset: str, method: str) -> tuple[float, float]:
        """Balanced accuracy on base and new classes, mean over seeds."""
        results = [record.results for record in self.by_pair[dataset, method].values()]
        base, new = (
            fmean(fmean(getattr(result, half).per_class_accuracy.values()) for result in results) for half in _HALVES
        )
        return base, new

    def threads(self, dataset: str, method: str) -> tuple[int, ...]:
        """Numbers of threads that the runs had."""
        return tuple(sorted({record.machine.threads for record in self.by_pair[dataset, method].values()}))

    def difference(self, datasets: Sequence[str], first: str, second: str, half: Half, interval: Interval) -> Estimate:
        seeds = self.shared_seeds(datasets, first, second)
        value = self._accuracy_of(half)
        if not seeds:
            means = [self._estimate(datasets, method, value, interval).mean for method in (first, second)]
            return Estimate(means[0] - means[1], None, 0)
        differences = [
            fmean(self._values(datasets, first, seed, value)) - fmean(self._values(datasets, second, seed, value))
            for seed in seeds
        ]
        return estimate(differences, interval, chance=self.learns[first] or self.learns[second])

    def shared_seeds(self, datasets: Sequence[str], *methods: str) -> list[int]:
        """Seeds that the methods have on all the data sets; a method that learns nothing has whatever others have."""
        pairs = [self.by_pair.get((dataset, method), {}) for dataset in datasets for method in methods]
        if not all(pairs):
            return []
        learned = [set(runs) for runs in pairs if any(run.method.learns for run in runs.values())]
        return sorted(set.intersection(*(learned or [set(runs) for runs in pairs])))

    def _values(
        self, datasets: Sequence[str], method: str, seed: int, value: Callable[[ResultRecord], float]
    ) -> list[float]:
        runs = [self.by_pair[dataset, method] for dataset in datasets]
        return [value(by_seed[seed] if seed in by_seed else next(iter(by_seed.values()))) for by_seed in runs]

    @staticmethod
    def _accuracy_of(half: str) -> Callable[[ResultRecord], float]:
        return lambda record: float(getattr(record.results, half).accuracy)


_HALVES = ("base", "new")


def _method_rank(label: str) -> tuple[int, str]:
    return (METHOD_ORDER.index(label) if label in METHOD_ORDER else len(METHOD_ORDER), label)


def chosen(records: Sequence[ResultRecord], *, shots: int | None, backbone: str | None) -> list[ResultRecord]:
    """The records of one number of shots and one backbone, each None for any.

    Raises:
        SettingsError: there are none of these.
    """
    found = [r for r in records if shots in (None, r.shots) and backbone in (None, r.backbone.name)]
    if records and not found:
        there = sorted({f"{record.backbone.name} with {record.shots} shots" for record in records})
        asked = [f'backbone="{backbone}"'] * (backbone is not None) + [f"shots={shots}"] * (shots is not None)
        raise SettingsError(f"there are no results for {' '.join(asked)}; there are some of {', '.join(there)}")
    return found


def _check_one_comparison(records: Sequence[ResultRecord]) -> None:
    """Refuse records whose difference would be taken for one of methods, data sets or seeds."""
    if not records:
        raise SettingsError("there are no result records yet; run a benchmark first")
    for what, values, option in (
        ("backbone", {f"{r.backbone.name} ({r.backbone.fingerprint[:8]})" for r in records}, 'backbone="NAME"'),
        ("number of shots", {str(r.shots) for r in records}, "shots=NUMBER"),
        ("precision", {r.backbone.precision for r in records}, ""),
    ):
        if len(values) > 1:
            raise SettingsError(
                f"a table is of one {what}, and these records are of {' and '.join(sorted(values))}; "
                f"choose one of them{f' ({option})' if option else ''}, or give each benchmark its own output folder"
            )
    first_of_dataset: dict[str, ResultRecord] = {}
    first_of_pair: dict[tuple[str, str], ResultRecord] = {}
    for record in records:
        dataset, method = record.dataset.name, record.method.label
        other = first_of_dataset.setdefault(dataset, record)
        _refuse_difference(f"data set {dataset}", _of_dataset(other), _of_dataset(record))
        other = first_of_pair.setdefault((dataset, method), record)
        _refuse_difference(f"{method} on {dataset}", _of_pair(other), _of_pair(record))


def _of_dataset(record: ResultRecord) -> dict[str, Any]:
    """What all results on a data set must share."""
    names = ("data set's fingerprint", "template", "base classes", "new classes")
    return {name: record.settings[name] for name in names}


def _of_pair(record: ResultRecord) -> dict[str, Any]:
    """What all seeds of a method on a data set must share."""
    settings = record.settings
    rest = {name: settings.get(name) for name in ("method", "method file's hash")}
    options = {f"option {name}": value for name, value in record.method.options.items()}
    return {**rest, **options, **{name: v for name, v in (record.training or {}).items() if name != "seed"}}


def _refuse_difference(of_what: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    for name in {**first, **second}:
        if first.get(name) != second.get(name):
            values = " and ".join(shortened(side.get(name)) for side in (first, second))
            raise SettingsError(
                f"results of {of_what} were made with different settings and cannot share a table: {name} is {values}; "
                "give each benchmark its own output folder, or remove the results that are no longer wanted"
            )
