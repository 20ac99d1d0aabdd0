"""benchmark --dry-run: what would be computed, in which order, how long it takes, and how much memory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.cli.output import note, print_json, print_table
from vlprompt.progress import duration

if TYPE_CHECKING:
    from vlprompt.experiments import Plan
    from vlprompt.experiments.forecast import ExpectedRun, Forecast

LISTED_RUNS = 40
"""Up to so many are listed one by one; more are counted by data set and method."""


def dry_run(plan: Plan, out: Path, workers: int | str, launched: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what `queue.run` would do with the same arguments."""
    from vlprompt.experiments.forecast import forecast
    from vlprompt.experiments.queue import prepare, team_of

    prepared = prepare(plan)
    count, threads = team_of(prepared.plan, prepared.backbone, workers)
    ahead = forecast(prepared, out, count, launched.get("threads") or threads)
    jobs, script, first = launched.get("jobs"), "", ""
    if jobs is not None and ahead.missing:
        script, first = jobs.cluster.script(len(ahead.missing)), shlex.join(jobs.command.of(ahead.missing[0].run))
    if as_json:
        print_json({**_as_values(ahead), "script": script, "first_job": first})
        return
    if len(ahead.runs) <= LISTED_RUNS:
        print_table(("#", "run", "steps", "time", "memory"), _lines(ahead.runs), headings_in_pipes=True)
    else:
        headings = ("data set", "method", "runs", "finished", "steps a run", "time a run", "time", "memory")
        print_table(headings, _counts(ahead.runs), headings_in_pipes=True)
    for line in _totals(ahead):
        note(line)
    if first:
        note(f"The first job: {first}")
    for line in script.splitlines():
        note(line)


def _lines(runs: Sequence[ExpectedRun]) -> list[tuple[str, ...]]:
    return [(str(number), one.run.name, *_figures(one)) for number, one in enumerate(runs, 1)]


def _figures(one: ExpectedRun) -> tuple[str, str, str]:
    if one.finished:
        return str(one.steps), "finished", ""
    return str(one.steps), _time(one.seconds), _memory(one.memory_bytes)


def _counts(runs: Sequence[ExpectedRun]) -> list[tuple[str, ...]]:
    """A row for each data set, method and number of steps, in the order of its first run."""
    groups: dict[tuple[str, str, int], list[ExpectedRun]] = {}
    for one in runs:
        groups.setdefault((one.run.dataset.name, one.run.method.label, one.steps), []).append(one)
    rows: list[tuple[str, ...]] = []
    for (dataset, method, steps), same in groups.items():
        missing = [one for one in same if not one.finished]
        each = missing[0].seconds if missing else None
        total = "finished" if not missing else _time(None if each is None else sum(one.seconds or 0 for one in missing))
        memory = _memory(max((one.memory_bytes or 0 for one in missing), default=0))
        counted = str(len(same)), str(len(same) - len(missing)), str(steps)
        rows.append((dataset, method, *counted, _time(each) if missing else "", total, memory))
    return rows


def _totals(ahead: Forecast) -> list[str]:
    """What it comes to, in sentences."""
    done = len(ahead.runs) - len(ahead.missing)
    lines = [f"{len(ahead.runs)} runs, of which {done} are finished. Nothing was trained, and nothing written."]
    if not ahead.missing:
        return lines
    together = f"{min(ahead.workers, len(ahead.missing))} at a time with {ahead.threads} threads each"
    memory = f", {_memory(ahead.memory_bytes)} of memory" if ahead.memory_bytes else ""
    lines.append(f"About {_time(ahead.seconds)}{memory}, {together}, at the rates measured on this machine just now.")
    lines.append(
        f"Of that, {ahead.pictures:,} pictures and augmented views to encode, {1000 * ahead.picture_s:.0f} ms each; "
        "those in the cache cost nothing."
    )
    if ahead.unknown:
        which = ", ".join(dict.fromkeys(one.run.method.label for one in ahead.unknown))
        lines.append(f"Not counted, because their time could not be measured within a minute: {which}.")
    return lines


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return f"{seconds:.1f} s" if seconds < 60 else f"{duration(seconds)} {'h' if seconds >= 3600 else 'min'}"


def _memory(size: int | None) -> str:
    return f"{size / 1e9:.1f} GB" if size else ""


def _as_values(ahead: Forecast) -> dict[str, Any]:
    return {
        "runs": [
            {
                "run": one.run.name, "data_set": one.run.dataset.name, "method": one.run.method.label,
                "shots": one.run.shots, "seed": one.run.seed, "finished": one.finished, "steps": one.steps,
                "seconds": one.seconds, "memory_bytes": one.memory_bytes,
            }
            for one in ahead.runs
        ],
        "finished": len(ahead.runs) - len(ahead.missing), "missing": len(ahead.missing),
        "not_measured": len(ahead.unknown), "pictures": ahead.pictures, "picture_seconds": ahead.picture_s,
        "workers": ahead.workers, "threads": ahead.threads,
        "seconds": ahead.seconds, "memory_bytes": ahead.memory_bytes,
    }  # fmt: skip
