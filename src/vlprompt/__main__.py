"""`python -m vlprompt` and the `vlprompt` command."""

from __future__ import annotations

import gc
import sys

from vlprompt.process import stopping


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Importing torch makes a million objects that live to the end. Looking through them for garbage, again and again
    # while importing and once more at the end, takes a quarter of `vlprompt predict`'s time.
    gc.set_threshold(100_000, 50, 50)
    try:
        stopping.stop_as_by_ctrl_c()
        from vlprompt.cli import main as run
        from vlprompt.streams import occupy_closed_streams

        occupy_closed_streams()
        code = run()
        gc.freeze()
    except KeyboardInterrupt:  # while the command line itself was being imported, or once more while it cleaned up
        code = stopping.exit_code()
    if code > 128:
        stopping.ignore_further_stops()
    sys.exit(code)


if __name__ == "__main__":
    main()
