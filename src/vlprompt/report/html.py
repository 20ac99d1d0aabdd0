"""The report: one HTML file with everything in it, for a browser without a network, light or dark, wide or narrow."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from vlprompt.escaping import for_terminal_lines
from vlprompt.experiments.records import ResultRecord
from vlprompt.files import write_atomically
from vlprompt.protocols.published import BASE_TO_NEW_AVERAGES, BASE_TO_NEW_SETTING, BASE_TO_NEW_SOURCE
from vlprompt.report import captions
from vlprompt.report.estimates import Interval
from vlprompt.report.figures import bars_svg, scatter_svg, signed
from vlprompt.report.gallery import galleries_of
from vlprompt.report.headline import headline, method_name, short_method_name
from vlprompt.report.repeating import repeat_command
from vlprompt.report.summary import Comparison, Summary, compare, summarize
from vlprompt.report.tables import COLUMNS, show_half_width, show_mean


def write_report(
    path: Path,
    records: Sequence[ResultRecord],
    *,
    command: str | None = None,
    interval: Interval = "student",
    load: Callable[[str], Any] | None = None,
) -> Path:
    """Write the report of one comparison (one backbone, one number of shots) and return its path.

    Arguments:
        command: the exact command that repeats it; made from the records by default.
        load: gives a `Dataset` from a record's `source`, for the pictures; `load_dataset` by default.

    Raises:
        SettingsError: there are no records, or they mix backbones or numbers of shots.
        OutputError: the file cannot be written.
    """
    write_atomically(path, report_html(records, command=command, interval=interval, load=load).encode())
    return path


def report_html(
    records: Sequence[ResultRecord],
    *,
    command: str | None = None,
    interval: Interval = "student",
    load: Callable[[str], Any] | None = None,
) -> str:
    """The report as text; see `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("vlprompt.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.globals.update(
        method_name=method_name, short_name=short_method_name, show_mean=show_mean, show_half_width=show_half_width
    )
    environment.globals.update(signed=signed, columns=COLUMNS, duration=duration)
    style = files("vlprompt.report").joinpath("page.css").read_text(encoding="utf-8")
    summary, comparison = summarize(records, interval=interval), compare(records, interval=interval)
    galleries, without_pictures = galleries_of(records, load)
    return environment.get_template("page.html.j2").render(
        style=Markup(style),  # our own file
        style_hash=_csp_hash(style),
        headline=headline(records, interval=interval),
        summary=summary,
        words=captions,
        wide_intervals=_has_wide_intervals(summary),
        comparison=comparison,
        figures=_figures(comparison),
        galleries=galleries,
        without_pictures=without_pictures,
        command=command or repeat_command(records),
        facts=_facts(records, summary),
        runs=_runs(records, summary),
        published=BASE_TO_NEW_AVERAGES,
        published_setting=BASE_TO_NEW_SETTING,
        published_source=BASE_TO_NEW_SOURCE,
    )


def _shown(value: Any) -> Any:
    """Text without control characters and what turns it round; the template's autoescape does the rest."""
    return for_terminal_lines(value) if type(value) is str else value


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _csp_hash(style: str) -> str:
    """The style sheet's hash for the content security policy, which allows this one and nothing else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _has_wide_intervals(summary: Summary) -> bool:
    """Whether some interval takes two digits before its point, and so more room beside its mean."""
    cells = [*summary.cells.values(), *summary.average.values()]
    return any((estimate.half_width or 0) >= 9.95 for cell in cells for estimate in cell.columns)


def _figures(comparison: Comparison | None) -> dict[str, Any] | None:
    from markupsafe import Markup

    if comparison is None:
        return None
    names = {method: method_name(method) for method in (comparison.first, comparison.second)}
    bars, scatter = bars_svg(comparison, names), scatter_svg(comparison, names)
    return {
        "bars": Markup(bars),  # ElementTree has escaped it
        "scatter": Markup(scatter),  # likewise
        "first": names[comparison.first],
        "second": names[comparison.second],
        "intervals": any(
            estimate.half_width is not None for estimate in (*comparison.new.values(), comparison.average_new)
        ),
    }


def _facts(records: Sequence[ResultRecord], summary: Summary) -> list[tuple[str, str]]:
    """What a reader needs to know about the run, in the order of a methods section."""
    first = records[0]
    machines = sorted({_machine(record) for record in records})
    versions = sorted({", ".join(f"{name} {version}" for name, version in r.versions.items()) for r in records})
    finished = sorted(record.finished for record in records)
    return [
        ("Backbone", f"{first.backbone.name}, weights {first.backbone.fingerprint[:16]}, {first.backbone.precision}"),
        ("Shots", _shots(summary)),
        ("Seeds", ", ".join(map(str, summary.seeds)) or "none (nothing is learned)"),
        ("Templates", "; ".join(sorted({record.dataset.template for record in records}))),
        *[(f"Training, {method_name(method)}", _training_words(records, method)) for method in summary.methods],
        ("Versions", "; ".join(versions)),
        ("Machine", "; ".join(machines)),
        *[("Threads", words) for words in [captions.thread_words(summary)] if words],
        ("Finished", " to ".join(dict.fromkeys(_minute(time) for time in (finished[0], finished[-1]))) + " UTC"),
    ]


def _shots(summary: Summary) -> str:
    if not summary.learned:
        return "none (nothing is learned)"
    images = captions.counted(summary.shots, "image")
    return f"{images} a class, drawn over all classes; trained on the first half of the classes"


def _minute(finished: str) -> str:
    """An ISO time up to its minutes."""
    return finished[:16].replace("T", " ")


def _machine(record: ResultRecord) -> str:
    machine = record.machine
    device = "" if record.backbone.device == "cpu" else f", {record.backbone.device}"
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}, {machine.threads} used by each run"
    return f"{machine.processor} ({machine.system}), {cores}, {machine.memory_bytes / 2**30:.0f} GiB{device}"


def _training_words(records: Sequence[ResultRecord], method: str) -> str:
    """The training settings and options of a method; more than one set of them only where runs differ."""
    sets = set()
    for record in records:
        if record.method.label == method:
            training = {name: value for name, value in (record.training or {}).items() if name != "seed"}
            given = {name: value for name, value in record.method.options.items() if value not in (None, False)}
            words = [f"{name} {value}" for name, value in {**given, **training}.items()]
            sets.add(", ".join(words if record.method.learns else ["nothing is learned", *words]))
    return " / ".join(sorted(sets))


def _runs(records: Sequence[ResultRecord], summary: Summary) -> list[dict[str, Any]]:
    """Times by method: number of runs, mean seconds of a run's parts, and all together."""
    rows = []
    for method in summary.methods:
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
