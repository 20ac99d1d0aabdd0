"""The results of several folders, as machines that share no disk leave them, as those of one.

Two records of one run that name every picture alike are one, of which the one that holds more stays. Two that differ
are not chosen between: neither counts, and both are told, with what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlprompt.errors import RecordError
from vlprompt.experiments.records import ResultRecord, path_of, read_records, same_outcome, shortened


@dataclass(frozen=True)
class Conflict:
    """Records of one run that differ, and the folders that they are from."""

    folders: tuple[Path, ...]
    records: tuple[ResultRecord, ...]

    @property
    def run(self) -> str:
        """The run in a few words."""
        first = self.records[0]
        drawn = f" {first.shots} shots seed {first.seed}" if first.method.learns else ""
        return f"{first.protocol} {first.dataset.name} {first.method.label}{drawn}"

    def results(self) -> list[tuple[Path, str]]:
        """Each folder's accuracies, and what is not the same in all of them."""
        around = [_circumstances(record) for record in self.records]
        names = dict.fromkeys(name for values in around for name in values)
        differing = [name for name in names if any(values.get(name) != around[0].get(name) for values in around)]
        told = []
        for folder, record, values in zip(self.folders, self.records, around, strict=True):
            accuracies = ", ".join(f"{test} {result.accuracy:.2f}" for test, result in record.results.items())
            settings = "; ".join(f"{name} {shortened(values.get(name))}" for name in differing)
            told.append((folder, f"{accuracies}{f' ({settings})' if settings else ''}"))
        return told


def merged(folders: Sequence[Path]) -> tuple[list[ResultRecord], list[Conflict]]:
    """The records of all folders, each run once, and the runs whose records differ, which are none of them.

    Raises:
        RecordError: as `read_records`, or a folder holds no results.
    """
    runs: dict[Path, list[tuple[Path, ResultRecord]]] = {}
    for folder in folders:
        there = read_records(folder)
        if not there:
            raise RecordError(f"{folder} holds no results; name the output folder of a benchmark that has some.")
        for record in there:
            known = runs.setdefault(path_of(Path(), record), [])
            alike = [place for place, (_, other) in enumerate(known) if same_outcome(other, record)]
            if not alike:
                known.append((folder, record))
            elif _size(record) > _size(known[alike[0]][1]):
                known[alike[0]] = folder, record
    records = [found[0][1] for found in runs.values() if len(found) == 1]
    conflicts = [Conflict(*zip(*found, strict=True)) for found in runs.values() if len(found) > 1]
    return records, conflicts


def _size(record: ResultRecord) -> tuple[int, int]:
    """How much a record holds: tests, and what earlier releases did not keep."""
    return len(record.results), sum(result.calibration is not None for result in record.results.values())


def _circumstances(record: ResultRecord) -> dict[str, Any]:
    """Settings, versions and machine, in which two records of a run may differ."""
    return {
        **record.settings,
        "training": {name: value for name, value in (record.training or {}).items() if name != "seed"},
        **{f"version of {name}": version for name, version in record.versions.items()},
        **{f"machine's {name}": value for name, value in asdict(record.machine).items()},
        "device": record.backbone.device,
        **{f"commit of {name}": state.commit for name, state in record.git.items()},
    }
