"""Runs as jobs of a cluster: a job is the ordinary command with the name of its run.

plan -> runs without a record -> commands -> the cluster's own queue -> records in the same output folder

A cluster is handed `subprocess.run` and a list of words, so nothing of this package is pickled, and a job can be
repeated by hand. What a job tells is read from its record and from the last line on its stderr.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlprompt.errors import VlpromptError
from vlprompt.escaping import for_terminal
from vlprompt.experiments.outcome import Outcome
from vlprompt.experiments.plan import Run
from vlprompt.experiments.records import read_record

JOBS_FOLDER = "jobs"
"""Below the output folder: what a launcher keeps of jobs that have not ended well."""


class ClusterGoneError(VlpromptError):
    """A cluster that cannot be reached, or not any more."""


class Cluster(ABC):
    """A queue of jobs that is somebody else's: Slurm's, say."""

    @abstractmethod
    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, str]]:
        """Start all commands; the place of each as it ends, with what it said on stderr. Closing it cancels the rest.

        Raises:
            MissingRequirementError: the package that speaks to the cluster is not installed.
            ClusterGoneError: the cluster cannot be reached, or not any more.
        """

    @abstractmethod
    def script(self, jobs: int) -> str:
        """What is submitted for so many jobs, to be read before it is; empty where there is no such text."""


@dataclass(frozen=True)
class JobCommand:
    """The ordinary command of which each job computes one run.

    Attributes:
        words: of the command that computes one run, but for the run's name.
        run_option: behind which that stands.
    """

    words: tuple[str, ...]
    run_option: str

    def of(self, run: Run) -> list[str]:
        """The command of a run."""
        return [*self.words, f"{self.run_option}={run.name}"]


@dataclass(frozen=True)
class Jobs:
    """Which cluster computes the runs, and by which command."""

    cluster: Cluster
    command: JobCommand


def compute_as_jobs(runs: Sequence[Run], out: Path, jobs: Jobs, started: Callable[[Run], None]) -> Generator[Outcome]:
    """The outcomes of runs computed by a cluster, as they come."""
    ends = jobs.cluster.run([jobs.command.of(run) for run in runs])
    for run in runs:
        started(run)
    try:
        for place, said in ends:
            yield _outcome(runs[place], out, said)
    finally:
        ends.close()


def _outcome(run: Run, out: Path, said: str) -> Outcome:
    """How a job ended: its record counts, whatever it said."""
    path = run.record_path(out)
    if os.path.lexists(path) and (record := read_record(path)).settings_hash == run.settings_hash:
        return Outcome(run, record)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = lines[-1].removeprefix("vlprompt: ").removeprefix(f"{for_terminal(run.name)}: ") if lines else ""
    return Outcome(run, None, for_terminal(reason or "its job ended without a result"), said)
