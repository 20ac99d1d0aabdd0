"""The numbers of any protocol: rows are methods, columns its tests and what follows from them, means over seeds.

A table is of the data sets that have the same tests, on average and each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from vlprompt.experiments.protocol import Protocol
from vlprompt.experiments.records import ResultRecord
from vlprompt.protocols import BASE_TO_NEW, PROTOCOLS
from vlprompt.report.estimates import Estimate, Interval, estimate
from vlprompt.report.runs import Runs
from vlprompt.report.summary import harmonic_mean

Accuracies = Mapping[str, float]
NEW_NAMES = "base and new names at once"


@dataclass(frozen=True)
class TestTable:
    """A table; a method that was not tested on a column's test has no such cell.

    Attributes:
        title: of a data set, of the average over several, or what is compared.
        datasets: that its numbers are means over.
        shots: training images a class.
        rows: by method, its estimates by column.
    """

    __test__ = False  # pytest would look for tests in what is called so

    title: str
    datasets: tuple[str, ...]
    shots: int
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Estimate]]

    def best(self, column: str) -> str | None:
        """The method whose interval lies wholly above every other method's in a column."""
        cells = {method: row[column] for method, row in self.rows.items() if column in row}
        if len(cells) < 2:
            return None
        leader = max(cells, key=lambda method: cells[method].mean)
        others = [cell for method, cell in cells.items() if method != leader]
        return leader if all(cells[leader].low > other.high for other in others) else None


@dataclass(frozen=True)
class ByTest:
    """All tables of a protocol's records; the first ones say most.

    Attributes:
        heading: before the titles of its tables.
        title: of the protocol.
        note: what its columns are.
        main: averages and comparisons, or all tables where there is one data set.
        each: of every data set by itself, beside an average.
        words: by method the nearest words of its context vectors, of one run; the title says which.
    """

    protocol: str
    heading: str
    title: str
    note: str
    backbone: str
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    interval: Interval
    methods: tuple[str, ...]
    learned: tuple[str, ...]
    main: tuple[TestTable, ...]
    each: tuple[TestTable, ...]
    words: dict[str, str]
    words_title: str


def by_test(records: Sequence[ResultRecord], *, interval: Interval = "student") -> ByTest:
    """The numbers of one protocol's records.

    Raises:
        SettingsError: there are no records, or they mix backbones, data or settings.
    """
    name = records[0].protocol
    protocol = PROTOCOLS.get(name)
    columns: Callable[[Accuracies], Accuracies] = protocol.columns if protocol else dict
    title, note = (protocol.title, protocol.note) if protocol else (name, "")
    return _by_test(records, interval, protocol, title, note, _accuracies, columns)


def among_all_names(records: Sequence[ResultRecord], *, interval: Interval = "student") -> ByTest | None:
    """Accuracy on the base and on the new classes of base-to-new, each picture before the names of both.

    None where no record has that test, as records of earlier releases have not.
    """
    having = [record for record in records if record.protocol == BASE_TO_NEW.name and "all" in record.results]
    if not having:
        return None
    note = "Every picture of base and new classes is named among all of them; H: harmonic mean of base and new."
    return _by_test(having, interval, None, NEW_NAMES, note, _halves_among_all, _with_harmonic)


def _by_test(
    records: Sequence[ResultRecord],
    interval: Interval,
    protocol: Protocol | None,
    title: str,
    note: str,
    values: Callable[[ResultRecord], Accuracies],
    columns: Callable[[Accuracies], Accuracies],
) -> ByTest:
    name, learned = records[0].protocol, [record for record in records if record.method.learns]
    all_shots = tuple(sorted({record.shots for record in learned})) or (records[0].shots,)
    main: list[TestTable] = []
    each: list[TestTable] = []
    runs = None
    for shots in all_shots:
        # What learns nothing has one result for all numbers of shots.
        of_shots = [record for record in records if record.method.learns is False or record.shots == shots]
        runs = Runs([replace(record, shots=shots) for record in of_shots])
        maker = _Maker(runs, shots, interval, values, columns)
        tables = [maker.table(dataset, (dataset,), runs.methods) for dataset in runs.datasets]
        averaged = tuple(d for d in runs.datasets if all((d, method) in runs.by_pair for method in runs.methods))
        if len(runs.datasets) == 1 and not (protocol and protocol.questions):
            main += tables
            continue
        if protocol and protocol.questions and averaged:
            main += _of_questions(maker, protocol, averaged)
            each += tables if len(runs.datasets) > 1 else []
        else:
            main += [maker.table(_average_of(averaged), averaged, runs.methods)] if len(averaged) > 1 else []
            each += tables
    assert runs is not None
    labels = {record.method.label: record.method.learns for record in records}
    seeds = tuple(sorted({record.seed for record in learned}))
    methods = tuple(dict.fromkeys(method for table in (*main, *each) for method in table.rows))
    return ByTest(
        name, name if protocol else title, title, note, records[0].backbone.name, all_shots if learned else (), seeds,
        interval,
        methods, tuple(method for method in methods if labels[method]), tuple(main or each),
        tuple(each if main else ()), *_nearest_words(learned),
    )  # fmt: skip


