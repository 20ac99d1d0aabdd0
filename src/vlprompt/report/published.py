"""Published numbers beside ours: the same cell, the difference, our interval over seeds, and why they do not compare.

Two numbers compare where backbone, data set, split, shots, recipe and what was chosen on what are the same. A reason
against it is said once for a table where all its cells have it, else as a numbered note.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from statistics import fmean

from vlprompt.data.published.sets import PUBLISHED
from vlprompt.escaping import for_csv
from vlprompt.experiments.records import ResultRecord
from vlprompt.methods import METHODS, method_class
from vlprompt.methods.declarations import recipe_for
from vlprompt.protocols.published import (
    AVERAGE,
    HARMONIC,
    IMAGENET_EPOCHS,
    PublishedCell,
    PublishedTable,
    published_tables,
)
from vlprompt.report.estimates import Estimate, Interval, estimate
from vlprompt.report.summary import harmonic_mean


@dataclass(frozen=True)
class ComparedCell:
    """A published number and ours.

    Attributes:
        shots: None where the method learns nothing.
        reasons: why they do not compare; empty where they do.
        notes: the numbers of those reasons and doubts that not all cells of the table share.
    """

    dataset: str
    test: str
    method: str
    shots: int | None
    published: float
    ours: Estimate
    reasons: tuple[str, ...]
    doubt: str
    notes: tuple[int, ...] = ()

    @property
    def difference(self) -> Estimate:
        """Ours minus the published number, which has no interval of its own."""
        half_width = None if self.shots is None else self.ours.half_width
        return Estimate(self.ours.mean - self.published, half_width, self.ours.count)


@dataclass(frozen=True)
class ComparedTable:
    """The cells of a published table that we have numbers for.

    Attributes:
        shared: reasons that hold for all of them.
        notes: the others, in the order of their numbers from 1.
    """

    table: PublishedTable
    cells: tuple[ComparedCell, ...]
    shared: tuple[str, ...]
    notes: tuple[str, ...]


def compared_with_published(records: Sequence[ResultRecord], interval: Interval = "student") -> list[ComparedTable]:
    """All published tables that have numbers for these data sets, each with ours beside them."""
    found = []
    for table in published_tables().values():
        there = [record for record in records if record.protocol == table.protocol]
        cells = [made for cell in table.cells() if (made := _compared(cell, table, there, interval)) is not None]
        if cells:
            found.append(_with_notes(table, cells))
    return found


def published_csv(tables: Sequence[ComparedTable]) -> str:
    """All cells unrounded, one a line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([
        "table", "dataset", "test", "method", "shots", "published", "ours", "half_width", "seeds", "difference",
        "comparable", "reasons", "doubt",
    ])  # fmt: skip
    for table in tables:
        for cell in table.cells:
            half_width = "" if cell.ours.half_width is None else repr(cell.ours.half_width)
            names = [for_csv(name) for name in (table.table.name, cell.dataset, cell.test, cell.method)]
            writer.writerow([
                *names, cell.shots or 0, cell.published, repr(cell.ours.mean), half_width, cell.ours.count,
                repr(cell.difference.mean), "no" if cell.reasons else "yes", for_csv("; ".join(cell.reasons)),
                for_csv(cell.doubt),
            ])  # fmt: skip
    return stream.getvalue()


def _compared(
    cell: PublishedCell, table: PublishedTable, records: Sequence[ResultRecord], interval: Interval
) -> ComparedCell | None:
    """The cell with our number; None where we have none of its data set (or not all that an average needs)."""
    # The averages of later work are over the papers' eleven data sets, whose rows they do not have.
    averaged = table.datasets or published_tables()["cocoop-table-1"].datasets
    datasets = averaged if cell.row.dataset == AVERAGE else (cell.row.dataset,)
    runs = [
        {r.seed: r for r in records if r.method.label == cell.row.method and r.dataset.name == name and _fits(r, cell)}
        for name in datasets
    ]
    if not all(runs) or not all(_tests(cell, table) <= set(r.results) for by in runs for r in by.values()):
        return None
    of_all = [record for by_seed in runs for record in by_seed.values()]
    learns = any(record.method.learns for record in of_all)
    if not learns and cell.shots != table.shots[0]:
        return None  # the same number again
    return ComparedCell(
        cell.row.dataset, cell.test, cell.row.method, cell.shots if learns else None, cell.value,
        _ours(runs, cell, table, interval), tuple(dict.fromkeys(_reasons(of_all, cell, table))), cell.row.doubt,
    )  # fmt: skip


def _fits(record: ResultRecord, cell: PublishedCell) -> bool:
    return not record.method.learns or record.shots == cell.shots


def _tests(cell: PublishedCell, table: PublishedTable) -> set[str]:
    """The tests that a number is made of."""
    if cell.test == HARMONIC:
        return {"base", "new"}
    if cell.test == AVERAGE:
        return {test for test in table.columns if test not in (AVERAGE, cell.row.dataset)}
    return {cell.test}


