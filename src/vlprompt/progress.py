"""What long work tells whoever watches it, and bars on a terminal for it.

Training knows `Reporter` only. `progress_bars()` draws rows with rich on stderr, and nothing where stderr is not a
terminal; work in other processes reports through a `Relay`.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from vlprompt.escaping import for_terminal, for_terminal_lines
from vlprompt.streams import is_terminal, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_UPDATES = 0.1
"""Steps take a few milliseconds; drawing each of them would cost more than it shows."""


OnProgress = Callable[[int, int], None]
"""Told how many things are done, and of how many."""


class Reporter(Protocol):
    """What a training run reports, in this order: begin, then per epoch its steps and the epoch, then end."""

    def begin(self, *, epochs: int, images: int, done: int = 0) -> None:
        """`epochs` passes over `images` images each begin, of which `done` were made in an earlier run."""

    def step(self, images: int, loss: float, correct: float) -> None:
        """One step was made over `images` images, with their mean loss and the number that was right."""

    def epoch(self, number: int, loss: float, accuracy: float) -> None:
        """Epoch `number` (from 1) is over, with its mean loss and its accuracy in percent."""

    def end(self) -> None:
        """The run is over, finished or not."""


class Silent:
    """A `Reporter` that nobody watches."""

    def begin(self, *, epochs: int, images: int, done: int = 0) -> None: ...
    def step(self, images: int, loss: float, correct: float) -> None: ...
    def epoch(self, number: int, loss: float, accuracy: float) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class Snapshot:
    """One row at one moment; plain values, so that it travels between processes."""

    description: str
    completed: int
    total: int
    figures: str
    rate: str = ""
    time_left: str = ""


Show = Callable[[str, "Snapshot | None"], None]
"""Shows a row under its key, or takes it away when given None."""

_numbers = itertools.count()


def _new_key() -> str:
    return f"{os.getpid()}-{next(_numbers)}"


class Task:
    """One row that counts things. Works from several threads."""

    def __init__(
        self, show: Show, description: str, total: int, unit: str = "", *, done: int = 0, figures: str = ""
    ) -> None:
        self._show = show
        self._key = _new_key()
        self._description = description
        self._total = total
        self._unit = unit
        self._done_before = self._completed = done
        self._figures = figures
        self._started = time.monotonic()
        self._shown = float("-inf")
        self._lock = threading.Lock()
        self._draw()

    def advance(self, amount: int = 1, figures: str | Callable[[], str] | None = None) -> None:
        """Count `amount` more things, and show `figures` beside them; a function is called only when it is drawn."""
        with self._lock:
            self._completed += amount
            # Things without a unit are few and slow, such as training runs: each is drawn at once.
            too_soon = time.monotonic() - self._shown < SECONDS_BETWEEN_UPDATES
            if self._unit and too_soon and self._completed < self._total:
                return
            if figures is not None:
                self._figures = figures if isinstance(figures, str) else figures()
            self._draw()

    def describe(self, description: str) -> None:
        """Change the words before the bar."""
        with self._lock:
            self._description = description
            self._draw()

    def close(self) -> None:
        """Take the row away."""
        self._show(self._key, None)

    def _draw(self) -> None:
        self._shown = time.monotonic()
        rate = (self._completed - self._done_before) / max(self._shown - self._started, 1e-9)
        left = (self._total - self._completed) / rate if rate > 0 else None
        self._show(
            self._key,
            Snapshot(
                self._description,
                self._completed,
                self._total,
                self._figures or f"{self._completed:,}/{self._total:,}",
                f"{_significant(rate)} {self._unit}/s" if self._unit and rate > 0 else "",
                "" if left is None else f"{duration(left)} left",
            ),
        )


def _significant(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def duration(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TrainingRow:
    """A `Reporter` that shows a training run as one row: epoch, loss, accuracy, images per second, time left."""

    def __init__(self, show: Show, description: str) -> None:
        self._show = show
        self._description = description
        self._task: Task | None = None
        self._epochs = 0
        self._finished = 0
        self._images = 0
        self._loss = 0.0
        self._correct = 0.0

    def begin(self, *, epochs: int, images: int, done: int = 0) -> None:
        self._epochs, self._finished = epochs, done
        self._task = Task(
            self._show, self._description, epochs * images, "img", done=done * images, figures=self._epoch()
        )

    def step(self, images: int, loss: float, correct: float) -> None:
        assert self._task is not None, "begin() comes first"
        self._images += images
        self._loss += loss * images
        self._correct += correct
        self._task.advance(images, self._figures)

    def epoch(self, number: int, loss: float, accuracy: float) -> None:
        self._finished = number
        self._images, self._loss, self._correct = 0, 0.0, 0.0

    def end(self) -> None:
        if self._task is not None:
            self._task.close()

    def _figures(self) -> str:
        loss, accuracy = self._loss / self._images, 100 * self._correct / self._images
        return f"{self._epoch()} loss {loss:.3f} {accuracy:.1f}%"

    def _epoch(self) -> str:
        return f"epoch {min(self._finished + 1, self._epochs)}/{self._epochs}"


SECONDS_TO_FORECAST = 20.0
"""After which a stage that is told in lines says once how long it will take."""

_told = ContextVar("told", default=False)


@contextmanager
def telling_stages() -> Iterator[None]:
    """While the block runs, what has no terminal for bars tells each stage in a line on stderr, so that a log lives."""
    token = _told.set(True)
    try:
        yield
    finally:
        _told.reset(token)


class StageLines:
    """Tells rows as lines: each when it begins, and how long it takes when that is known."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._forecast: set[str] = set()

    def show(self, key: str, snapshot: Snapshot | None) -> None:
        """Say what there is to say of the row with this key."""
        if snapshot is None:
            return
        if key not in self._started:
            self._started[key] = time.monotonic()
            say(f"{snapshot.description}: {snapshot.figures} ...")
        waited = time.monotonic() - self._started[key]
        if waited > SECONDS_TO_FORECAST and key not in self._forecast and snapshot.time_left:
            self._forecast.add(key)
            say(f"{snapshot.description}: {snapshot.figures}, {snapshot.time_left} ...")