def _nearest_words(records: Sequence[ResultRecord]) -> tuple[dict[str, str], str]:
    """The words of the first data set's first seed, and what to call them."""
    having = [record for record in records if record.nearest_words]
    if not having:
        return {}, ""
    dataset, seed = min((record.dataset.name, record.seed) for record in having)
    words = {
        record.method.label: ", ".join(
            f"{near.token.removesuffix('</w>')} {near.distance:.2f}" for near in record.nearest_words
        )
        for record in having
        if (record.dataset.name, record.seed) == (dataset, seed)
    }
    return words, f"nearest words of the learned vectors and their distances, {dataset}, seed {seed}"


def _of_questions(maker: _Maker, protocol: Protocol, datasets: tuple[str, ...]) -> list[TestTable]:
    """A table a question whose method runs are there, and one of the others that no question has."""
    labels = {q: [run.label or run.method for run in question.runs] for q, question in protocol.questions.items()}
    asked = {label for of_question in labels.values() for label in of_question}
    tables = []
    for name, question in protocol.questions.items():
        there = [label for label in labels[name] if label in maker.runs.methods]
        if len(there) > 1:
            tables.append(maker.table(question.title, datasets, there))
    if others := [method for method in maker.runs.methods if method not in asked]:
        tables.append(maker.table("beside these", datasets, others))
    return tables


@dataclass(frozen=True)
class _Maker:
    """Makes tables of runs with one number of shots."""

    runs: Runs
    shots: int
    interval: Interval
    values: Callable[[ResultRecord], Accuracies]
    columns: Callable[[Accuracies], Accuracies]

    def table(self, title: str, datasets: tuple[str, ...], methods: Sequence[str]) -> TestTable:
        rows = {
            method: self._row(datasets, method)
            for method in methods
            if all((dataset, method) in self.runs.by_pair for dataset in datasets)
        }
        columns = tuple(dict.fromkeys(column for row in rows.values() for column in row))
        return TestTable(title, datasets, self.shots, columns, rows)

    def _row(self, datasets: Sequence[str], method: str) -> dict[str, Estimate]:
        """Means over data sets and seeds of the values that all of them have, and what follows from these."""
        found = [run for dataset in datasets for run in self.runs.by_pair[dataset, method].values()]
        tests = [t for t in self.values(found[0]) if all(t in self.values(run) for run in found)]
        if not tests:
            return {}
        names = {test: self._value(test) for test in tests}
        means = {t: self.runs.estimate(datasets, method, names[t], self.interval).mean for t in tests}
        by_seed = [
            self.columns({t: fmean(self.runs.values(datasets, method, seed, names[t])) for t in tests})
            for seed in self.runs.shared_seeds(datasets, method)
        ]
        row = {}
        for column, mean in self.columns(means).items():
            learns = self.runs.learns[method]
            spread = estimate([one[column] for one in by_seed], self.interval, chance=learns) if by_seed else None
            row[column] = Estimate(mean, spread.half_width if spread else None, spread.count if spread else 0)
        return row

    def _value(self, test: str) -> Callable[[ResultRecord], float]:
        return lambda record: self.values(record)[test]


def _accuracies(record: ResultRecord) -> Accuracies:
    return {test: result.accuracy for test, result in record.results.items()}


def _halves_among_all(record: ResultRecord) -> Accuracies:
    """Accuracy on the pictures of each half among all names; labels of base classes come first."""
    base, total = len(record.dataset.classes["base"]), len(record.dataset.classes["all"])
    result = record.results["all"]
    return {"base": result.accuracy_on(range(base)), "new": result.accuracy_on(range(base, total))}


def _with_harmonic(accuracies: Accuracies) -> Accuracies:
    return {**accuracies, "H": harmonic_mean(accuracies["base"], accuracies["new"])}


def _average_of(datasets: Sequence[str]) -> str:
    return f"average over {len(datasets)} data sets"
