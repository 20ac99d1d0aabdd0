"""The records of one comparison by data set, method and seed, and means over them; see `vlprompt.report.summary`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from vlprompt.errors import SettingsError
from vlprompt.experiments.records import ResultRecord, same_outcome, shortened
from vlprompt.methods import METHODS
from vlprompt.report.estimates import Estimate, Interval, estimate

METHOD_ORDER = tuple(dict.fromkeys(("zero-shot", "zero-shot-ensemble", *METHODS)))
"""As the papers' tables have them; labels of a user's own come behind."""
AUTO = "auto"
"""The label that stands last: it chooses among the others."""

Value = Callable[[ResultRecord], float]


class Runs:
    """Records of one backbone and one number of shots (beside those of methods that learn nothing)."""

    def __init__(self, records: Sequence[ResultRecord]) -> None:
        _check_one_comparison(records)
        self.by_pair: dict[tuple[str, str], dict[int, ResultRecord]] = {}
        for record in records:
            pair = (record.dataset.name, record.method.label)
            _refuse_second(self.by_pair.setdefault(pair, {}).setdefault(record.seed, record), record)
        self.learns = {record.method.label: record.method.learns for record in records}
        self.datasets = tuple(sorted({record.dataset.name for record in records}))
        self.methods = in_order(self.learns)
        self.seeds = tuple(sorted({record.seed for record in records if record.method.learns}))

    def estimate(self, datasets: Sequence[str], method: str, value: Value, interval: Interval) -> Estimate:
        """Mean over data sets of the means over seeds; the interval is of the seeds that all of them have."""
        mean = fmean(fmean(value(run) for run in self.by_pair[d, method].values()) for d in datasets)
        seeds = self.shared_seeds(datasets, method)
        if not seeds:
            return Estimate(mean, None, 0)
        by_seed = [fmean(self.values(datasets, method, seed, value)) for seed in seeds]
        spread = estimate(by_seed, interval, chance=self.learns[method])
        return Estimate(mean, spread.half_width, spread.count)

    def difference(
        self, datasets: Sequence[str], first: str, second: str, value: Value, interval: Interval
    ) -> Estimate:
        """First method minus second, paired by seed, on average over the data sets."""
        seeds = self.shared_seeds(datasets, first, second)
        if not seeds:
            means = [self.estimate(datasets, method, value, interval).mean for method in (first, second)]
            return Estimate(means[0] - means[1], None, 0)
        differences = [
            fmean(self.values(datasets, first, seed, value)) - fmean(self.values(datasets, second, seed, value))
            for seed in seeds
        ]
        return estimate(differences, interval, chance=self.learns[first] or self.learns[second])

    def difference_over_datasets(
        self, datasets: Sequence[str], first: str, second: str, value: Value, interval: Interval
    ) -> Estimate:
        """First method minus second, paired by data set; the interval is of other data sets of their kind."""
        differences = [self.difference([dataset], first, second, value, interval).mean for dataset in datasets]
        return estimate(differences, interval)

    def shared_seeds(self, datasets: Sequence[str], *methods: str) -> list[int]:
        """Seeds that the methods have on all the data sets; a method that learns nothing has whatever others have."""
        pairs = [self.by_pair.get((dataset, method), {}) for dataset in datasets for method in methods]
        if not all(pairs):
            return []
        learned = [set(runs) for runs in pairs if any(run.method.learns for run in runs.values())]
        return sorted(set.intersection(*(learned or [set(runs) for runs in pairs])))

    def values(self, datasets: Sequence[str], method: str, seed: int, value: Value) -> list[float]:
        """A value of each data set at a seed; of the only run where the method learns nothing."""
        runs = [self.by_pair[dataset, method] for dataset in datasets]
        return [value(by_seed[seed] if seed in by_seed else next(iter(by_seed.values()))) for by_seed in runs]

    def threads(self, dataset: str, method: str) -> tuple[int, ...]:
        """Numbers of threads that the runs had."""
        return tuple(sorted({record.machine.threads for record in self.by_pair[dataset, method].values()}))


def runs_by_test(records: Sequence[ResultRecord]) -> dict[tuple[str, int], Runs]:
    """The runs of one protocol by test and shots; methods that learn nothing are the same at every number of shots."""
    numbers = sorted({record.shots for record in records if record.method.learns}) or [0]
    tables = {}
    for test in dict.fromkeys(test for record in records for test in record.results):
        there = [record for record in records if test in record.results]
        fixed = {(r.dataset.name, r.method.label): r for r in there if not r.method.learns}
        for shots in numbers:
            learned = [record for record in there if record.method.learns and record.shots == shots]
            if at := [*(replace(record, shots=shots) for record in fixed.values()), *learned]:
                tables[test, shots] = Runs(at)
    return tables


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels of methods in the order of tables."""
    return tuple(sorted(labels, key=_rank))


