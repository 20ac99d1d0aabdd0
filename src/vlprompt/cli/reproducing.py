"""benchmark reproduce: a published table by its name, as the ordinary commands that make it.

CoOp trains on ImageNet for fewer epochs than on other data sets, so a table with both takes several commands, which
write into one folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from vlprompt.cli.output import note
from vlprompt.data.published.root import data_root
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.errors import DataError, UnknownNameError
from vlprompt.protocols.published import IMAGENET_EPOCHS, PublishedTable, published_tables

IMAGENET = "imagenet"


def reproducible() -> dict[str, PublishedTable]:
    """The published tables that can be made again, by name."""
    return {name: table for name, table in published_tables().items() if table.methods}


def add_reproduce_command(protocols: Any, new_parser: Callable[..., ArgumentParser]) -> None:
    """Add `reproduce` to the parser of `benchmark`; with a TABLE behind it, `reproduction` reads the arguments."""
    parser = new_parser(
        "Make a published table again, with its data sets, methods, shots, seeds and backbone, and set it beside the "
        "published one. Further options are those of its protocol's benchmark.",
        epilog="Example: vlprompt benchmark reproduce cocoop-table-1 --device cuda",
    )
    parser.add_argument("table", metavar="TABLE", type=str, help=f"one of {', '.join(reproducible())}")
    protocols.add_subcommand("reproduce", parser, help="a published table by its name")


def reproduction(name: str, more: Sequence[str]) -> Callable[[Namespace], None]:
    """What `vlprompt benchmark reproduce NAME` runs.

    Args:
        more: options that all its benchmarks get.

    Raises:
        UnknownNameError: there is no such table.
    """
    tables = reproducible()
    if name not in tables:
        raise UnknownNameError("table to reproduce", name, tables)
    commands = [[*command, *more] for command in commands_of(tables[name])]

    def reproduce(_: Namespace) -> None:
        from vlprompt.cli.arguments import parse

        first = parse(commands[0])
        if first is None:
            return  # its help was asked for
        options = first[1]
        _check_data(tables[name], options.root)
        for command in commands:
            note(f"vlprompt {shlex.join(command)}")
            _run(command)
        if not options.get("dry_run", False):
            _run(["report", options.out])

    return reproduce


def _run(arguments: list[str]) -> None:
    """Run one command of `vlprompt`."""
    from vlprompt.cli.arguments import parse

    parsed = parse(arguments)
    if parsed is not None:
        command, options = parsed
        command(options)


def commands_of(table: PublishedTable) -> list[list[str]]:
    """The benchmarks that make a table, each as the arguments of `vlprompt`."""
    groups: list[tuple[list[str], list[str], list[str]]]
    if table.protocol in ("cross-dataset", "domain-shift"):  # whose recipes are those of ImageNet
        groups = [([name for name in table.columns if name in PUBLISHED], list(table.methods), [])]
    else:
        others = [name for name in table.datasets if name != IMAGENET]
        groups = [(others, list(table.methods), [])]
        if IMAGENET in table.datasets:
            apart = [method for method in table.methods if method in IMAGENET_EPOCHS]
            groups += [([IMAGENET], [method for method in table.methods if method not in apart], [])]
            groups += [([IMAGENET], [method], ["--epochs", str(IMAGENET_EPOCHS[method])]) for method in apart]
    return [
        [
            "benchmark", table.protocol, *datasets, "--methods", ",".join(methods),
            "--shots", ",".join(map(str, table.shots)), "--seeds", ",".join(map(str, table.seeds)),
            "--backbone", table.backbone, "--views", "null", *epochs, "--out", f"runs/{table.name}",
        ]
        for datasets, methods, epochs in groups
    ]  # fmt: skip


def _check_data(table: PublishedTable, root: str | None) -> None:
    """Raise DataError with all data sets that are not ready."""
    from vlprompt.data.published.state import glance

    needed = [name for name in PUBLISHED if name in (*table.datasets, *table.columns)]
    place = data_root(root)
    unready = [name for name in needed if glance(PUBLISHED[name], place).status != "ready"]
    if unready:
        where = f" --root {shlex.quote(root)}" if root else ""
        raise DataError(
            f"{table.name} needs {len(needed)} data sets, of which {len(unready)} are not ready in {place}; "
            f"vlprompt data prepare {' '.join(unready)}{where} gets them, or says what to put where"
        )
