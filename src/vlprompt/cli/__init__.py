"""The command line: parse, call the library, print.

What the user can put right is one sentence on stderr and exit code 2; Ctrl-C is exit code 130 and says how to go on.
Anything else is a fault of ours and keeps its traceback. Nothing here imports torch before a command needs it.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from vlprompt.errors import VlpromptError

USER_ERROR = 2
INTERRUPTED = 130
BACKBONES = Path(__file__).parents[1] / "backbones"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _let_threads_wait_briefly()
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _run(arguments)
    except VlpromptError as error:
        if debug:
            traceback.print_exc()
        print(f"vlprompt: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt as stop:
        how = str(stop) or "interrupted; the same command starts again, with the pictures encoded so far."
        print(f"vlprompt: {how}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; without this Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _let_threads_wait_briefly() -> None:
    """How long torch's threads spin before they sleep, where nobody has said; GNU's OpenMP reads it with torch.

    Measured on two cores with a CoCoOp step: as long as by default, two processes side by side are 100 times slower
    each (mini); not at all, and one alone is 1.5 (ViT-B/16) to 3 times (mini) slower. This costs one alone nothing.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _run(arguments: list[str]) -> int:
    from vlprompt.allocator import keep_freed_memory
    from vlprompt.cli.arguments import parse

    parsed = parse(arguments)
    if parsed is None:
        return 0
    command, options = parsed
    keep_freed_memory()
    command(options)
    sys.stdout.flush()
    return 0


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
    """Our own warnings as one line, and what the code of backbones warns of; the libraries' are not for the user."""
    if category.__module__.startswith("vlprompt") or Path(filename).parent == BACKBONES:
        print(f"vlprompt: warning: {message}", file=sys.stderr)
