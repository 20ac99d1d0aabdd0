"""What was published, as data: `published.json`, a table at a time, each with its paper and how it was read.

Where sources contradict each other, both numbers stand, with a doubt that says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vlprompt.errors import UnknownNameError

AVERAGE = "average"
"""In the place of a data set, or in that of a test: the mean over all others of the table."""
HARMONIC = "H"
"""In the place of a test: the harmonic mean of base and new."""

IMAGENET_EPOCHS = {"coop": 50}
"""Epochs on ImageNet, by method, where they differ from those on other data sets (configs/trainers/CoOp/*_ep50*)."""


@dataclass(frozen=True)
class PublishedRow:
    """A method on a data set, or on the average of all of the table.

    Attributes:
        method: by its name here, where there is one.
        values: in percent, a column each; None where the number is not known.
        source: where it was read, if not where the table was.
        doubt: what another source says.
        chosen_on: what the method's published code used or chose on beyond the shots.
    """

    method: str
    dataset: str
    values: tuple[float | None, ...]
    source: str = ""
    doubt: str = ""
    chosen_on: str = ""


@dataclass(frozen=True)
class PublishedCell:
    """One published number, and the test of a run that it is of; `shots` is 0 for a method that learns nothing."""

    row: PublishedRow
    test: str
    shots: int
    value: float


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Attributes:
        read: how its numbers came here.
        backbone: by its name here.
        columns: tests, or in a few-shot table numbers of shots.
        methods: that a benchmark which makes the table again runs; none for a table that is only read.
    """

    name: str
    title: str
    paper: str
    read: str
    protocol: str
    backbone: str
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    methods: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets whose numbers are known."""
        return tuple(dict.fromkeys(row.dataset for row in self.rows if row.dataset != AVERAGE))

    @property
    def averages(self) -> tuple[PublishedRow, ...]:
        """The rows of averages."""
        return tuple(row for row in self.rows if row.dataset == AVERAGE)

    def cells(self) -> Iterator[PublishedCell]:
        """The numbers that are known."""
        for row in self.rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if value is not None:
                    by_shots = self.protocol == "few-shot"
                    test, shots = ("test", int(column)) if by_shots else (column, self.shots[0])
                    yield PublishedCell(row, test, shots, value)


@cache
def published_tables() -> dict[str, PublishedTable]:
    """All tables by name."""
    text = files("vlprompt.protocols").joinpath("published.json").read_text(encoding="utf-8")
    tables = [_table(**{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()}) for one in json.loads(text)]
    return {table.name: table for table in tables}


def published_table(name: str) -> PublishedTable:
    """A table by name.

    Raises:
        UnknownNameError: there is none of this name.
    """
    tables = published_tables()
    if name not in tables:
        raise UnknownNameError("published table", name, tables)
    return tables[name]


def _table(rows: tuple[dict[str, object], ...], **rest: object) -> PublishedTable:
    made = tuple(PublishedRow(**{**row, "values": tuple(row["values"])}) for row in rows)  # type: ignore[arg-type]
    return PublishedTable(rows=made, **rest)  # type: ignore[arg-type]
