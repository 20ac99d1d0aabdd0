"""What a reader needs to know about the runs of a story: settings, versions, machines and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlprompt.experiments.records import ResultRecord
from vlprompt.report.captions import thread_words
from vlprompt.report.headline import method_name


def facts(
    records: Sequence[ResultRecord], methods: Sequence[str], seeds: Sequence[int], shots: str
) -> list[tuple[str, str]]:
    """Name and words of each fact, in the order of a methods section.

    Args:
        shots: in words.
    """
    first = records[0]
    machines = sorted({_machine(record) for record in records})
    versions = sorted({", ".join(f"{name} {version}" for name, version in r.versions.items()) for r in records})
    finished = sorted(record.finished for record in records)
    return [
        ("Backbone", f"{first.backbone.name}, weights {first.backbone.fingerprint[:16]}, {first.backbone.precision}"),
        ("Shots", shots),
        ("Seeds", ", ".join(map(str, seeds)) or "none (nothing is learned)"),
        ("Templates", "; ".join(sorted({record.dataset.template for record in records}))),
        *[(f"Training, {method_name(method)}", _training_words(records, method)) for method in methods],
        ("Versions", "; ".join(versions)),
        *[("Commit", words) for words in [_commits(records)] if words],
        ("Machine", "; ".join(machines)),
        *[("Memory", words) for words in [_memory(records)] if words],
        *[("Threads", words) for words in [thread_words({r.machine.threads for r in records})] if words],
        ("Finished", " to ".join(dict.fromkeys(_minute(time) for time in (finished[0], finished[-1]))) + " UTC"),
    ]


def times(records: Sequence[ResultRecord], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Times by method: number of runs, mean seconds of a run's parts, and all together."""
    rows = []
    for method in methods:
        times = [record.times for record in records if record.method.label == method]
        rows.append(
            {
                "method": method,
                "count": len(times),
                "features": sum(time.features_s for time in times) / len(times),
                "train": sum(time.train_s for time in times) / len(times),
                "evaluate": sum(time.evaluate_s for time in times) / len(times),
                "total": sum(time.total_s for time in times),
            }
        )
    return rows


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _minute(finished: str) -> str:
    """An ISO time up to its minutes."""
    return finished[:16].replace("T", " ")


def _machine(record: ResultRecord) -> str:
    machine = record.machine
    device = "" if record.backbone.device == "cpu" else f", {record.backbone.device}"
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}, {machine.threads} used by each run"
    return f"{machine.processor} ({machine.system}), {cores}, {machine.memory_bytes / 2**30:.0f} GiB{device}"


def _commits(records: Sequence[ResultRecord]) -> str:
    """Of the package and of the working folder, where they were under git."""
    found = {
        f"{where} {state.commit[:12]}{' with changes' if state.dirty else ''}"
        for record in records
        for where, state in record.git.items()
    }
    return "; ".join(sorted(found))


def _memory(records: Sequence[ResultRecord]) -> str:
    """The most that a run held, where the system tells it."""
    main, gpu = (
        max((held for record in records if (held := getattr(record, name)) is not None), default=0)
        for name in ("peak_bytes", "peak_gpu_bytes")
    )
    words = [f"{held / 2**30:.1f} GiB{of}" for held, of in ((main, ""), (gpu, " of the GPU's")) if held]
    return f"at most {' and '.join(words)} in a run" if words else ""


def _training_words(records: Sequence[ResultRecord], method: str) -> str:
    """The training settings and options of a method; several values only where runs differ."""
    values: dict[str, list[str]] = {}
    runs = [record for record in records if record.method.label == method]
    for record in runs:
        given = {name: value for name, value in record.method.options.items() if value not in (None, False)}
        for name, value in {**given, **(record.training or {})}.items():
            if name != "seed" and str(value) not in values.setdefault(name, []):
                values[name].append(str(value))
    words = [f"{name} {' / '.join(several)}" for name, several in values.items()]
    return ", ".join(words if runs[0].method.learns else ["nothing is learned", *words]) or "closed form"
