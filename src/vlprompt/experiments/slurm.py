"""Runs as one array of Slurm jobs, through submitit."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.errors import MissingRequirementError
from vlprompt.experiments.jobs import JOBS_FOLDER, Cluster, ClusterGoneError

if TYPE_CHECKING:
    from submitit import Job

SECONDS_BETWEEN_LOOKS = 1.0
DEFAULT_TIME = "1-00:00:00"
"""A day a run. A job that is stopped earlier leaves a checkpoint, from which the same command goes on."""


@dataclass(frozen=True)
class Slurm(Cluster):
    """An array of jobs.

    Attributes:
        out: the output folder, on a disk that all machines share.
        options: of sbatch, such as {"partition": "gpu", "gres": "gpu:1"}.
        at_once: jobs that run at a time; None leaves it to Slurm.
        executor: of submitit: "slurm", or for a test without one "local" or "debug".
    """

    out: Path
    threads: int
    options: Mapping[str, str]
    at_once: int | None = None
    executor: str = "slurm"

    def __post_init__(self) -> None:
        """Raises MissingRequirementError without submitit."""
        _submitit()

    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, str]]:
        """As `Cluster.run`."""
        jobs = dict(enumerate(self._submitted(commands)))
        try:
            while jobs:
                for place in [place for place, job in jobs.items() if job.done()]:
                    yield place, _said(jobs.pop(place))
                time.sleep(SECONDS_BETWEEN_LOOKS if jobs else 0)
            shutil.rmtree(self._folder, ignore_errors=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ClusterGoneError(_gone(error)) from error
        finally:
            for job in jobs.values():
                job.cancel(check=False)

    def script(self, jobs: int) -> str:
        """The sbatch script of the array."""
        from submitit.slurm.slurm import _make_sbatch_string  # nothing public makes it where there is no Slurm

        command = "python -u -m submitit.core._submit " + str(self._folder)
        return str(_make_sbatch_string(command, self._folder, map_count=jobs, **self._parameters()))

    @property
    def _folder(self) -> Path:
        return self.out.absolute() / JOBS_FOLDER

    def _submitted(self, commands: Sequence[Sequence[str]]) -> list[Job[Any]]:
        submitit = _submitit()
        try:
            executor = submitit.AutoExecutor(folder=self._folder, cluster=self.executor)
            if self.executor == "slurm":
                executor._executor.update_parameters(**self._parameters())
            with executor.batch():
                return [executor.submit(subprocess.run, list(command)) for command in commands]
        except (RuntimeError, OSError, subprocess.SubprocessError, submitit.core.utils.FailedJobError) as error:
            raise ClusterGoneError(_gone(error)) from error

    def _parameters(self) -> dict[str, Any]:
        """Of submitit's Slurm executor; an option that it does not know goes to sbatch as it is."""
        together = {} if self.at_once is None else {"array_parallelism": self.at_once}
        options = {"time": DEFAULT_TIME, "cpus-per-task": self.threads, "job-name": "vlprompt", **self.options}
        named = {name.replace("-", "_"): value for name, value in options.items()}  # as submitit names its own
        return {**together, "additional_parameters": named}


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise MissingRequirementError(
            "launcher='slurm' needs the package submitit, which is not installed; pip install 'vlprompt[slurm]' gets it"
        ) from error
    return submitit


def _said(job: Job[Any]) -> str:
    """What a job said on stderr, without what submitit says of itself; else how it ended."""
    try:
        lines = job.paths.stderr.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    kept = [line for line in lines if line.strip() and not line.startswith(("submitit ", "srun: "))]
    return "\n".join(kept) or f"its job {job.job_id} ended as {job.state}, and said nothing"


def _gone(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return (
        f"launcher='slurm' cannot reach Slurm ({words}); all finished runs are kept, and the same command goes on, "
        "on a machine that has sbatch and srun"
    )
