"""The command line: parse, call the library, print.

What the user can put right is one sentence on stderr and exit code 2; Ctrl-C is exit code 130 and says how to go on,
and so do SIGTERM (143) and SIGHUP (129). What is said passes through `vlprompt.streams`, safe for a terminal.
Anything else is a fault of ours and keeps its traceback. Nothing here imports torch before a command needs it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from vlprompt import streams
from vlprompt.cli.wording import as_typed
from vlprompt.errors import OutputError, VlpromptError
from vlprompt.process import stopping

USER_ERROR = 2
WITHOUT_RESULTS = ("fit", "export", "convert")
"""Commands that print nothing on stdout."""
BACKBONES = Path(__file__).parents[1] / "backbones"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _let_threads_wait_briefly()
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    with streams.showing_any_letter():
        return _told(lambda: _run(arguments), debug)


def _told(command: Callable[[], None], debug: bool) -> int:
    """Run a command; its exit code, and on stderr why it ended early."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warning_shower()
            command()
        return 0
    except VlpromptError as error:
        if debug:
            for line in traceback.format_exc().splitlines():
                streams.say(line)
        streams.say(f"vlprompt: {as_typed(str(error))}")
        return USER_ERROR
    except KeyboardInterrupt as stop:
        how = str(stop) or "interrupted; the same command starts again, with the pictures encoded so far."
        streams.say(f"vlprompt: {how}")
        return stopping.exit_code()
    except BrokenPipeError:  # the reader (head, less) has gone
        streams.leave_stdout()
        return 0


def _let_threads_wait_briefly() -> None:
    """How long torch's threads spin before they sleep, where nobody has said; GNU's OpenMP reads it with torch.

    Measured on two cores with a CoCoOp step: as long as by default, two processes side by side are 100 times slower
    each (mini); not at all, and one alone is 1.5 (ViT-B/16) to 3 times (mini) slower. This costs one alone nothing.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _run(arguments: list[str]) -> None:
    from vlprompt.cli.arguments import parse
    from vlprompt.process.allocator import keep_freed_memory

    _check_surroundings()
    parsed = parse(arguments)
    if parsed is not None:
        command, options = parsed
        if command.__name__ not in WITHOUT_RESULTS:
            streams.check_results_can_be_written()
        keep_freed_memory()
        command(options)
    if sys.stdout is not None:
        streams.write_results("")  # what the parser has printed


def _check_surroundings() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise OutputError(f"the current folder is not there any more ({error.strerror}); change to another.") from error
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise OutputError(
            "there is no folder for temporary files, which torch needs; set TMPDIR to one that you may write to."
        ) from error


def _warning_shower() -> Callable[..., None]:
    """Our own warnings as one line, each once, and what the code of backbones warns of; not those of libraries."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
        ours = category.__module__.startswith("vlprompt") or Path(filename).parent == BACKBONES
        if ours and str(message) not in said:
            said.add(str(message))
            streams.say(f"vlprompt: warning: {as_typed(str(message))}")

    return show
