"""benchmark and report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from vlprompt.cli.dry_runs import dry_run
from vlprompt.cli.launching import check_launching, launch_options
from vlprompt.cli.models import check_shots, given
from vlprompt.cli.output import note, print_rich
from vlprompt.errors import SettingsError, VlpromptError
from vlprompt.files import check_writable
from vlprompt.recipes import TrainingSettings
from vlprompt.streams import is_terminal, write_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlprompt.experiments.merging import Conflict
    from vlprompt.experiments.records import ResultRecord

RESULT_BYTES = 50_000_000
"""More than the records, the checkpoints and the report of a benchmark take."""
REPORT_BYTES = 20_000_000
"""More than a report with all its figures takes."""
REPORT_FILE = "report.html"


def benchmark(options: Namespace) -> None:
    """Run what is not there yet of a protocol, print its tables and write the report."""
    from vlprompt.protocols import PROTOCOLS

    protocol = PROTOCOLS[options.protocol]
    shots = tuple(_whole_number("--shots", number) for number in _items(str(options.shots)))
    if not shots:
        raise SettingsError("--shots is empty; it must be numbers with commas, such as 1,2,4.")
    for number in shots:
        check_shots(number)
    out = Path(options.out)
    seeds = tuple(_whole_number("--seeds", seed) for seed in _items(str(options.seeds)))
    workers = options.workers if options.workers == "auto" else _whole_number("--workers", options.workers)
    check_launching(options)
    if not options.dry_run:
        check_writable(out, RESULT_BYTES)
    from vlprompt.data.catalogue import DATASETS
    from vlprompt.experiments import Plan, queue
    from vlprompt.experiments.plan import all_methods

    methods = _items(options.methods)
    plan = Plan(
        protocol,
        datasets=_data_sets(options) or DATASETS,
        methods=tuple(all_methods(protocol) if methods == ["all"] else methods),
        shots=shots,
        seeds=seeds,
        backbone=options.backbone,
        device=options.device,
        training=given(options, TrainingSettings, leave_out=("seed",)),
        root=options.root,
        class_words=options.class_words,
        image_root=options.image_root,
        path_column=options.path_column,
        label_column=options.label_column,
        on_unreadable=options.on_unreadable,
        max_pixels=options.max_pixels,
        leave_out_unfit=methods == ["all"],
    )
    launched = launch_options(options, out, workers)
    if options.dry_run:
        dry_run(plan, out, workers, launched, as_json=options.json)
        return
    records = queue.run(plan, out, workers=workers, progress=False if options.no_progress else None, **launched)
    if options.run is not None:  # a job of many; whoever launched it makes the report
        return
    _tell_results(records, out, "text", _with_the_other_story(records, out))


def _data_sets(options: Namespace) -> tuple[str, ...]:
    named = tuple(_items(options.datasets))
    if named and options.data:
        raise SettingsError(
            f"--datasets has {options.datasets}, and {options.data[0]} is given before it; give the data sets one way."
        )
    return named or tuple(options.data)


def report(options: Namespace) -> None:
    """Print the tables of the results of one folder or several, and write the report in all its forms."""
    from vlprompt.experiments.merging import merged
    from vlprompt.report.outputs import write_outputs
    from vlprompt.report.summary import chosen

    folders = [Path(folder) for folder in options.results]
    out = _place_of_report(folders, options.out)
    records, conflicts = merged(folders)
    for conflict in conflicts:
        told = "; ".join(f"{words} in {folder}" for folder, words in conflict.results())
        note(f"vlprompt: warning: the records of {conflict.run} differ, and none of them counts: {told}.")
    if not records:
        raise SettingsError(
            f"{' and '.join(map(str, folders))} hold no results but those that differ; report one of them alone."
        )
    check_writable(out, REPORT_BYTES)
    protocol = None if options.protocol == "all" else options.protocol
    records = chosen(records, shots=options.shots, backbone=options.backbone, protocol=protocol)
    _tell_results(records, out, options.format, records, conflicts)
    written = write_outputs(out, records, conflicts)
    figures = sum(path.suffix == ".pdf" for path in written)
    note(
        f"Markdown, LaTeX and CSV{f', and {figures} figures as PDF and PNG' if figures else ''}: "
        f"{written[0].resolve().parent}"
    )


def _place_of_report(folders: Sequence[Path], out: str | None) -> Path:
    """Where the report goes: into the one folder of results, or where the user says."""
    if out is None and len(folders) > 1:
        raise SettingsError(f"--out is missing: the report of {len(folders)} folders needs a folder of its own.")
    for folder in folders:
        if not os.path.isdir(folder):  # False, too, where a name is too long to look for
            raise SettingsError(f"{folder} is no folder of results; name the --out of a benchmark.")
    return folders[0] if out is None else Path(out)


def _with_the_other_story(records: Sequence[ResultRecord], out: Path) -> Sequence[ResultRecord]:
    """These records and those of the other protocol in the folder, where one page can hold both."""
    from vlprompt.experiments.records import read_records
    from vlprompt.report.stories import together

    try:
        return together(records, read_records(out))
    except VlpromptError as error:
        note(f"The report is of this benchmark alone: {error}")
        return records


def _tell_results(
    records: Sequence[ResultRecord],
    out: Path,
    form: str,
    page: Sequence[ResultRecord],
    conflicts: Sequence[Conflict] = (),
) -> None:
    """Write the report and print the tables; neither is lost when the other cannot be written.

    Args:
        page: the records that the report is of.
        conflicts: what the report tells and does not count.
    """
    from vlprompt.report.html import write_report

    try:
        path = write_report(out / REPORT_FILE, page, conflicts=conflicts)
    finally:
        _print_tables(records, form)
    note(f"Report: {path.resolve()}")


def _print_tables(records: Sequence[ResultRecord], form: str) -> None:
    from vlprompt.report import stories

    if form == "markdown":
        write_results(stories.markdown_tables(records))
    elif form == "csv":
        write_results(stories.csv_table(records))
    elif is_terminal(sys.stdout):
        from rich.console import Console

        print_rich(stories.terminal_tables(records, Console().width))
    else:
        write_results(stories.plain_tables(records))


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _whole_number(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"{flag} has {text!r}; it must be a whole number.") from error
