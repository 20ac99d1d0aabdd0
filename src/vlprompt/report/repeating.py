"""The commands that compute results again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vlprompt.errors import UnknownNameError
from vlprompt.experiments.protocol import Question
from vlprompt.experiments.records import ResultRecord
from vlprompt.methods.declarations import recipe_for
from vlprompt.protocols import PROTOCOLS
from vlprompt.report.runs import in_order


def repeat_command(records: Sequence[ResultRecord]) -> str:
    """The command line of one protocol's records, one option a line, with what differs from the published recipes.

    Where methods were run on other data sets, shots or seeds than others, as few-shot ones may be, each such group has
    a command of its own. Where methods differ from their recipes each in its own way, which one command cannot say, a
    comment says so.
    """
    if records[0].protocol == "base-to-new":
        return _command(records)
    return "\n\n".join(_command(group) for group in _groups(records))


def _groups(records: Sequence[ResultRecord]) -> list[list[ResultRecord]]:
    """The records of methods that were run on the same data sets, shots and seeds; what learns nothing joins most."""
    groups: dict[tuple[frozenset[Any], ...], list[ResultRecord]] = {}
    for method in in_order({record.method.label for record in records if record.method.learns}):
        runs = [record for record in records if record.method.label == method]
        key = tuple(
            frozenset(values) for values in zip(*((r.dataset.name, r.shots, r.seed) for r in runs), strict=True)
        )
        groups.setdefault(key, []).extend(runs)
    if not groups:
        return [list(records)]
    largest = max(groups.values(), key=len)
    largest += [record for record in records if not record.method.learns]
    return list(groups.values())


def _command(records: Sequence[ResultRecord]) -> str:
    sources = {record.dataset.name: record.dataset.source for record in records}
    learned = [record for record in records if record.method.learns]
    methods = in_order({record.method.label for record in records})
    tested = dict.fromkeys(target.source for record in records for target in record.dataset.targets.values())
    lines = [["vlprompt", "benchmark", records[0].protocol]]
    lines += [[*(_as_path(sources[name]) for name in sorted(sources)), *map(_as_path, tested)]]
    lines += [["--methods", ",".join(_as_asked(records[0].protocol, methods))]]
    for option, values in (("--shots", {r.shots for r in learned}), ("--seeds", {r.seed for r in learned})):
        lines += [[option, ",".join(map(str, sorted(values)))]] if values else []
    changes, sayable = _changes(records)
    lines += [[f"--{name.replace('_', '-')}", _as_typed(value)] for name, value in changes.items()]
    loading = {name: value for record in records for name, value in record.dataset.loading.items()}
    lines += [[f"--{name.replace('_', '-')}", str(value)] for name, value in loading.items()]
    lines += [["--backbone", records[0].backbone.name], ["--out", "runs/again"]]
    command = " \\\n  ".join(shlex.join(line) for line in lines)
    return command if sayable else f"{command}\n  # with each method's own settings, as below"


def _as_asked(protocol: str, labels: Sequence[str]) -> list[str]:
    """The labels of methods, in place of those of a whole question its name."""
    runs = {name: _labels(question) for name, question in _questions(protocol).items()}
    names = [name for name, of_question in runs.items() if set(of_question) <= set(labels)]
    said = {label for name in names for label in runs[name]}
    return [*names, *(label for label in labels if label not in said)]


def _asked(protocol: str) -> set[str]:
    """The labels of all runs of a protocol's questions."""
    return {label for question in _questions(protocol).values() for label in _labels(question)}


def _questions(protocol: str) -> Mapping[str, Question]:
    return PROTOCOLS[protocol].questions if protocol in PROTOCOLS else {}


def _labels(question: Question) -> list[str]:
    return [run.label or run.method for run in question.runs]


def _changes(records: Sequence[ResultRecord]) -> tuple[dict[str, Any], bool]:
    """Training options that differ from the recipes, and whether nothing else differs and all methods share them."""
    changed: dict[str, Any] = {}
    sayable = True
    learned = {record.method.label: record for record in records if record.training is not None}
    for record in learned.values():
        sayable &= record.method.label == record.method.name or record.method.label in _asked(record.protocol)
        for name, value in (record.training or {}).items():
            if name != "seed" and value != _published(record).get(name):
                sayable &= changed.setdefault(name, value) == value
    for record in learned.values():
        sayable &= all((record.training or {}).get(name) == value for name, value in changed.items())
    return changed, bool(sayable)


def _published(record: ResultRecord) -> dict[str, Any]:
    """The recipe's training options; a method of the user's own is published by its record alone."""
    try:
        training = recipe_for(record.method.name, record.protocol, record.shots).training
    except UnknownNameError:
        return record.training or {}
    return {} if training is None else training.as_dict()


def _as_path(source: str) -> str:
    return f"./{source}" if source.startswith("-") else source  # never an option


def _as_typed(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
