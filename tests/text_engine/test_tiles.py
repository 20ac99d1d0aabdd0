from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vlprompt.text_engine.tiles import Source, Tail, Tiles, groups_of, merge, pack

START, TRUNK = 1, [("context", 0, 0), ("context", 0, 1)]

# Few different tokens, so that many tails begin alike and some are the same.
TAILS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=9)),
    min_size=1,
    max_size=30,
)
TILE_ROWS = st.sampled_from([4, 9, 16, 64])
Lengths = list[tuple[list[int], list[int]]]


def tails_of(drawn: Lengths) -> list[Tail]:
    return [Tail(tuple(lead), tuple(("token", token, 0) for token in rows), 5) for lead, rows in drawn]


def packed(drawn: Lengths, tile_rows: int) -> Tiles:
    return pack(merge(tails_of(drawn), tile_rows), tile_rows, start=START, trunk=TRUNK)


@given(TAILS, TILE_ROWS)
def test_each_class_sees_the_beginning_its_lead_and_its_own_rows(drawn: Lengths, tile_rows: int) -> None:
    tiles = packed(drawn, tile_rows)
    rows = tiles.visible.shape[1]
    shared, own = START + len(TRUNK), tiles.visible.shape[2] - rows
    assert sorted(tiles.classes) == list(range(len(drawn)))
    for index, end_index in zip(tiles.classes, tiles.end_of_class, strict=True):
        end = int(tiles.ends[end_index])
        tile, row = divmod(end, rows)
        seen = tiles.visible[tile, row]
        lead, tokens = drawn[index]
        assert bool(seen[:shared].all())
        assert [tiles.leads[tile][key] for key in seen[shared:own].nonzero().flatten().tolist()] == lead
        seen_rows = [tile * rows + key for key in seen[own:].nonzero().flatten().tolist()]
        assert [tiles.sources[key] for key in seen_rows] == [("token", token, 0) for token in tokens]
        positions = tiles.positions[seen_rows].tolist()
        assert positions == [5 + len(lead) + number for number in range(len(tokens))]


@given(TAILS, TILE_ROWS)
def test_the_trunk_stands_first_and_sees_itself_among_the_shared_keys(drawn: Lengths, tile_rows: int) -> None:
    tiles = packed(drawn, tile_rows)
    assert list(tiles.sources[: len(TRUNK)]) == TRUNK
    assert tiles.visible[0, 0].nonzero().flatten().tolist() == [0, 1]
    assert tiles.visible[0, 1].nonzero().flatten().tolist() == [0, 1, 2]


@given(TAILS, TILE_ROWS)
def test_tails_that_begin_alike_share_rows(drawn: Lengths, tile_rows: int) -> None:
    everything = merge(tails_of(drawn), 1000)
    beginnings = {(tuple(lead), tuple(rows[:length])) for lead, rows in drawn for length in range(1, len(rows) + 1)}
    assert sum(len(tree) for tree in everything) == len(beginnings)
    longest = max(len(rows) for _, rows in drawn)
    assert all(len(tree) <= max(tile_rows, longest) for tree in merge(tails_of(drawn), tile_rows))


@given(TAILS, TILE_ROWS)
def test_every_row_and_every_slot_attends_to_something(drawn: Lengths, tile_rows: int) -> None:
    tiles = packed(drawn, tile_rows)
    assert bool(tiles.visible.any(2).all())
    slots = tiles.slots.flatten()[tiles.slot_of_end].tolist()
    assert slots == list(range(len(tiles.ends)))


@given(TAILS, st.integers(1, 60))
def test_groups_hold_every_bush_once_and_stay_within_their_rows(drawn: Lengths, most_rows: int) -> None:
    trees = merge(tails_of(drawn), 16)
    groups = groups_of(trees, most_rows)
    assert [tree for group in groups for tree in group] == trees
    assert all(len(group) == 1 or sum(len(tree) for tree in group) <= most_rows for group in groups)


def test_packing_wastes_next_to_nothing() -> None:
    sources: list[list[Source]] = [[("token", 10 * n + row, 0) for row in range(3 + n % 6)] for n in range(500)]
    trees = merge([Tail((), tuple(rows), 5) for rows in sources], 32)
    tiles = pack(trees, 32, start=START, trunk=TRUNK)
    assert tiles.positions.numel() < 1.03 * (len(TRUNK) + sum(len(rows) for rows in sources))