def accuracy_on(test: str) -> Value:
    """Accuracy in percent on a test."""
    return lambda record: float(record.results[test].accuracy)


def balanced_accuracy_on(test: str) -> Value:
    """Balanced accuracy on a test, the mean over the classes of their accuracies, in percent."""
    return lambda record: fmean(record.results[test].per_class_accuracy.values())


def _rank(label: str) -> tuple[int, str]:
    place = METHOD_ORDER.index(label) if label in METHOD_ORDER else len(METHOD_ORDER)
    return (place + (label == AUTO), label)


def _refuse_second(first: ResultRecord, record: ResultRecord) -> None:
    """Refuse a second record of one run, unless it is the same."""
    if first is not record and not same_outcome(first, record):
        run = f"{record.method.label} on {record.dataset.name} with seed {record.seed}"
        raise SettingsError(f"there are two results of {run} that differ; remove the one that is no longer wanted")


def check_same_data(records: Sequence[ResultRecord]) -> None:
    """Refuse records that are not of one backbone or of data sets that changed between runs.

    Raises:
        SettingsError: as said, or there are no records.
    """
    if not records:
        raise SettingsError("there are no result records yet; run a benchmark first")
    backbones = {f"{r.backbone.name} ({r.backbone.fingerprint[:8]})" for r in records}
    _refuse_several("backbone", backbones, ' (backbone="NAME")')
    _refuse_several("precision", {r.backbone.precision for r in records})
    first_of_dataset: dict[str, ResultRecord] = {}
    first_of_tests: dict[tuple[str, str, str], ResultRecord] = {}
    for record in records:
        other = first_of_dataset.setdefault(record.dataset.name, record)
        _refuse_difference(f"data set {record.dataset.name}", _of_dataset(other), _of_dataset(record))
        for test in record.dataset.classes:
            other = first_of_tests.setdefault((record.protocol, record.dataset.name, test), record)
            _refuse_difference(f"data set {record.dataset.name}", _of_test(other, test), _of_test(record, test))


def _check_one_comparison(records: Sequence[ResultRecord]) -> None:
    """Refuse records whose difference would be taken for one of methods, data sets or seeds."""
    check_same_data(records)
    _refuse_several("number of shots", {str(r.shots) for r in records}, " (shots=NUMBER)")
    first_of_pair: dict[tuple[str, str], ResultRecord] = {}
    for record in records:
        pair = record.method.label, record.dataset.name
        other = first_of_pair.setdefault(pair, record)
        _refuse_difference(" on ".join(pair), _of_pair(other), _of_pair(record))


def _refuse_several(what: str, values: set[str], option: str = "") -> None:
    if len(values) > 1:
        raise SettingsError(
            f"a table is of one {what}, and these records are of {' and '.join(sorted(values))}; "
            f"choose one of them{option}, or give each benchmark its own output folder"
        )


def _of_dataset(record: ResultRecord) -> dict[str, Any]:
    """What all results on a data set must share."""
    return {name: record.settings[name] for name in ("data set's fingerprint", "template")}


def _of_test(record: ResultRecord, test: str) -> dict[str, Any]:
    """What all results of a protocol on a test of a data set must share."""
    classes = {f"{test} classes": list(record.dataset.classes[test])}
    if (target := record.dataset.targets.get(test)) is None:
        return classes
    return {**classes, f"{test}'s fingerprint": target.fingerprint, f"{test}'s template": target.template}


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
