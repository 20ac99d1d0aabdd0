"""Where a benchmark's runs are computed: in processes here, or as jobs of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from vlprompt.errors import SettingsError

if TYPE_CHECKING:
    from vlprompt.experiments.jobs import Cluster

JOB_THREADS = 4
"""Of torch in a job, where nobody has said: the machine that launches it says nothing of the one that computes."""


def add_launching(parser: ArgumentParser) -> None:
    """The options of a benchmark that say where its runs are computed."""
    parser.add_argument(
        "--threads",
        type=str | int,
        default="auto",
        help=f"of torch in each process; auto: cores over workers, and {JOB_THREADS} in jobs",
    )
    parser.add_argument(
        "--launcher",
        type=str,
        default="local",
        metavar="WHERE",
        help="local: processes here; slurm: an array of jobs, of which --workers run at a time",
    )
    parser.add_argument(
        "--slurm", type=str, default="", metavar="NAME=VALUE,...", help="options of sbatch: partition=gpu,gres=gpu:1"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the runs, their order and their time and memory as measured here; train and write nothing",
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: print JSON")
    parser.add_argument("--run", type=str | None, default=None, metavar="NAME", help="only this run, as a job does")


def check_launching(options: Namespace) -> None:
    """Refuse what cannot be used, before anything is loaded.

    Raises:
        SettingsError: a launcher that does not exist, or options that do not go together.
    """
    where = options.launcher
    if where not in ("local", "slurm"):
        raise SettingsError(f"--launcher is {where!r}; it must be local or slurm.")
    if options.slurm and where != "slurm" and options.run is None:
        raise SettingsError(f"--slurm is {options.slurm}, but --launcher is {where}; it is for --launcher slurm.")
    if options.json and not options.dry_run:
        raise SettingsError("--json is given without --dry-run, which it is for.")
    _slurm_options(options.slurm)
    if options.threads != "auto" and not (options.threads.isdigit() and int(options.threads)):
        raise SettingsError(f"--threads is {options.threads}; it must be auto or a number from 1 on.")


def launch_options(options: Namespace, out: Path, workers: int | str) -> dict[str, Any]:
    """What `queue.run` is told of it."""
    threads = None if options.threads == "auto" else int(options.threads)
    if options.launcher == "local":
        return {"threads": threads, "only": options.run}
    from vlprompt.experiments.jobs import JobCommand, Jobs

    threads = threads or JOB_THREADS
    ordinary = [word for word in options.arguments if word not in ("--dry-run", "--json")]
    alone = ["--launcher", "local", "--workers", "1", "--threads", str(threads), "--no-progress"]  # the last counts
    command = JobCommand((sys.executable, "-m", "vlprompt", *ordinary, *alone), "--run")
    return {"threads": threads, "jobs": Jobs(cluster_of(options, out, workers, threads), command)}


def cluster_of(options: Namespace, out: Path, workers: int | str, threads: int) -> Cluster:
    """The cluster that --launcher names."""
    from vlprompt.experiments.slurm import Slurm

    return Slurm(out, threads, _slurm_options(options.slurm), None if isinstance(workers, str) else workers)


def _slurm_options(text: str) -> dict[str, str]:
    """sbatch's options by name; a value may have commas, so a part without = belongs to the one before it."""
    values: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if equals and name.strip():
            values[name.strip().removeprefix("--")] = value
        elif values and not equals:
            values[next(reversed(values))] += f",{part}"
        else:
            raise SettingsError(f"--slurm has {part!r}; it must be NAME=VALUE, such as partition=gpu.")
    return values
