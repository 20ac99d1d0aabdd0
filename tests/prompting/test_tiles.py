from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vlprompt.prompting.tiles import Tail, pack

LENGTHS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=30)


def tails_of(lengths: list[tuple[int, int]]) -> list[Tail]:
    return [
        Tail(lead=tuple(range(lead)), rows=tuple(("token", number, row) for row in range(rows)), first_position=5)
        for number, (lead, rows) in enumerate(lengths)
    ]


@given(LENGTHS, st.sampled_from([4, 9, 16, 64]))
def test_every_row_of_every_class_has_one_place(lengths: list[tuple[int, int]], tile_rows: int) -> None:
    tiles = pack(tails_of(lengths), tile_rows)
    placed = [source for tile in tiles.sources for source in tile if source is not None]
    assert sorted(placed) == sorted(source for tail in tails_of(lengths) for source in tail.rows)


@given(LENGTHS, st.sampled_from([4, 9, 16, 64]))
def test_a_row_sees_its_own_lead_and_its_own_tail_up_to_itself(lengths: list[tuple[int, int]], tile_rows: int) -> None:
    tiles = pack(tails_of(lengths), tile_rows)
    leads = tiles.lead_positions.shape[1]
    for number, tile in enumerate(tiles.sources):
        for row, source in enumerate(tile):
            seen = tiles.visible[number, row]
            if source is None:
                assert not seen.any()
                continue
            rows = [tile[key] for key in seen[leads:].nonzero().flatten().tolist()]
            assert rows == [("token", source[1], earlier) for earlier in range(source[2] + 1)]
            assert int(seen[:leads].sum()) == lengths[source[1]][0]


@given(LENGTHS, st.sampled_from([4, 9, 16, 64]))
def test_each_class_is_found_at_its_last_row(lengths: list[tuple[int, int]], tile_rows: int) -> None:
    tiles = pack(tails_of(lengths), tile_rows)
    classes = tiles.ends.shape[1]
    for index, (lead, rows) in enumerate(lengths):
        number, place = divmod(int(tiles.order[index]), classes)
        end = int(tiles.ends[number, place])
        assert tiles.sources[number][end] == ("token", index, rows - 1)
        assert int(tiles.positions[number, end]) == 5 + lead + rows - 1


def test_packing_wastes_next_to_nothing() -> None:
    lengths = [(0, 3 + number % 6) for number in range(500)]
    tiles = pack(tails_of(lengths), 128)
    assert tiles.positions.numel() < 1.03 * sum(rows for _, rows in lengths)
