"""Trains in child processes that are killed until one gets to the end; run by test_checkpoints.py.

Usage: killed_run.py FOLDER at-random|at-every-write. Prints the number of kills, and the digests of what an undisturbed
run and the killed ones learned.
"""

from __future__ import annotations

import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path

import torch

from vlprompt.recipes import TrainingSettings
from vlprompt.training import checkpoints, loop, train

SETTINGS = TrainingSettings(epochs=4, batch_size=2, learning_rate=0.02)
STAND_INS = runpy.run_path(str(Path(__file__).with_name("conftest.py")))
loop.CHECKPOINT_SHARE = 1e9  # put every epoch aside
torch.set_num_threads(1)  # a pool of threads does not survive a fork


def run(folder, before_each_epoch=lambda epoch: None):
    method, views = STAND_INS["SmallMethod"](dropout=0.3), STAND_INS["Views"]()

    class Slow:
        def epoch(self, epoch):
            before_each_epoch(epoch)
            return views.epoch(epoch)

    train(method, Slow(), views.labels, SETTINGS, checkpoint=folder)
    return checkpoints.digest_of(method.state_dict())


def killed_at(moment):
    """Kill this process at the given call of the operating system that changes files."""
    left = [moment]

    def counting(call):
        def counted(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted

    for name in ("mkdir", "replace", "unlink", "fsync"):
        setattr(os, name, counting(getattr(os, name)))
    Path.write_bytes = counting(Path.write_bytes)
    Path.unlink = counting(Path.unlink)


def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def finished(pid):
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit("a run failed by itself")
    return os.WIFEXITED(status)


def kill_at_random(folder):
    clock, kills = random.Random(5), 0
    while True:
        # Slow against the first waits, so that even a busy machine, which oversleeps, kills the run several times;
        # the waits grow, so that it gets to the end too.
        pid = child(lambda: run(folder, lambda epoch: time.sleep(0.15)))
        time.sleep(clock.uniform(0.01, 0.05) * (1 + kills))
        os.kill(pid, signal.SIGKILL)
        if finished(pid):
            return kills, {run(folder)}
        kills += 1


def kill_at_every_write(folder):
    digests = set()
    for moment in range(1, 1000):
        killed = folder / str(moment)

        def work(moment=moment, killed=killed):
            killed_at(moment)
            run(killed)

        if finished(child(work)):
            return moment - 1, digests
        digests.add(run(killed))
    raise SystemExit("never finished")


if __name__ == "__main__":
    ways = {"at-random": kill_at_random, "at-every-write": kill_at_every_write}
    kills, digests = ways[sys.argv[2]](Path(sys.argv[1]) / "killed")
    print(kills, run(Path(sys.argv[1]) / "undisturbed"), *digests)
