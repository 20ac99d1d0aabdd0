"""Runs computed in this process, or spread over several, with their results streamed to one place.

A worker process imports torch and loads the backbone once, and is given one run at a time. When it dies (of too little
memory, say), its run counts as failed, and a new worker takes its place.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vlprompt.data.samples import Dataset
from vlprompt.experiments.outcome import Outcome
from vlprompt.experiments.plan import Run
from vlprompt.experiments.protocol import Protocol
from vlprompt.experiments.running import Bench, compute, describe_failure
from vlprompt.experiments.used_pictures import Draw
from vlprompt.progress import Board, Relay

STOP_SECONDS = 5.0
"""How long a stopped worker may take to end before it is killed."""


@dataclass(frozen=True)
class Setup:
    """What a worker needs to make its bench: all of it travels to another process."""

    out: Path
    protocol: Protocol
    backbone: str
    device: str
    precision: str
    sources: Mapping[str, str | Path | Dataset]
    cache: str | Path | None
    threads: int
    max_pixels: int
    draws: Mapping[tuple[str, int, int], Draw] = field(default_factory=dict)

    def bench(self) -> Bench:
        """The bench of this process; torch gets its threads before anything is computed."""
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        import torch

        from vlprompt.backbones import load_backbone
        from vlprompt.process.allocator import keep_freed_memory

        keep_freed_memory()
        torch.set_num_threads(self.threads)
        backbone = load_backbone(self.backbone, device=self.device, precision=self.precision)
        where = self.out, self.protocol, backbone
        return Bench(*where, self.sources, self.cache, max_pixels=self.max_pixels, draws=self.draws)


def attempt(run: Run, bench: Bench, board: Board) -> Outcome:
    """Compute a run; whatever goes wrong becomes its outcome. Only Ctrl-C gets through."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            record, reason, trace = compute(run, bench, board), "", ""
        except Exception as error:
            record, reason, trace = None, describe_failure(error), traceback.format_exc()
    heard = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    return Outcome(run, record, reason, trace, heard)


def compute_here(
    runs: Sequence[Run], bench: Bench, board: Board, started: Callable[[Run], None], threads: int
) -> Generator[Outcome]:
    """The outcomes of runs computed one after another in this process, with a worker's number of torch threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for run in runs:
            started(run)
            yield attempt(run, bench, board)
    finally:
        torch.set_num_threads(before)


def compute_in_workers(
    runs: Sequence[Run], setup: Setup, workers: int, show: Callable[[str, Any], None], started: Callable[[Run], None]
) -> Generator[Outcome]:
    """The outcomes of runs computed in worker processes, as they come.

    Arguments:
        show: draws a progress row, see `vlprompt.progress`.
        started: called when a run is given to a worker.
    """
    waiting = list(runs)
    team = [_Worker(setup) for _ in range(min(workers, len(waiting)))]
    try:
        while waiting or any(worker.run for worker in team):
            for place, worker in enumerate(team):
                if waiting and worker.run is None:
                    team[place] = worker = worker if worker.alive else _Worker(setup)
                    run = waiting.pop(0)
                    if worker.give(run):
                        started(run)
            yield from _listen([worker for worker in team if worker.run], show)
    finally:
        for worker in team:
            worker.stop()
        for worker in team:
            worker.end()


def _listen(busy: Sequence[_Worker], show: Callable[[str, Any], None]) -> Iterator[Outcome]:
    """Wait for the next words of any worker; outcomes are passed on, progress rows are drawn."""
    ready = wait([worker.pipe for worker in busy])
    for worker in busy:
        if worker.pipe in ready:
            kind, content = worker.hear()
            if kind == "row":
                show(*content)
            elif kind == "outcome":
                worker.run = None
                yield content


class _Worker:
    """A process and the run that it has, as its parent sees it."""

    def __init__(self, setup: Setup) -> None:
        context = get_context("spawn")  # torch's threads do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, setup), daemon=True)
        self.process.start()
        theirs.close()
        self.run: Run | None = None

    @property
    def alive(self) -> bool:
        return self.process.is_alive() and not self.pipe.closed

    def give(self, run: Run) -> bool:
        self.run = run
        with suppress(OSError):  # a worker that has died says so when it is listened to
            self.pipe.send(run)
        return True

    def hear(self) -> tuple[str, Any]:
        try:
            return self.pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            self.process.join(STOP_SECONDS)
            self.pipe.close()
            assert self.run is not None
            return "outcome", Outcome(self.run, None, self._death())

    def stop(self) -> None:
        if self.process.is_alive():
            self.process.terminate()

    def end(self) -> None:
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()

    def _death(self) -> str:
        code = self.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        memory = "; SIGKILL often means too little memory, and fewer workers need less" if code == -9 else ""
        return f"its worker process ended with {how}{memory}"


class _RowPipe:
    """Lets a `Relay` speak through the pipe on which outcomes go, too."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def put(self, row: Any) -> None:
        self._pipe.send(("row", row))


def _end_with_parent() -> None:
    """End this process when its parent has, however it ended; a pipe would only tell between two runs."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(pipe: Connection, setup: Setup) -> None:
    """A worker's life: one run after another until the pipe closes. Ctrl-C and a hangup are its parent's business."""
    for number in ("SIGINT", "SIGHUP"):
        if number in signal.Signals.__members__:
            signal.signal(signal.Signals[number], signal.SIG_IGN)
    _end_with_parent()
    relay = Relay(_RowPipe(pipe))
    bench: Bench | None = None
    while True:
        try:
            run = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            bench = bench or setup.bench()
        except Exception as error:
            outcome = Outcome(run, None, describe_failure(error), traceback.format_exc())
        else:
            outcome = attempt(run, bench, relay)
        try:
            pipe.send(("outcome", outcome))
        except OSError:  # the parent has gone; the record is on disk
            return
