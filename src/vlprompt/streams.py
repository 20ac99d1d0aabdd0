"""What is written to stdout and stderr: whole, safe for a terminal, and never lost without a word.

Results go to stdout with `write_results`, everything else that is said to stderr with `say`.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vlprompt.errors import OutputError
from vlprompt.escaping import UNENCODABLE, for_terminal_lines


def occupy_closed_streams() -> None:
    """Lead closed standard streams to nowhere, so that no file that is opened later takes their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


@contextmanager
def showing_any_letter() -> Iterator[None]:
    """While the block runs, letters that a stream's encoding lacks are shown by their codes (`\\u00e9`)."""
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            changed.append((stream, stream.errors))
            stream.reconfigure(errors=UNENCODABLE)
    try:
        yield
    finally:
        for stream, before in changed:
            with suppress(OSError, ValueError):  # gone meanwhile
                stream.reconfigure(errors=before)


def say(text: str) -> None:
    """A line, or a message with a list, on stderr; where that is closed or broken, nobody is listening."""
    if sys.stderr is None:
        return
    try:
        print(for_terminal_lines(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _lead_to_nowhere(sys.stderr)


def check_results_can_be_written() -> None:
    """Raise OutputError, before anything is computed, where stdout is closed."""
    if sys.stdout is None:
        raise OutputError(f"stdout is closed, and the results go there; lead it to a file, or to {os.devnull}.")


def write_results(text: str) -> None:
    """Results on stdout, at once.

    Raises:
        OutputError: stdout cannot be written; the message says in which file the results are kept.
        BrokenPipeError: the reader has gone, as `head` does.
    """
    check_results_can_be_written()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _lead_to_nowhere(sys.stdout)
        raise OutputError(f"the results cannot be written to stdout ({reason}); {_rescued(text)}") from error


def leave_stdout() -> None:
    """Nobody reads stdout any more; without this Python would complain when it closes it."""
    _lead_to_nowhere(sys.stdout)


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at it; a closed stream is None."""
    return stream is not None and bool(stream.isatty())


def _rescued(text: str) -> str:
    if not text:
        return "nothing was printed."
    try:
        with tempfile.NamedTemporaryFile("wb", prefix="vlprompt-results-", suffix=".txt", delete=False) as file:
            file.write(text.encode("utf-8", UNENCODABLE))
    except OSError:
        return "the same command gives them again, from the features that are kept."
    return f"they are kept in {file.name}."


def _lead_to_nowhere(stream: Any) -> None:
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