class ProgressBoard:
    """Rows on a terminal, one a task, used as a context manager; see `progress_bars`."""

    def __init__(self, console: Console | None, lines: StageLines | None = None) -> None:
        self._console = console
        self._lines = lines
        self._progress: Progress | None = None
        self._rows: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> ProgressBoard:
        if self._console is not None:
            self._progress = _rich_progress(self._console)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            with suppress(OSError):  # the terminal has gone; what ended the block matters more
                self._progress.stop()
            self._progress = None

    @property
    def is_drawn(self) -> bool:
        """Whether rows are on a terminal now."""
        return self._progress is not None

    def task(self, description: str, total: int, unit: str = "") -> Task:
        """A row that counts up to `total`; `unit` names the things in the rate, such as "img"."""
        return Task(self.show, description, total, unit)

    def training(self, description: str) -> Reporter:
        """A row for one training run."""
        return TrainingRow(self.show, description)

    def print(self, line: str) -> None:
        """A line that stays above the rows, where there are any."""
        if self._progress is not None:
            self._progress.console.print(for_terminal_lines(line), markup=False, emoji=False, highlight=False)

    def show(self, key: str, snapshot: Snapshot | None) -> None:
        """Draw, change or take away the row with this key."""
        progress = self._progress
        if progress is None:
            if self._lines is not None:
                self._lines.show(key, snapshot)
            return
        with self._lock:
            row = self._rows.get(key)
            if snapshot is None:
                if row is not None:
                    progress.remove_task(self._rows.pop(key))
                return
            if row is None:
                row = self._rows[key] = progress.add_task("", figures="", rate="", time_left="")
            progress.update(row, **_row_values(snapshot))

    @contextmanager
    def listening(self, queue: Any) -> Iterator[None]:
        """Show what `Relay`s put into `queue` (a multiprocessing queue) while the block runs."""

        def listen() -> None:
            for key, snapshot in iter(queue.get, None):
                self.show(key, snapshot)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield
        finally:
            queue.put(None)
            thread.join(timeout=5)


class Board(Protocol):
    """What shows the work: a `ProgressBoard`, or a `Relay` to one."""

    def task(self, description: str, total: int, unit: str = "") -> Task: ...
    def training(self, description: str) -> Reporter: ...


class Relay:
    """The board as seen from another process: rows made here are drawn where `ProgressBoard.listening` listens.

    Arguments:
        queue: a multiprocessing queue, shared with the process that draws.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def task(self, description: str, total: int, unit: str = "") -> Task:
        """As `ProgressBoard.task`."""
        return Task(self._send, description, total, unit)

    def training(self, description: str) -> Reporter:
        """As `ProgressBoard.training`."""
        return TrainingRow(self._send, description)

    def _send(self, key: str, snapshot: Snapshot | None) -> None:
        self._queue.put((key, snapshot))


class Counting:
    """An `OnProgress` with a row, from the first call until all is counted; it starts anew when the number falls."""

    def __init__(self, board: Board, description: str, unit: str = "") -> None:
        self._board, self._description, self._unit = board, description, unit
        self._row: Task | None = None
        self._before = 0

    def __call__(self, done: int, total: int) -> None:
        if self._row is None or done < self._before:
            self.close()
            self._row, self._before = self._board.task(self._description, total, self._unit), 0
        self._row.advance(done - self._before)
        self._before = done
        if done >= total:
            self.close()

    def close(self) -> None:
        """Take the row away, if there is one."""
        if self._row is not None:
            self._row.close()
            self._row = None


def progress_bars(enabled: bool | None = None) -> ProgressBoard:
    """A board of progress rows on stderr.

    Arguments:
        enabled: None draws only when stderr is a terminal.
    """
    if sys.stderr is None or not (is_terminal(sys.stderr) if enabled is None else enabled):
        return ProgressBoard(None, StageLines() if enabled is not False and _told.get() else None)
    from rich.console import Console

    return ProgressBoard(Console(stderr=True))


def _row_values(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "description": for_terminal(snapshot.description),
        "completed": snapshot.completed,
        "total": snapshot.total,
        "figures": snapshot.figures,
        "rate": snapshot.rate,
        "time_left": snapshot.time_left,
    }


def _rich_progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    narrow = console.width < 100
    bar_width = 8 if narrow else 24
    # The figures of a training run, its rate and its time left take about 48 columns; the words get what remains.
    words_width = max(8, console.width - bar_width - 50)

    def text(what: str, style: str, **column: Any) -> TextColumn:
        table_column = Column(no_wrap=True, overflow="ellipsis", **column)
        return TextColumn(f"{{task.{what}}}", style=style, markup=False, table_column=table_column)

    return Progress(
        text("description", "bold", max_width=words_width),
        BarColumn(bar_width=bar_width),
        text("fields[figures]", "cyan"),
        text("fields[rate]", "green", justify="right"),
        text("fields[time_left]", "dim", justify="right"),
        console=console,
        transient=True,
    )
