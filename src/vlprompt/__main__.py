"""`python -m vlprompt` and the `vlprompt` command."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Importing torch makes a million objects that live to the end. Looking through them for garbage, again and again
    # while importing and once more at the end, takes a quarter of `vlprompt predict`'s time.
    gc.set_threshold(100_000, 50, 50)
    try:
        from vlprompt.cli import main as run

        code = run()
        gc.freeze()
        sys.exit(code)
    except KeyboardInterrupt:  # while the command line itself was being imported
        sys.exit(130)


if __name__ == "__main__":
    main()
