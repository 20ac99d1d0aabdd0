from __future__ import annotations

import multiprocessing
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.features import CacheWarning
from vlprompt.features import table as table_module
from vlprompt.features.table import ABOUT_FILE, MOST_SMALL_SHARDS, Table
from vlprompt.files import atomic_path

WIDTH = 4


def keys_of(numbers: list[int] | range) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**64, (1000, 2), dtype=np.uint64)[list(numbers)]


def values_of(numbers: list[int] | range) -> np.ndarray:
    return np.repeat(np.asarray(list(numbers), np.float32)[:, None], WIDTH, axis=1)


def table_in(folder: Path, identity: str = "one") -> Table:
    return Table(folder, WIDTH, np.float32, identity=identity)


def add(table: Table, numbers: list[int] | range) -> None:
    table.add(keys_of(numbers), values_of(numbers))


def known(table: Table, numbers: list[int] | range) -> list[int]:
    """Which of the numbers the table knows; their values are checked on the way."""
    out = np.full((len(numbers), WIDTH), -1, np.float32)
    found = table.read(keys_of(numbers), out)
    expected = values_of(numbers)
    expected[~found] = -1
    assert np.array_equal(out, expected)
    return np.asarray(list(numbers))[found].tolist()


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), max_size=24))
def test_what_was_added_is_known_to_every_reader_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("table") / "deeper"
    writer, reader = table_in(folder), table_in(folder)
    for batch in batches:
        add(writer, batch)
        reader.read(keys_of([0]), np.empty((1, WIDTH), np.float32))
    everything = sorted({number for batch in batches for number in batch})
    for table in (writer, reader, table_in(folder)):
        assert known(table, range(61)) == everything
    assert len(shards_in(folder)) <= MOST_SMALL_SHARDS + 1


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    table.add(np.array([[7, 1]], np.uint64), values_of([1]))
    out = np.zeros((2, WIDTH), np.float32)
    assert table.read(np.array([[7, 2], [7, 1]], np.uint64), out).tolist() == [False, True]


def test_many_small_shards_become_one(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    for number in range(MOST_SMALL_SHARDS + 1):
        assert len(shards_in(tmp_path)) == number
        add(table, [number])
    assert len(shards_in(tmp_path)) == 1
    assert known(table_in(tmp_path), range(30)) == list(range(MOST_SMALL_SHARDS + 1))


def test_large_shards_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "LARGE_SHARD_BYTES", 1000)
    table = table_in(tmp_path)
    add(table, range(100, 200))
    large = set(shards_in(tmp_path))
    for number in range(MOST_SMALL_SHARDS + 1):
        add(table, [number])
    assert len(shards_in(tmp_path)) == 2
    assert large < set(shards_in(tmp_path))


def test_rows_added_twice_are_kept_once_when_merged(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    for number in range(MOST_SMALL_SHARDS + 1):
        add(table, [0, number + 1])
    assert len(table) == MOST_SMALL_SHARDS + 2


def test_what_a_killed_process_left_half_written_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    left = tmp_path / ".tmp-0123456789ab-x.npy"
    left.write_bytes(b"half")
    with atomic_path(tmp_path / "y.npy") as being_written:
        add(table_in(tmp_path), [1])
        assert not left.exists()
        assert being_written.exists()


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def damage_flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_swapped_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8192] + content[-4096:] + content[-8192:-4096])


def damage_swapped_words(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-24] + content[-8:] + content[-16:-8] + content[-24:-16])


def damage_moved_sum(path: Path) -> None:
    """One word is larger by what another is smaller."""
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    content[-12] ^= 1
    path.write_bytes(content)


def damage_emptied(path: Path) -> None:
    path.write_bytes(b"")


def damage_text(path: Path) -> None:
    path.write_text("not an array")


def damage_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"'descr'", b"'de(cr'"))


def damage_pickle(path: Path) -> None:
    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.removeprefix("damage_"))
