"""benchmark and report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from vlprompt.cli.models import check_shots, given
from vlprompt.cli.output import note, print_rich
from vlprompt.errors import SettingsError
from vlprompt.files import check_writable
from vlprompt.recipes import TrainingSettings
from vlprompt.streams import is_terminal, write_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlprompt.experiments.protocol import Protocol
    from vlprompt.experiments.records import ResultRecord

RESULT_BYTES = 50_000_000
"""More than the records, the checkpoints and the report of a benchmark take."""
REPORT_FILE = "report.html"


def base_to_new(options: Namespace) -> None:
    """Run what is not there yet of base-to-new, print the table and write the report."""
    from vlprompt.protocols import BASE_TO_NEW

    _benchmark(options, BASE_TO_NEW)


def few_shot(options: Namespace) -> None:
    """Run what is not there yet of few-shot, print the tables and write the report."""
    from vlprompt.protocols import FEW_SHOT

    _benchmark(options, FEW_SHOT)


def _benchmark(options: Namespace, protocol: Protocol) -> None:
    shots = tuple(_whole_number("--shots", number) for number in _items(str(options.shots)))
    if not shots:
        raise SettingsError("--shots is empty; it must be numbers with commas, such as 1,2,4.")
    for number in shots:
        check_shots(number)
    out = Path(options.out)
    seeds = tuple(_whole_number("--seeds", seed) for seed in _items(str(options.seeds)))
    workers = options.workers if options.workers == "auto" else _whole_number("--workers", options.workers)
    check_writable(out, RESULT_BYTES)
    from vlprompt.data.catalogue import DATASETS
    from vlprompt.experiments import Plan, queue
    from vlprompt.experiments.plan import all_methods

    methods = _items(options.methods)
    plan = Plan(
        protocol,
        datasets=tuple(options.data) or DATASETS,
        methods=tuple(all_methods(protocol) if methods == ["all"] else methods),
        shots=shots,
        seeds=seeds,
        backbone=options.backbone,
        device=options.device,
        training=given(options, TrainingSettings, leave_out=("seed",)),
        class_words=options.class_words,
        image_root=options.image_root,
        path_column=options.path_column,
        label_column=options.label_column,
        on_unreadable=options.on_unreadable,
        max_pixels=options.max_pixels,
    )
    records = queue.run(plan, out, workers=workers, progress=False if options.no_progress else None)
    _tell_results(records, out, "text")


def report(options: Namespace) -> None:
    """Print the table of results that are there and write the report."""
    from vlprompt.experiments.records import read_records

    out = Path(options.results)
    records = read_records(out)
    if not records:
        raise SettingsError(f"{out} holds no results; vlprompt benchmark base-to-new --out {out} makes some.")
    check_writable(out)
    from vlprompt.report.summary import chosen

    records = chosen(records, shots=options.shots, backbone=options.backbone)
    _tell_results(records, out, options.format)


def _tell_results(records: Sequence[ResultRecord], out: Path, form: str) -> None:
    """Write the report and print the table; neither is lost when the other cannot be written."""
    from vlprompt.report.html import write_report

    try:
        path = write_report(out / REPORT_FILE, records)
    finally:
        _print_table(records, form)
    note(f"Report: {path.resolve()}")


def _print_table(records: Sequence[ResultRecord], form: str) -> None:
    from vlprompt.report import tables
    from vlprompt.report.summary import summarize

    summary = summarize(records)
    if form == "markdown":
        write_results(tables.markdown_table(summary))
    elif form == "csv":
        write_results(tables.csv_table(summary))
    elif is_terminal(sys.stdout):
        from rich.console import Console

        print_rich(tables.terminal_table(summary, Console().width))
    else:
        write_results(tables.plain_text(summary))


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _whole_number(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"{flag} has {text!r}; it must be a whole number.") from error
