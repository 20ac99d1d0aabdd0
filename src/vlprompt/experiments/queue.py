"""A benchmark: all runs of a plan, each result written at once, a stopped benchmark continued.

plan -> runs -> those without a record -> workers -> records
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlprompt.data.catalogue import DATASETS
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import BenchmarkInterrupted, FailedRunsError, SettingsError, UnknownNameError
from vlprompt.experiments.jobs import Jobs, compute_as_jobs
from vlprompt.experiments.outcome import Outcome
from vlprompt.experiments.pictures import refuse_unreadable
from vlprompt.experiments.plan import Plan, Run, load_datasets, runs_of, without_unfit
from vlprompt.experiments.protocol import Protocol
from vlprompt.experiments.records import (
    BackboneFacts,
    ResultRecord,
    hash_settings,
    read_record,
    shortened,
    write_record,
)
from vlprompt.experiments.running import WORK_FOLDER, Bench
from vlprompt.experiments.used_pictures import USED, UsedPictures
from vlprompt.experiments.watch import Watch
from vlprompt.experiments.workers import Setup, compute_here, compute_in_workers
from vlprompt.files import check_writable, write_atomically
from vlprompt.files.locks import lock_beside, lock_inside
from vlprompt.model.cautions import DRAWINGS_ONLY, DrawingsOnlyWarning, knows_only_drawings
from vlprompt.progress import ProgressBoard, Task, progress_bars
from vlprompt.settings_checks import plain
from vlprompt.streams import is_terminal

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone

RECORD_BYTES = 1 << 20
"""Room that a result and its checkpoint take, generously."""


def run(
    plan: Plan,
    out: str | Path,
    *,
    workers: int | str = "auto",
    threads: int | None = None,
    progress: bool | None = None,
    cache: str | Path | None = "default",
    only: str | None = None,
    jobs: Jobs | None = None,
) -> list[ResultRecord]:
    """Compute what a plan asks for and is not below `out` yet, and return all its records in the plan's order.

    Arguments:
        workers: processes; "auto" is one a core on a CPU, and one on a GPU. Each has cores // workers threads, however
            few runs are missing.
        threads: of torch in each worker, where it is not cores // workers.
        progress: bars on stderr; None shows them on a terminal and a line a finished run elsewhere, False nothing.
        cache: folder of the feature cache; "default" is the user's, None keeps no features.
        only: the name of the one run to compute; other processes may compute others into `out` meanwhile.
        jobs: of a cluster, in place of processes here.

    Raises:
        BackboneError: a method cannot work over the backbone, and the plan does not leave such out.
        SettingsError: the plan cannot be carried out, or `out` has results of the same runs with other settings.
        DataError: a data set cannot be used, has pictures that cannot be read, or names that are one prompt to the
            backbone.
        OutputError: `out` cannot be written, or another process computes into it.
        RecordError: a record below `out` is damaged.
        FailedRunsError: some runs failed; all others are done and kept.
        BenchmarkInterrupted: Ctrl-C, a KeyboardInterrupt.
    """
    out = Path(out)
    prepared = prepare(plan, cache)
    plan, backbone, used = prepared.plan, prepared.backbone, prepared.used
    runs = _chosen(prepared.runs, only)
    missing = [run for run in runs if _kept(run, out, backbone, used) is None]
    check_writable(out, RECORD_BYTES * (len(missing) + 1))
    team, share = team_of(plan, backbone, workers)
    threads = threads or share
    count = max(1, min(team, len(missing)))
    if missing:
        drawn = is_terminal(sys.stderr) if progress is None else progress
        with _writing(out, runs, only), progress_bars(drawn) as board:
            # Another job may have been at it meanwhile, and the launcher of a job has looked at its pictures.
            missing = [run for run in missing if _kept(run, out, backbone, used) is None]
            if plan.on_unreadable == "fail" and only is None:
                _check_pictures(used.samples_of(missing), plan.max_pixels, board)
            watch = Watch(board, missing, len(runs) - len(missing), count, lines=progress is None and not drawn)
            if jobs is not None:
                outcomes = compute_as_jobs(missing, out, jobs, watch.started)
            elif count == 1:
                draws = used.draws_of(missing)
                bench = Bench(out, plan.protocol, backbone, used.slim, cache, "auto", plan.max_pixels, draws)
                outcomes = compute_here(missing, bench, board, watch.started, threads)
            else:
                setup = _setup(plan, out, used, missing, cache, threads)
                outcomes = compute_in_workers(missing, setup, count, watch.row, watch.started)
            _follow(outcomes, watch, out)
    kept = [record for run in runs if (record := _kept(run, out, backbone, used)) is not None]
    _tidy(kept, out)
    return kept


@dataclass(frozen=True)
class Prepared:
    """A plan with what was loaded for it, checked; nothing is computed or written yet.

    Attributes:
        plan: without methods that it leaves out.
        runs: all of it, in their order.
    """

    plan: Plan
    backbone: Backbone
    used: UsedPictures
    runs: list[Run]


def prepare(plan: Plan, cache: str | Path | None = "default") -> Prepared:
    """Load data sets and backbone, and make the runs.

    Args:
        cache: as for `run`.

    Raises:
        VlpromptError: as `run`, where the plan cannot be carried out.
    """
    datasets = load_datasets(plan)
    backbone = _load_backbone(plan)
    plan = without_unfit(plan, backbone)
    facts = BackboneFacts(backbone.name, backbone.fingerprint, backbone.precision, str(backbone.device))
    used = UsedPictures(plan.protocol, datasets, cache)
    runs = runs_of(plan, datasets, facts, used)
    _warn_about_photographs(backbone.name, datasets)
    _check_names(plan.protocol, runs, used.slim, backbone)
    return Prepared(plan, backbone, used, runs)


def is_finished(run: Run, out: Path, prepared: Prepared) -> bool:
    """Whether the run has its record; nothing is written.

    Raises:
        SettingsError: there is one of other settings.
    """
    return _kept(run, out, prepared.backbone, prepared.used, write=False) is not None


def _tidy(kept: Sequence[ResultRecord], out: Path) -> None:
    """Remove what a process killed right behind its record has left for the run to go on from."""
    for record in kept:
        shutil.rmtree(out / WORK_FOLDER / record.settings_hash, ignore_errors=True)
    with suppress(OSError):
        (out / WORK_FOLDER).rmdir()


def _chosen(runs: list[Run], only: str | None) -> list[Run]:
    """All runs, or the one of a name."""
    if only is None:
        return runs
    if chosen := [run for run in runs if run.name == only]:
        return chosen
    raise UnknownNameError("run of this benchmark", only, [run.name for run in runs])


def _writing(out: Path, runs: Sequence[Run], only: str | None) -> AbstractContextManager[None]:
    """Be the only one who writes: to the output folder, or of a job, to what there is of its run.

    A job that a cluster starts again while the first one still lives waits for it, and finds its record.
    """
    return lock_inside(out) if only is None else lock_beside(out / WORK_FOLDER / runs[0].settings_hash, wait=True)


def _setup(
    plan: Plan, out: Path, used: UsedPictures, runs: Sequence[Run], cache: str | Path | None, threads: int
) -> Setup:
    """What workers are made of; bundled data sets travel by name, of others only the pictures that runs use."""
    assert isinstance(plan.backbone, str)
    named = zip(used.slim.items(), plan.datasets, strict=True)
    sources = {name: source if source in DATASETS else few for (name, few), source in named}
    draws = used.draws_of(run for run in runs if isinstance(sources[run.dataset.name], Dataset))
    where = plan.protocol, plan.backbone, plan.device, plan.precision
    return Setup(out, *where, sources, cache, threads, plan.max_pixels, draws)


def _warn_about_photographs(backbone: str, datasets: Mapping[str, Dataset]) -> None:
    """One DrawingsOnlyWarning where the bundled model meets pictures that are not bundled."""
    for name, dataset in datasets.items():
        if knows_only_drawings(backbone, dataset.bundled):
            warnings.warn(f"data set {name}: {DRAWINGS_ONLY}", DrawingsOnlyWarning, stacklevel=3)
            return


def _load_backbone(plan: Plan) -> Backbone:
    if not isinstance(plan.backbone, str):
        return plan.backbone
    from vlprompt.backbones import load_backbone

    return load_backbone(plan.backbone, device=plan.device, precision=plan.precision)


def _check_names(protocol: Protocol, runs: Sequence[Run], datasets: Mapping[str, Dataset], backbone: Backbone) -> None:
    """Refuse names that are one prompt to the backbone before anything is trained."""
    from vlprompt.text_engine import refuse_one_prompt

    for name in {run.dataset.name: None for run in runs}:
        dataset = datasets[name]
        for part in (protocol.trained(dataset), *protocol.all_tests(name, datasets).values()):
            if not part.names_are_published:
                refuse_one_prompt(backbone, part.prompt_names)


def _check_pictures(samples: Sequence[Sample], max_pixels: int, board: ProgressBoard) -> None:
    """Refuse what cannot be read before anything is trained."""
    row: list[Task] = []

    def on_progress(done: int, total: int) -> None:
        if not row:
            row.append(board.task("pictures looked at", total, "img"))
        row[0].advance()

    try:
        refuse_unreadable(samples, on_progress, max_pixels)
    finally:
        for shown in row:
            shown.close()


def team_of(plan: Plan, backbone: Backbone, workers: int | str) -> tuple[int, int]:
    """Number of workers, and of torch's threads in each.

    Sums are rounded otherwise with other numbers of threads, so these follow from the cores and the workers asked for
    alone, and not from how many runs are missing: a benchmark that goes on computes what it would have computed.
    """
    workers, loaded_by_name = plain(workers), isinstance(plan.backbone, str)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers == "auto":
        count = cores if backbone.device.type == "cpu" and loaded_by_name else 1
    elif isinstance(workers, int) and workers >= 1:
        count = workers if loaded_by_name else 1
    else:
        raise SettingsError(f'workers is {workers!r}; it must be "auto" or a number from 1 on')
    return count, max(1, cores // count)


def _kept(run: Run, out: Path, backbone: Backbone, used: UsedPictures, *, write: bool = True) -> ResultRecord | None:
    """The run's record if it is there; one of other settings is an error, so that no result is written over."""
    path = run.record_path(out)
    if not os.path.lexists(path):
        return None
    record = read_record(path)
    if record.settings_hash == run.settings_hash:
        return record
    if renamed := _of_an_earlier_release(record, run, backbone, used):
        if not write:
            return renamed
        write_record(out, renamed)  # so that reports find one backbone, not two of one name
        return renamed
    there, here = record.settings, run.settings
    different = [
        f"{name} ({shortened(there.get(name))} there, {shortened(here[name])} here)"
        for name in here
        if there.get(name) != here[name]
    ]
    raise SettingsError(
        f"{path} is a result with other settings: {'; '.join(different) or 'an edited record'}; "
        "choose another output folder, or remove the results that are no longer wanted"
    )