def test_a_damaged_shard_is_warned_about_once_removed_and_written_again(tmp_path: Path, damage) -> None:
    add(table_in(tmp_path), range(500))
    (shard,) = shards_in(tmp_path)
    damage(shard)
    table = table_in(tmp_path)
    with pytest.warns(CacheWarning, match=f"{shard.name} is damaged or foreign") as caught:
        assert known(table, range(500)) == []
    assert len(caught) == 1
    assert shards_in(tmp_path) == []
    add(table, range(500))
    for again in (table, table_in(tmp_path)):
        assert known(again, range(500)) == list(range(500))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_shard_that_is_no_regular_file_is_not_waited_for(tmp_path: Path, make) -> None:
    add(table_in(tmp_path), range(5))
    (shard,) = shards_in(tmp_path)
    shard.unlink()
    make(shard)
    with pytest.warns(CacheWarning, match="damaged or foreign"):
        assert known(table_in(tmp_path), range(5)) == []


def test_rows_that_are_no_numbers_are_not_known(tmp_path: Path) -> None:
    values = values_of(range(3))
    values[1, 2] = np.nan
    table_in(tmp_path).add(keys_of(range(3)), values)
    out = np.zeros((3, WIDTH), np.float32)
    assert table_in(tmp_path).read(keys_of(range(3)), out).tolist() == [True, False, True]


def test_a_damaged_shard_costs_no_other(tmp_path: Path) -> None:
    writer = table_in(tmp_path)
    add(writer, range(10))
    (first,) = shards_in(tmp_path)
    add(writer, range(10, 20))
    damage_truncated(first)
    with pytest.warns(CacheWarning):
        assert known(table_in(tmp_path), range(20)) == list(range(10, 20))


def test_a_shard_of_another_table_is_foreign_though_it_looks_the_same(tmp_path: Path) -> None:
    add(table_in(tmp_path / "a", "one"), range(5))
    (shard,) = shards_in(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / shard.name).write_bytes(shard.read_bytes())
    with pytest.warns(CacheWarning, match="foreign"):
        assert known(table_in(tmp_path / "b", "two"), range(5)) == []


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    table = table_in(tmp_path)
    add(table, range(3))
    assert known(table, range(3)) == [0, 1, 2]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_damaged_shard_that_cannot_be_removed_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(table_in(tmp_path), range(5))
    (shard,) = shards_in(tmp_path)
    damage_truncated(shard)
    monkeypatch.setattr(Path, "unlink", refuse)
    table = table_in(tmp_path)
    with pytest.warns(CacheWarning):
        known(table, range(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert known(table, range(5)) == []


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_folder_that_cannot_be_made_costs_one_warning_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    table = table_in(tmp_path / "file" / "table")
    with pytest.warns(CacheWarning, match="nothing more is kept in it"):
        add(table, range(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add(table, range(5))
    assert known(table, range(5)) == []


def test_a_full_disk_costs_one_warning_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    table = table_in(tmp_path)
    with pytest.warns(CacheWarning, match="no space left on device"):
        add(table, range(5))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_merged_away_by_another_process_is_no_damage(tmp_path: Path) -> None:
    reader, writer = table_in(tmp_path), table_in(tmp_path)
    for number in range(MOST_SMALL_SHARDS):
        add(writer, [number])
    assert len(known(reader, range(MOST_SMALL_SHARDS))) == MOST_SMALL_SHARDS
    add(writer, [MOST_SMALL_SHARDS])
    assert len(known(reader, range(30))) == MOST_SMALL_SHARDS + 1


def test_what_the_rows_are_about_stands_beside_them(tmp_path: Path) -> None:
    table = Table(tmp_path, WIDTH, np.float32, identity="one", about="{}")
    add(table, [1])
    assert (tmp_path / ABOUT_FILE).read_text() == "{}"


def _write_and_check(folder: Path, start: int) -> int:
    """Add rows one by one while others do the same; how many of the own ones went missing or came out wrong."""
    warnings.simplefilter("error")
    table = table_in(folder)
    lost = 0
    for number in range(start, start + 60):
        add(table, [number])
        out = np.zeros((1, WIDTH), np.float32)
        found = table.read(keys_of([number]), out)
        lost += not (found[0] and out[0, 0] == number)
    return lost


def test_three_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.starmap(_write_and_check, [(tmp_path, start) for start in (0, 40, 80)]) == [0, 0, 0]
    assert known(table_in(tmp_path), range(200)) == list(range(140))
