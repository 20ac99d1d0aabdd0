"""Rows of progress: what they say, where they are drawn, and from which process."""

from __future__ import annotations

import io
import multiprocessing
import queue
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vlprompt import progress
from vlprompt.progress import ProgressBoard, Relay, Silent, Task, TrainingRow, duration, progress_bars


class Clock:
    """Stands in for time.monotonic."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def shown():
    return []


@pytest.fixture
def show(shown):
    return lambda key, snapshot: shown.append((key, snapshot))


def terminal(width=100):
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def test_a_training_row_shows_epoch_loss_accuracy_rate_and_time_left(clock, show, shown):
    row = TrainingRow(show, "cocoop food seed 1")
    row.begin(epochs=10, images=400)
    row.step(100, 2.0, 50)
    clock.now += 1
    row.step(100, 1.0, 70)
    snapshot = shown[-1][1]
    assert snapshot.figures == "epoch 1/10 loss 1.500 60.0%"
    assert (snapshot.completed, snapshot.total, snapshot.rate) == (200, 4000, "200 img/s")
    assert snapshot.time_left == "0:19 left"


def test_loss_and_accuracy_start_over_with_each_epoch(clock, show, shown):
    row = TrainingRow(show, "coop")
    row.begin(epochs=2, images=10)
    row.step(10, 9.0, 0)
    row.epoch(1, 9.0, 0.0)
    clock.now += 1
    row.step(5, 1.0, 5)
    assert shown[-1][1].figures == "epoch 2/2 loss 1.000 100.0%"


def test_epochs_of_an_earlier_run_count_as_done_but_not_for_the_rate(clock, show, shown):
    row = TrainingRow(show, "coop")
    row.begin(epochs=4, images=100, done=2)
    clock.now += 10
    row.step(100, 1.0, 5)
    snapshot = shown[-1][1]
    assert (snapshot.completed, snapshot.rate, snapshot.time_left) == (300, "10 img/s", "0:10 left")


def test_steps_quicker_than_the_eye_are_not_drawn(clock, show, shown):
    row = TrainingRow(show, "cocoop")
    row.begin(epochs=10, images=1000)
    for _ in range(1000):
        clock.now += 0.001
        row.step(1, 1.0, 1)
    assert 8 <= len(shown) <= 12


def test_a_row_goes_when_its_run_ends(show, shown):
    row = TrainingRow(show, "coop")
    row.begin(epochs=1, images=1)
    row.end()
    assert shown[-1] == (shown[0][0], None)


def test_a_run_that_ends_before_it_began_shows_nothing(show, shown):
    TrainingRow(show, "coop").end()
    assert shown == []


def test_a_task_counts_its_things(clock, show, shown):
    task = Task(show, "benchmark", 54)
    clock.now += 60
    task.advance()
    task.describe("benchmark (food)")
    snapshot = shown[-1][1]
    assert (snapshot.description, snapshot.figures, snapshot.rate) == ("benchmark (food)", "1/54", "")
    assert snapshot.time_left == "53:00 left"


def test_a_slow_rate_keeps_two_digits(clock, show, shown):
    task = Task(show, "features", 100, "img")
    clock.now += 8
    task.advance(2)
    assert shown[-1][1].rate == "0.25 img/s"


@given(st.integers(0, 360_000))
def test_durations_read_as_clocks(seconds):
    parts = [int(part) for part in duration(seconds).split(":")]
    assert len(parts) in (2, 3)
    assert sum(part * 60**power for power, part in enumerate(reversed(parts))) == seconds


@pytest.mark.parametrize("width", [60, 80, 200])
def test_rows_fit_the_terminal_in_one_line_each(width, clock):
    console = terminal(width)
    with ProgressBoard(console) as board:
        overall = board.task("base-to-new benchmark over six data sets", 54)
        overall.advance()
        row = board.training("cocoop emoji-animals seed 1")
        row.begin(epochs=200, images=400)
        clock.now += 1
        row.step(400, 0.51, 360)
        board._progress.refresh()
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).splitlines() if line.strip()
    ]
    assert max(len(line.rstrip()) for line in lines[-2:]) <= width
    assert "epoch 1/200 loss 0.510 90.0%" in lines[-1]
    assert "1/54" in lines[-2]


def test_square_brackets_in_a_description_are_no_markup():
    console = terminal()
    with ProgressBoard(console) as board:
        board.task("[bold]food[/]", 3)
        board._progress.refresh()
    assert "[bold]food[/]" in console.file.getvalue()


def test_nothing_is_drawn_where_stderr_is_no_terminal(capfd):
    with progress_bars() as board:
        board.task("features", 10).advance(5)
        row = board.training("coop")
        row.begin(epochs=1, images=1)
        row.step(1, 1.0, 1)
        row.end()
        board.print("one line")
    assert capfd.readouterr() == ("", "")


def test_bars_can_be_forced_and_go_to_stderr_only(capfd):
    with progress_bars(True) as board:
        board.task("features", 10).advance(10)
        board.print("a line that stays")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "a line that stays" in printed.err


def _train_elsewhere(channel):
    row = Relay(channel).training("cocoop in another process")
    row.begin(epochs=2, images=4)
    time.sleep(2 * progress.SECONDS_BETWEEN_UPDATES)
    row.step(8, 0.25, 8)


def test_a_run_in_another_process_has_its_row_on_the_board():
    console = terminal()
    channel = multiprocessing.get_context("fork").Queue()
    with ProgressBoard(console) as board, board.listening(channel):
        worker = multiprocessing.get_context("fork").Process(target=_train_elsewhere, args=(channel,))
        worker.start()
        worker.join(timeout=30)
        while not any(task.completed == 8 for task in board._progress.tasks):
            time.sleep(0.01)
        board._progress.refresh()
    assert worker.exitcode == 0
    assert "cocoop in another process" in console.file.getvalue()
    assert "loss 0.250 100.0%" in console.file.getvalue()


def test_a_relay_s_rows_go_with_their_runs():
    channel = queue.Queue()
    row = Relay(channel).training("coop")
    row.begin(epochs=1, images=1)
    row.end()
    (key, first), (other_key, last) = channel.get(), channel.get()
    assert (key, first.total, last) == (other_key, 1, None)


def test_nobody_needs_to_watch():
    reporter = Silent()
    reporter.begin(epochs=1, images=1)
    reporter.step(1, 1.0, 1.0)
    reporter.epoch(1, 1.0, 100.0)
    reporter.end()


def test_progress_imports_neither_torch_nor_rich():
    program = "import sys, vlprompt.progress; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_row_shows_a_hostile_name_without_obeying_it():
    screen = terminal(200)
    with ProgressBoard(screen) as board:
        board.task("set\x1b[2J\nforged [bold]x", 2)
        board.print("warning: a\x1b]0;title\x07b :smile:")
    drawn = screen.file.getvalue()
    assert r"set\x1b[2J\nforged [bold]x" in drawn
    assert r"a\x1b]0;title\x07b :smile:" in drawn
    assert "\x1b]0;" not in drawn
    assert "\x07" not in drawn
    assert "\x1b[2J" not in drawn


def test_where_stderr_is_closed_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bars(True) as board:
        board.task("x", 1).advance()
