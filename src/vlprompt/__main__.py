"""`python -m vlprompt` and the `vlprompt` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from vlprompt.cli import main as run

        sys.exit(run())
    except KeyboardInterrupt:  # while the command line itself was being imported
        sys.exit(130)


if __name__ == "__main__":
    main()