def _ours(
    runs: Sequence[dict[int, ResultRecord]], cell: PublishedCell, table: PublishedTable, interval: Interval
) -> Estimate:
    """Mean over data sets of the means over seeds; the interval is over the seeds that all data sets have."""
    tests = sorted(_tests(cell, table))
    combine = (lambda values: harmonic_mean(*values)) if cell.test == HARMONIC else fmean
    means = [fmean(fmean(r.results[test].accuracy for r in by_seed.values()) for by_seed in runs) for test in tests]
    learned = [set(by_seed) for by_seed in runs if any(r.method.learns for r in by_seed.values())]
    seeds = sorted(set.intersection(*(learned or [set(by_seed) for by_seed in runs])))
    if not seeds:
        return Estimate(combine(means), None, 0)
    by_seed = [
        combine([fmean((by.get(seed) or next(iter(by.values()))).results[t].accuracy for by in runs) for t in tests])
        for seed in seeds
    ]
    spread = estimate(by_seed, interval, chance=bool(learned))
    return Estimate(combine(means), spread.half_width, spread.count)


def _reasons(records: Sequence[ResultRecord], cell: PublishedCell, table: PublishedTable) -> Iterator[str]:
    for record in records:
        if record.backbone.name != table.backbone:
            yield f"the backbone is {record.backbone.name} here and {table.backbone} there"
        yield from _reasons_of_data(record, _tests(cell, table))
        yield from _reasons_of_recipe(record, cell)
    if cell.row.chosen_on:
        yield cell.row.chosen_on.rstrip(".")


def _reasons_of_data(record: ResultRecord, tests: set[str]) -> Iterator[str]:
    declared, name = PUBLISHED[record.dataset.name], record.dataset.name
    if record.dataset.source != name:
        yield f"{name} is read from {record.dataset.source} and not as the published data set"
    if record.dataset.split not in ("published", "official"):
        yield f"the split of {name} is {record.dataset.split or 'not known'}, not the published one"
    if record.dataset.template != declared.template:
        yield f"the template of {name} is {record.dataset.template!r} here and {declared.template!r} there"
    for test, here, there in _counts(record, tests):
        if here != there:
            yield f"{test} has {here:,} test pictures here and {there:,} there"


def _counts(record: ResultRecord, tests: set[str]) -> Iterator[tuple[str, int, int]]:
    """Name, pictures and published pictures of each data set that some tests are of."""
    own = record.dataset.name
    for test in sorted(tests):
        if test in PUBLISHED:
            yield test, record.results[test].total, PUBLISHED[test].counts.test
        elif test == "test":
            yield own, record.results[test].total, PUBLISHED[own].counts.test
    if tests & {"base", "new"}:
        halves = [record.results[test].total for test in ("base", "new") if test in record.results]
        yield own, sum(halves), PUBLISHED[own].counts.test


def _reasons_of_recipe(record: ResultRecord, cell: PublishedCell) -> Iterator[str]:
    name = record.method.name
    if name != cell.row.method or name not in METHODS:
        yield f"{cell.row.method} is {name} here"
        return
    recipe = recipe_for(name, record.protocol, record.shots or None)
    if recipe.training is not None:
        there = {**recipe.training.as_dict(), "views": None}  # augmented afresh every epoch, as published
        if record.dataset.name == "imagenet" and name in IMAGENET_EPOCHS:
            there["epochs"] = IMAGENET_EPOCHS[name]
        here = record.training or {}
        for option in dict.fromkeys([*here, *there]):  # some are recorded only where they are not the default
            if option not in ("seed", "precision") and here.get(option) != there.get(option):
                yield f"{name}’s {option} is {here.get(option)} here and {there.get(option)} there"
    options = method_class(name).options_class(**recipe.options)
    usual = asdict(options) if is_dataclass(options) and not isinstance(options, type) else {}
    for option, value in record.method.options.items():
        if option in usual and value != _plain(usual[option]):
            yield f"{name}’s {option} is {value} here and {usual[option]} there"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _with_notes(table: PublishedTable, cells: Sequence[ComparedCell]) -> ComparedTable:
    """The cells, with what only some of them share as numbered notes."""
    shared = tuple(reason for reason in cells[0].reasons if all(reason in cell.reasons for cell in cells))
    words = [
        [
            *(f"Not comparable: {reason}" for reason in cell.reasons if reason not in shared),
            *([f"Sources differ: {cell.doubt}"] if cell.doubt else []),
        ]
        for cell in cells
    ]
    notes = list(dict.fromkeys(note for several in words for note in several))
    numbered = [
        ComparedCell(**{**vars(cell), "notes": tuple(notes.index(note) + 1 for note in several)})
        for cell, several in zip(cells, words, strict=True)
    ]
    return ComparedTable(table, tuple(numbered), shared, tuple(notes))
