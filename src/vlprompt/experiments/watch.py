"""What a benchmark shows while it runs: bars on a terminal, or a line for every finished run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

from vlprompt.escaping import for_terminal
from vlprompt.experiments.outcome import Outcome
from vlprompt.experiments.pace import Pace
from vlprompt.experiments.plan import Run
from vlprompt.progress import ProgressBoard, Snapshot, duration
from vlprompt.streams import say

_ROW = "all runs"
_SECONDS_BETWEEN_UPDATES = 0.5
_SECONDS_BETWEEN_LINES = 2.0
"""So that a log of hundreds of heads that take milliseconds stays readable."""


class RunWarning(UserWarning):
    """What a run of a benchmark warned of, told where no progress is."""


class Watch:
    """Follows the runs of a benchmark.

    Arguments:
        kept: results that were there before.
        lines: whether finished runs are told in lines on stderr, for logs; at most one in two seconds, and the last.
    """

    def __init__(self, board: ProgressBoard, runs: Sequence[Run], kept: int, workers: int, *, lines: bool) -> None:
        self.board = board
        self.done = kept
        self.total = kept + len(runs)
        self.failures: dict[str, str] = {}
        self._lines = lines
        self._pace = Pace(runs, workers)
        self._warned: set[str] = set()
        self._drawn = self._told = float("-inf")
        self._draw()

    def row(self, key: str, snapshot: Any) -> None:
        """Draw the row of a run in another process."""
        self.board.show(key, snapshot)
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN_UPDATES:
            self._draw()

    def started(self, run: Run) -> None:
        """A run starts now."""
        self._pace.started(run)

    def ended(self, outcome: Outcome) -> None:
        """A run is over, one way or the other."""
        seconds = self._pace.ended(outcome.run, outcome.record.times.train_s if outcome.record else 0.0)
        for warning in outcome.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self._warn(f"{for_terminal(outcome.run.dataset.name)}: {warning}")
        if outcome.record is None:
            self.failures[outcome.run.name] = outcome.reason
            self._say(f"failed: {for_terminal(outcome.run.name)}: {outcome.reason}")
        else:
            self.done += 1
            if self._lines and (self.done == self.total or time.monotonic() - self._told > _SECONDS_BETWEEN_LINES):
                self._told = time.monotonic()
                self._say(self._line(outcome, seconds))
        self._draw()

    def _line(self, outcome: Outcome, seconds: float) -> str:
        assert outcome.record is not None
        results = " ".join(f"{test} {result.accuracy:.1f}" for test, result in outcome.record.results.items())
        left = self._pace.seconds_left()
        return (
            f"{self.done}/{self.total} {for_terminal(outcome.run.name)}: {results} "
            f"({seconds:.1f} s{f', {duration(left)} left' if left else ''})"
        )

    def _warn(self, words: str) -> None:
        """Not to be shown progress is not to be left without warnings."""
        if self._lines or self.board.is_drawn:
            self._say(f"warning: {words}")
        else:
            warnings.warn(f"data set {words}", RunWarning, stacklevel=2)

    def _say(self, line: str) -> None:
        self.board.print(line)
        if self._lines:
            say(line)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        left = self._pace.seconds_left()
        time_left = "" if left is None else f"{duration(left)} left"
        self.board.show(_ROW, Snapshot(_ROW, self.done, self.total, f"{self.done}/{self.total} runs", "", time_left))
