"""Runs a benchmark in child processes that are killed at random moments; run by test_queue.py.

Usage: killed_benchmark.py PLAN FOLDER KILLS. Where a benchmark gets to its end before that many kills, another begins
in a folder of its own. Prints how many kills hit a benchmark between its first and its last record, or raises what
went wrong.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from vlprompt.backbones import load_backbone
from vlprompt.experiments import ResultRecord, read_records, run
from vlprompt.training import loop

torch.set_num_threads(1)  # a pool of threads does not survive a fork
os.sched_getaffinity = lambda _: {0}
loop.CHECKPOINT_SHARE = 1e9  # put every epoch aside


def outcomes(records: list[ResultRecord]) -> list[tuple]:
    """All that must be the same to the bit."""
    return sorted((r.settings_hash, r.losses, str(r.results)) for r in records)


def killed_after(seconds: float, plan, folder: Path) -> bool:
    """Run a benchmark and kill it, unless it ends before; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            run(plan, folder / "out", workers=1, cache=folder / "cache", progress=False)
        except BaseException:
            os._exit(1)
        os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a run failed by itself")
    return os.WIFSIGNALED(status)


def finished(folder: Path) -> dict[Path, bytes]:
    """The records by their paths; a run made again would have other times."""
    return {path: path.read_bytes() for path in folder.glob("out/records/*/*/*.json")}


def main(plan, folder: Path, wanted: int) -> None:
    started = time.monotonic()
    whole = run(plan, folder / "whole" / "out", workers=1, cache=folder / "whole" / "cache", progress=False)
    length = time.monotonic() - started
    clock, kills, hits, number = random.Random(11), 0, 0, 0
    while kills < wanted:
        number += 1
        place, kept = folder / str(number), {}
        while True:
            killed = killed_after(clock.uniform(0.0, 0.7 * length), plan, place)
            now = finished(place)
            if any(now.get(path) != content for path, content in kept.items()):
                raise SystemExit("a finished run was lost or made again")
            kept = now
            kills += killed
            hits += killed and 0 < len(now) < len(whole)
            if not killed or kills == wanted:
                break
        records = run(plan, place / "out", workers=1, cache=place / "cache", progress=False)
        if outcomes(records) != outcomes(whole):
            raise SystemExit("a killed benchmark came to other bits")
        if any(finished(place).get(path) != content for path, content in kept.items()):
            raise SystemExit("a finished run was lost or made again")
        if len(read_records(place / "out")) != len(whole) or (place / "out" / "work").exists():
            raise SystemExit("something is missing, or was left behind")
    print(kills, hits, number)


if __name__ == "__main__":
    given = pickle.loads(Path(sys.argv[1]).read_bytes())
    # Loaded once, so that most of a child's time goes into what can be lost.
    main(replace(given, backbone=load_backbone(given.backbone, device="cpu")), Path(sys.argv[2]), int(sys.argv[3]))
