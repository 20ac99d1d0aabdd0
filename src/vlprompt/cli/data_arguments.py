"""The options of the data command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jsonargparse import SUPPRESS, ArgumentParser

from vlprompt.data.published.root import DEFAULT_ROOT, ROOT_VARIABLE
from vlprompt.data.published.sets import PUBLISHED

NAMES = ", ".join(PUBLISHED)


def add_data_command(parent: Any, new_parser: Callable[..., ArgumentParser]) -> None:
    """Add `vlprompt data` with its three commands.

    Args:
        parent: the commands of the whole.
        new_parser: makes a parser of a description and an epilog.
    """
    parser = new_parser("The data sets of the CoOp and CoCoOp papers: what is here, and how to get the rest.")
    parent.add_subcommand("data", parser, help="the papers' data sets: what is here, and how to get the rest")
    commands = parser.add_subcommands(required=True, metavar="ACTION", title="actions", description=SUPPRESS)
    listing = new_parser("List the published data sets with their published counts.")
    _add_root(listing)
    commands.add_subcommand("list", listing, help="all of them, and whether they are here")
    check = new_parser("Say of each data set whether it is ready, incomplete (what is missing) or not there.")
    check.add_argument("names", metavar="NAME", type=str, nargs="*", help=f"(default: all) {NAMES}")
    _add_root(check)
    commands.add_subcommand("check", check, help="count what is here of them")
    prepare = new_parser(
        "Download what can be downloaded openly, arrange it as published, and check the counts; say exactly what to "
        "put where of what only a person can get. The same command goes on where it stopped.",
        epilog="Example: vlprompt data prepare dtd eurosat --root data",
    )
    prepare.add_argument("names", metavar="NAME", type=str, nargs="+", help=NAMES)
    add_root_option(prepare)
    prepare.add_argument("--no-progress", action="store_true", help="no progress bars")
    commands.add_subcommand("prepare", prepare, help="get them")


def add_root_option(parser: ArgumentParser) -> None:
    """The folder of the published data sets."""
    parser.add_argument(
        "--root",
        type=str | None,
        default=None,
        metavar="DIR",
        help=f"the folder that holds the published data sets; by default {ROOT_VARIABLE} names it, or {DEFAULT_ROOT}",
    )


def _add_root(parser: ArgumentParser) -> None:
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
