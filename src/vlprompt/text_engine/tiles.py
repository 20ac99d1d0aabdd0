"""How the tails of N prompts are laid out: row behind row, in tiles whose rows attend together.

Tails that begin alike ("great grey owl", "great white shark") share their first rows: they are merged into trees, whose
rows know their parents. Trees are packed into tiles of one length, chosen so that few rows are padding. Inside a tile a
mask lets every row see [SOS], the trunk, its own lead, its ancestors and itself. The words stand in `text_engine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Source = tuple[str, int, int]
"""Where a row's embedding comes from: ("context", number, m), ("token", id, 0), or ("class", whether it sees itself,
position) for a class token behind the prompt."""

ROOT = -1
"""Parent of a row that begins a tail."""


@dataclass(frozen=True)
class Tail:
    """What follows the trunk of one prompt.

    Attributes:
        lead: tokens of a name that comes before any context; empty where the trunk comes first.
        rows: sources of the tail's own rows.
        first_position: of the lead's first token, or of the first row.
    """

    lead: tuple[int, ...]
    rows: tuple[Source, ...]
    first_position: int


@dataclass(frozen=True)
class Tree:
    """Tails that begin alike, each shared row once.

    Attributes:
        lead: tokens that stand before all rows.
        first_position: of the lead's first token.
        sources, parents, depths: of each row; a parent is an earlier row or `ROOT`.
        ends: (class, its last row) for every tail.
    """

    lead: tuple[int, ...]
    first_position: int
    sources: tuple[Source, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    ends: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class Tiles:
    """The packed rows of a group: T tiles of R rows, U distinct ends.

    A row may see P shared keys ([SOS] and the trunk), at most K keys of leads, and the R rows of its tile. The trunk's
    own rows stand first in the first tile.

    Attributes:
        trunk: M', how many rows are the trunk's.
        sources: for each of the T R rows; None pads the end of a tile.
        positions: (T R,) positions in the sequence.
        leads: T x K lead tokens; None pads.
        lead_positions: (T, K).
        visible: (T, R, P + K + R): which keys a row sees.
        lead_visible: (T, K, start + K): which of [SOS] and the tile's lead keys a lead token sees.
        ends: (U,) rows of the distinct last tokens.
        slots: (T, C) indices into `ends` of each tile's own; padding repeats the first of all.
        slot_of_end: (U,) where in (T, C) flattened each stands.
        classes: the classes whose tails are here.
        end_of_class: for each of them an index into `ends`.
    """

    trunk: int
    sources: tuple[Source | None, ...]
    positions: Tensor
    leads: tuple[tuple[int | None, ...], ...]
    lead_positions: Tensor
    visible: Tensor
    lead_visible: Tensor
    ends: Tensor
    slots: Tensor
    slot_of_end: Tensor
    classes: tuple[int, ...]
    end_of_class: tuple[int, ...]


def merge(tails: Sequence[Tail], most_rows: int) -> list[Tree]:
    """Trees of the tails that begin alike, none of more than `most_rows` rows unless one tail alone has them."""
    trees: list[Tree] = []
    together: list[int] = []
    for index in sorted(range(len(tails)), key=lambda index: (tails[index].lead, tails[index].rows)):
        tail = tails[index]
        first = tails[together[0]] if together else tail
        alike = tail.lead == first.lead and tail.first_position == first.first_position
        if together and alike and tail.rows[:1] == first.rows[:1]:
            grown = _tree(tails, [*together, index])
            if len(grown) <= most_rows:
                together.append(index)
                trees[-1] = grown
                continue
        together = [index]
        trees.append(_tree(tails, together))
    return trees


def _tree(tails: Sequence[Tail], classes: Sequence[int]) -> Tree:
    sources: list[Source] = []
    parents: list[int] = []
    depths: list[int] = []
    ends: list[tuple[int, int]] = []
    place: dict[tuple[Source, ...], int] = {(): ROOT}
    for index in classes:
        rows = tails[index].rows
        for length in range(1, len(rows) + 1):
            if rows[:length] not in place:
                place[rows[:length]] = len(sources)
                sources.append(rows[length - 1])
                parents.append(place[rows[: length - 1]])
                depths.append(length - 1)
        ends.append((index, place[rows]))
    first = tails[classes[0]]
    return Tree(first.lead, first.first_position, tuple(sources), tuple(parents), tuple(depths), tuple(ends))


def groups_of(trees: Sequence[Tree], most_rows: int) -> list[list[Tree]]:
    """Cut the trees into groups alike in size, of at most `most_rows` rows unless one tree alone has more."""
    total = sum(len(tree) for tree in trees)
    wanted = total / max(1, -(-total // most_rows))
    groups: list[list[Tree]] = [[]]
    rows = 0
    for tree in trees:
        if groups[-1] and (rows + len(tree) > most_rows or rows >= wanted):
            groups.append([])
            rows = 0
        groups[-1].append(tree)
        rows += len(tree)
    return groups


def pack(trees: Sequence[Tree], tile_rows: int, *, start: int, trunk: Sequence[Source]) -> Tiles:
    """Pack trees into tiles.

    Args:
        tile_rows: rows of a tile, if no tree is longer; fewer, down to half, where that leaves less padding.
        start: tokens before the trunk ([SOS]: 1, or 0).
        trunk: sources of the trunk's rows.
    """
    longest = max([1, len(trunk), *(len(tree) for tree in trees)])
    most = max(tile_rows, longest)
    options = [(rows, _first_fit(trees, rows, len(trunk))) for rows in range(max(longest, most // 2), most + 1)]
    rows, tile_trees = min(options, key=lambda option: option[0] * len(option[1]))
    return _lay_out(tile_trees, rows, start, trunk)


def _first_fit(trees: Sequence[Tree], rows: int, trunk: int) -> list[list[Tree]]:
    """First fit, longest first; the trunk takes its room in the first tile."""
    tile_trees: list[list[Tree]] = [[]]
    room = [rows - trunk]
    place, length = 0, rows
    for tree in sorted(trees, key=len, reverse=True):
        # What had no room for one tree has none for the next of the same length.
        place, length = (place if len(tree) == length else 0), len(tree)
        while place < len(tile_trees) and room[place] < length:
            place += 1
        if place == len(tile_trees):
            tile_trees.append([])
            room.append(rows)
        tile_trees[place].append(tree)
        room[place] -= length
    return tile_trees


def _lay_out(tile_trees: list[list[Tree]], rows: int, start: int, trunk: Sequence[Source]) -> Tiles:
    count = len(tile_trees)
    leads = max(sum(len(tree.lead) for tree in tile) for tile in tile_trees)
    sources: list[Source | None] = [None] * (count * rows)
    sources[: len(trunk)] = trunk
    positions = torch.zeros(count * rows, dtype=torch.long)
    positions[: len(trunk)] = start + torch.arange(len(trunk))
    lead_tokens: list[list[int | None]] = [[None] * leads for _ in tile_trees]
    lead_positions = torch.zeros(count, leads, dtype=torch.long)
    ends: dict[int, int] = {}  # row -> index
    classes: list[int] = []
    end_of_class: list[int] = []
    for tile, trees in enumerate(tile_trees):
        for tree, row, lead in _places(trees, tile, rows, len(trunk)):
            length = len(tree.lead)
            lead_tokens[tile][lead : lead + length] = tree.lead
            lead_positions[tile, lead : lead + length] = tree.first_position + torch.arange(length)
            sources[row : row + len(tree)] = tree.sources
            positions[row : row + len(tree)] = tree.first_position + length + torch.tensor(tree.depths)
            for number, (kind, _, position) in enumerate(tree.sources):
                if kind == "class":
                    positions[row + number] = position
            for index, own in tree.ends:
                classes.append(index)
                end_of_class.append(ends.setdefault(row + own, len(ends)))
    slots, slot_of_end = _slots([row // rows for row in ends], count)
    return Tiles(
        trunk=len(trunk),
        sources=tuple(sources),
        positions=positions,
        leads=tuple(tuple(tile) for tile in lead_tokens),
        lead_positions=lead_positions,
        visible=_visible(tile_trees, rows, leads, start, len(trunk)),
        lead_visible=_lead_visible(tile_trees, leads, start),
        ends=torch.tensor(list(ends)),
        slots=slots,
        slot_of_end=slot_of_end,
        classes=tuple(classes),
        end_of_class=tuple(end_of_class),
    )


def _places(trees: list[Tree], tile: int, rows: int, trunk: int) -> Iterator[tuple[Tree, int, int]]:
    """Each tree of a tile with its first row among all T R, and the first of its leads in the tile."""
    row, lead = tile * rows + (trunk if tile == 0 else 0), 0
    for tree in trees:
        yield tree, row, lead
        row, lead = row + len(tree), lead + len(tree.lead)


def _visible(tile_trees: list[list[Tree]], rows: int, leads: int, start: int, trunk: int) -> Tensor:
    """Which keys a row sees, (T, R, P + K + R); padding sees itself, because a row must see something."""
    shared, own = start + trunk, start + trunk + leads
    visible = torch.zeros(len(tile_trees), rows, own + rows, dtype=torch.bool)
    visible[:, :, :shared] = True
    visible[:, :, own:] = torch.eye(rows, dtype=torch.bool)
    visible[0, :trunk] = False
    visible[0, :trunk, :shared] = torch.ones(shared, shared).tril().bool()[start:]
    for tile, trees in enumerate(tile_trees):
        for tree, place, lead in _places(trees, tile, rows, trunk):
            row = place - tile * rows
            visible[tile, row : row + len(tree), shared + lead : shared + lead + len(tree.lead)] = True
            for number, parent in enumerate(tree.parents):
                if parent != ROOT:
                    earlier = slice(own + row, own + row + number)
                    visible[tile, row + number, earlier] = visible[tile, row + parent, earlier]
                if tree.sources[number][:2] == ("class", 0):
                    visible[tile, row + number, own + row + number] = False
    return visible


def _lead_visible(tile_trees: list[list[Tree]], leads: int, start: int) -> Tensor:
    """Which of [SOS] and the tile's leads a lead token sees, (T, K, start + K): its own name up to itself."""
    visible = torch.zeros(len(tile_trees), leads, start + leads, dtype=torch.bool)
    visible[:, :, :start] = True
    visible[:, :, start:] = torch.eye(leads, dtype=torch.bool)
    for tile, trees in enumerate(tile_trees):
        for tree, _, lead in _places(trees, 0, 0, 0):
            length = len(tree.lead)
            own = slice(lead, lead + length)
            visible[tile, own, start:][:, own] |= torch.ones(length, length).tril().bool()
    return visible


def _slots(tile_of_end: list[int], count: int) -> tuple[Tensor, Tensor]:
    """(T, C) indices of each tile's ends, and where each end stands in it; see `Tiles`."""
    own: list[list[int]] = [[] for _ in range(count)]
    for end, tile in enumerate(tile_of_end):
        own[tile].append(end)
    most = max(len(ends) for ends in own)
    slots = torch.tensor([ends + [0] * (most - len(ends)) for ends in own])
    places = {end: tile * most + place for tile, ends in enumerate(own) for place, end in enumerate(ends)}
    return slots, torch.tensor([places[end] for end in range(len(tile_of_end))])
