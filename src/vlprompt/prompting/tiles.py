"""How the tails of N prompts are laid out: packed row behind row, in tiles that attention looks at one by one.

A tail is what follows the shared beginning of a prompt: name, full stop and [EOS], say. Whole tails are packed into
tiles of at most `tile_rows` rows, so that hardly a row is padding; all tiles get the length of the fullest. Inside a
tile, a mask lets every row see the shared beginning, its own lead and its own tail up to itself. A lead is a name that
comes before the context: it is a constant, so it gives keys and values but no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Source = tuple[str, int, int]
"""Where a row's embedding comes from: ("context", class, m) or ("token", id, 0)."""


@dataclass(frozen=True)
class Tail:
    """The rows of one class: its lead, its tail, and the position of the lead's first token."""

    lead: tuple[int, ...]
    rows: tuple[Source, ...]
    first_position: int


@dataclass(frozen=True, eq=False)
class Tiles:
    """Packed tails. T tiles of R rows each, at most K leads' rows and C classes in any of them.

    Attributes:
        tails: for each tile its classes, in order, with their tails.
        sources: T x R; None pads the end of a tile.
        positions: (T, R) positions in the sequence.
        leads: T x K lead tokens; None pads.
        lead_positions: (T, K).
        visible: (T, R, K + R): which lead rows and tail rows a row sees.
        ends: (T, C) index of each class's last row within the tile; padding repeats 0.
        order: (N,) where, in (T, C) flattened, each class stands.
    """

    tails: tuple[tuple[tuple[int, Tail], ...], ...]
    sources: tuple[tuple[Source | None, ...], ...]
    positions: Tensor
    leads: tuple[tuple[int | None, ...], ...]
    lead_positions: Tensor
    visible: Tensor
    ends: Tensor
    order: Tensor


def pack(tails: Sequence[Tail], tile_rows: int) -> Tiles:
    """Pack the tails of N classes into tiles (first fit, longest first)."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(tails)), key=lambda index: -len(tails[index].rows)):
        length = len(tails[index].rows)
        place = next((tile for tile, free in enumerate(room) if free >= length), None)
        if place is None:
            bins.append([])
            room.append(max(tile_rows, length))
            place = len(bins) - 1
        bins[place].append(index)
        room[place] -= length
    return _lay_out([tuple((index, tails[index]) for index in sorted(tile)) for tile in bins])


def _lay_out(tiles: list[tuple[tuple[int, Tail], ...]]) -> Tiles:
    rows = max(sum(len(tail.rows) for _, tail in tile) for tile in tiles)
    leads = max(sum(len(tail.lead) for _, tail in tile) for tile in tiles)
    classes = max(len(tile) for tile in tiles)
    positions = torch.zeros(len(tiles), rows, dtype=torch.long)
    lead_positions = torch.zeros(len(tiles), leads, dtype=torch.long)
    visible = torch.zeros(len(tiles), rows, leads + rows, dtype=torch.bool)
    ends = torch.zeros(len(tiles), classes, dtype=torch.long)
    order = torch.zeros(sum(len(tile) for tile in tiles), dtype=torch.long)
    for number, tile in enumerate(tiles):
        row = lead_row = 0
        for place, (index, tail) in enumerate(tile):
            lead, length = len(tail.lead), len(tail.rows)
            own = slice(row, row + length)
            positions[number, own] = tail.first_position + lead + torch.arange(length)
            lead_positions[number, lead_row : lead_row + lead] = tail.first_position + torch.arange(lead)
            visible[number, own, lead_row : lead_row + lead] = True
            visible[number, own, leads + row : leads + row + length] = torch.ones(length, length).tril().bool()
            row, lead_row = row + length, lead_row + lead
            ends[number, place] = row - 1
            order[index] = number * classes + place
    return Tiles(
        tails=tuple(tiles),
        sources=tuple(_padded([source for _, tail in tile for source in tail.rows], rows) for tile in tiles),
        positions=positions,
        leads=tuple(_padded([token for _, tail in tile for token in tail.lead], leads) for tile in tiles),
        lead_positions=lead_positions,
        visible=visible,
        ends=ends,
        order=order,
    )


def _padded(values: list, length: int) -> tuple:  # type: ignore[type-arg]
    return (*values, *[None] * (length - len(values)))
