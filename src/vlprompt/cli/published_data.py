"""data: the published data sets are listed, checked and prepared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from vlprompt.cli.output import note, print_json, print_table
from vlprompt.data.published.root import data_root
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from vlprompt.data.published.published_set import PublishedSet
    from vlprompt.data.published.state import State


def list_sets(options: Namespace) -> None:
    """Print the published data sets with their published counts, and whether they are here."""
    from vlprompt.data.published.state import glance

    root = data_root(options.root)
    states = {name: glance(declared, root) for name, declared in PUBLISHED.items()}
    if options.json:
        print_json([{**_facts(declared), "state": states[name].status} for name, declared in PUBLISHED.items()])
        return
    rows = [
        (name, states[name].status, *(f"{count:,}" for count in asdict(declared.counts).values()), declared.licence)
        for name, declared in PUBLISHED.items()
    ]
    print_table(("data set", "state", "classes", "train", "val", "test", "licence"), rows)
    note(f"They are looked for in {root}; --root DIR or VLPROMPT_DATA names another folder.")


def check(options: Namespace) -> None:
    """Print what is here of the data sets: ready, incomplete or not there, with pictures and sizes."""
    from vlprompt.data.published.state import check as examine

    root = data_root(options.root)
    states = [examine(PUBLISHED[name], root) for name in _known(options.names) or PUBLISHED]
    if options.json:
        print_json([{**asdict(state), "folder": str(state.folder)} for state in states])
        return
    print_table(("data set", "state", "train", "val", "test", "MB", "remark"), [_row(state) for state in states])
    ready = sum(state.status == "ready" for state in states)
    note(f"{ready} of {len(states)} are ready in {root}; --root DIR or VLPROMPT_DATA names another folder.")


def prepare(options: Namespace) -> None:
    """Get each data set, and say of each what it has now."""
    names, root = _known(options.names), data_root(options.root)
    try:
        unready = [name for name in names if not _prepare(PUBLISHED[name], root, options.no_progress)]
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("interrupted; the same command goes on where it stopped.") from stop
    if unready:
        raise DataError(f"{' and '.join(unready)} cannot be used yet; what is missing is said above.")


def _prepare(declared: PublishedSet, root: Path, no_progress: bool) -> bool:
    """Whether it is ready now."""
    from vlprompt.data.published.preparing import how_to_get
    from vlprompt.data.published.preparing import prepare as get
    from vlprompt.data.published.state import check as examine
    from vlprompt.progress import Counting, progress_bars

    note(f"{declared.title}, {declared.page}; licence: {declared.licence}.")
    with progress_bars(False if no_progress else None) as board:
        prepared = get(declared, root, lambda file: Counting(board, f"downloading {file}", "B"))
    for sentence in prepared.failed:
        note(sentence)
    for source in prepared.by_hand:
        note(how_to_get(source, prepared.folder))
    state = examine(declared, root)
    if state.status != "ready":
        note(f"{declared.name} is {state.status}: {state.problem.rstrip('.')}.")
        return False
    _tell_ready(declared, state, prepared.got)
    return True


def _tell_ready(declared: PublishedSet, state: State, got: tuple[str, ...]) -> None:
    counts = state.here
    assert counts is not None
    came = f"; {', '.join(got)} came" if got else ""
    note(
        f"{declared.name} is ready in {state.folder}: {counts.classes:,} classes, {counts.train:,} training, "
        f"{counts.val:,} validation and {counts.test:,} test pictures{came}."
    )
    for difference in state.differences:
        note(f"vlprompt: warning: {declared.name} has {difference}.")
    if state.split == "drawn here":
        note(
            f"vlprompt: warning: its split is drawn here ({declared.rule.value}), so that results are not comparable "
            "with published ones; the published split file makes them so."
        )


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in PUBLISHED:
            raise UnknownNameError("published data set", name, PUBLISHED)
    return list(dict.fromkeys(names))


def _row(state: State) -> tuple[str, ...]:
    counts = state.here
    numbers = ("-", "-", "-") if counts is None else (f"{counts.train:,}", f"{counts.val:,}", f"{counts.test:,}")
    remarks = [state.problem, f"{state.split} split" if state.split else "", *state.differences]
    size = f"{(state.size or 0) / 1e6:,.1f}"
    return (state.name, state.status, *numbers, size, "; ".join(filter(None, remarks)))


def _facts(declared: PublishedSet) -> dict[str, Any]:
    """What a declaration says, as plain values."""
    return {
        "name": declared.name,
        "title": declared.title,
        "folder": declared.folder,
        "template": declared.template,
        "split": declared.rule.value,
        **asdict(declared.counts),
        "licence": declared.licence,
        "page": declared.page,
    }