def _of_an_earlier_release(
    record: ResultRecord, run: Run, backbone: Backbone, used: UsedPictures
) -> ResultRecord | None:
    """The record with the present fingerprints of backbone and data, if nothing else makes it another run's."""
    renamed = replace(
        record,
        backbone=replace(record.backbone, fingerprint=run.backbone.fingerprint),
        settings_hash=run.settings_hash,
    )
    if not record.dataset.fingerprint.startswith(USED) and not record.dataset.targets:
        if record.dataset.fingerprint != used.of_all(run.dataset.name):
            return None
        now = run.dataset
        renamed = replace(renamed, dataset=replace(record.dataset, fingerprint=now.fingerprint, drawn=now.drawn))
    if renamed.settings != run.settings or hash_settings(record.settings) != record.settings_hash:
        return None
    from vlprompt.backbones import is_fingerprint_of

    return renamed if is_fingerprint_of(backbone, record.backbone.fingerprint) else None


def _follow(outcomes: Generator[Outcome], watch: Watch, out: Path) -> None:
    """Watch the outcomes come in, and raise at the end what the user must know."""
    try:
        for outcome in outcomes:
            watch.ended(outcome)
            if outcome.trace:
                write_atomically(out / WORK_FOLDER / outcome.run.settings_hash / "failure.txt", outcome.trace)
    except KeyboardInterrupt:
        raise BenchmarkInterrupted(
            f"stopped with {watch.done} of {watch.total} results, all kept in {out}; "
            "the same command goes on from there."
        ) from None
    finally:
        outcomes.close()
    if watch.failures:
        raise FailedRunsError(watch.failures, watch.done, out)
