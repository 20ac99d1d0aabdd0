"""SIGTERM and SIGHUP end the command as Ctrl-C does, and leave the handlers of other programs alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.pictures import QUICK, write_pictures
from vlprompt.cli import main

PROGRAM = """
import os, signal, sys, time
from vlprompt.__main__ import main
from vlprompt.cli import listings

def work():
    {work}

listings.LISTS["methods"] = work
sys.argv = ["vlprompt", "list", "methods"]
main()
"""
KILL = "os.kill(os.getpid(), signal.{}); time.sleep(20)"


def run(work: str, before: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'{before} exec "$0" -c "$1"', sys.executable, PROGRAM.format(work=work)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_each_signal_ends_a_command_with_one_sentence_and_its_code(name, code):
    done = run(KILL.format(name))
    assert done.returncode == code
    assert done.stderr.startswith("vlprompt: interrupted; the same command")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_a_second_signal_while_the_first_is_cleaned_up_after_ends_with_the_first_ones_code(second):
    done = run(f"try:\n        {KILL.format('SIGINT')}\n    finally:\n        {KILL.format(second)}")
    assert done.returncode == (130 if second == "SIGINT" else 143)
    assert "Traceback" not in done.stderr


def test_ctrl_c_once_more_during_the_last_words_changes_nothing():
    done = run(
        "from vlprompt import streams; said = streams.say\n"
        f"    streams.say = lambda text: (os.kill(os.getpid(), signal.SIGINT), said(text))\n    {KILL.format('SIGINT')}"
    )
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored():
    done = run("os.kill(os.getpid(), signal.SIGHUP); time.sleep(0.1); return []", before="trap '' HUP;")
    assert (done.returncode, done.stderr) == (0, "")


def test_calling_the_command_line_from_python_leaves_the_callers_handlers_alone(capsys):
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in watched]
    assert main(["list", "methods"]) == 0
    assert [signal.getsignal(number) for number in watched] == before


def test_a_fit_that_is_terminated_keeps_its_checkpoint_and_goes_on(tmp_path: Path):
    write_pictures(tmp_path / "pictures")
    command = [sys.executable, "-m", "vlprompt", "fit", "pictures", "--out", "model", *QUICK, "--epochs"]
    environment = {**os.environ, "VLPROMPT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    fit = subprocess.Popen([*command, "100000"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    waited = time.monotonic()
    while not list(tmp_path.glob(".model.training/epoch-*")) and time.monotonic() < waited + 60:
        time.sleep(0.05)
    fit.terminate()
    said = fit.communicate(timeout=30)[1]
    assert fit.returncode == 143
    assert "of 100000 epochs; the same command goes on from" in said
    assert said.splitlines()[-1].startswith("vlprompt: training was interrupted")
    assert list(tmp_path.glob(".model.training/epoch-*"))
