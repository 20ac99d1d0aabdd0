"""The reader of plain pickles: the same values as pickle for plain ones, and nothing else ever happens."""

from __future__ import annotations

import functools
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.files import plain_pickle
from vlprompt.files.plain_pickle import Attributes, Global, PickleRefused, plain_dict, read_plain_pickle

KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)
ORDERED = {"collections.OrderedDict": Global("collections.OrderedDict", plain_dict)}


def find(name: str) -> Global:
    if name in ORDERED:
        return ORDERED[name]
    raise PickleRefused(f"it asks for {name}")


def read(data: bytes) -> Any:
    return read_plain_pickle(data, find, lambda identifier: ("stored", identifier))


class Calls:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@settings(deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_values_are_read_as_pickle_reads_them(value: Any, protocol: int) -> None:
    read_back = read(pickle.dumps(value, protocol))
    assert read_back == value
    assert repr(read_back) == repr(value)


def test_a_shared_value_stays_shared_and_a_cycle_stays_a_cycle() -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    first, second = read(pickle.dumps([shared, shared]))
    assert first is second
    assert first[1] is first


@pytest.mark.parametrize("protocol", range(6))
def test_an_ordered_dict_is_read_as_a_dict(protocol: int) -> None:
    assert list(read(pickle.dumps(OrderedDict(b=1, a=2), protocol)).items()) == [("b", 1), ("a", 2)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch was-run",)),
        (eval, ("open('was-run', 'w')",)),
        (exec, ("open('was-run', 'w')",)),
        (getattr, ("", "join")),
        (functools.partial, (os.system, "touch was-run")),
        (open, ("was-run", "w")),
        (Path, ("was-run",)),
        (bytearray, (10**12,)),
    ],
)
def test_a_call_is_refused_by_name_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, function: Any, arguments: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickleRefused, match="it asks for"):
        read(pickle.dumps([Calls(function, *arguments)], protocol))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "data",
    [
        b"(S'touch was-run'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch was-run'\no.",  # OBJ
        b"\x82\x01.",  # EXT1
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
        b"ccollections\nOrderedDict\n)\x81}\x92.",  # NEWOBJ_EX
        b"ccollections\nOrderedDict\nK\x01R.",  # called with what is no tuple
        b"K\x01)R.",  # a call of a number
        b"](b.",  # attributes for a list
        b"]K\x01b.",
        b"\x8f(K\x01\x90.",  # a set
        b"\x96" + struct.pack("<Q", 2**40) + b".",  # BYTEARRAY8 of a terabyte
        b"\x8e" + struct.pack("<Q", 2**40) + b".",  # BINBYTES8 of a terabyte
        b"X" + struct.pack("<I", 2**32 - 1) + b"a.",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",  # LONG4 of two gigabytes
        b"L" + b"9" * 5000 + b"L\n.",  # a number of more digits than Python converts
        b"h\x05.",  # nothing is remembered there
        b"0.",
        b".",
        b"",
        b"(",
        b"t.",
        b"\x85.",
        b"(K\x01d.",
        b"}K\x01s.",
        b"}(K\x01u.",
        b"K\x01(K\x01e.",
        b"\xff.",
        b"cos\nsystem",
    ],
)
def test_a_pickle_that_is_damaged_or_does_more_is_refused(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(PickleRefused):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_place_in_the_memo_costs_no_memory_however_high() -> None:
    assert read(b"K\x07r" + struct.pack("<I", 2**32 - 1) + b"0j" + struct.pack("<I", 2**32 - 1) + b".") == 7


def test_a_key_that_would_take_for_ever_to_hash_is_refused() -> None:
    doubled = b")" + b"q\x00h\x00\x86" * 60  # the tuple of itself twice, sixty times
    with pytest.raises(PickleRefused, match="tuple as key"):
        read(b"}" + doubled + b"K\x01s.")


def test_nesting_without_end_is_read_without_recursion() -> None:
    value = read(b")" + b"\x85" * 100_000 + b".")
    assert isinstance(value, tuple)


def test_a_pickle_of_too_many_operations_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "MOST_OPERATIONS", 1000)
    with pytest.raises(PickleRefused, match="more than 1,000 operations"):
        read(b"N0" * 2000 + b"N.")


def test_an_unknown_object_keeps_what_it_held_and_none_of_its_code_runs() -> None:
    made = read_plain_pickle(
        b"cany\nThing\n)\x81}(X\x01\x00\x00\x00aK\x01ub.",
        lambda name: Global(name, lambda arguments: Attributes(name)),
        lambda identifier: None,
    )
    assert (made.name, made.state) == ("any.Thing", {"a": 1})


@settings(deadline=None)
@given(PLAIN, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=5), st.integers(0, 10_000))
def test_changed_bytes_give_a_value_or_a_refusal_and_nothing_else(
    value: Any, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(pickle.dumps(value, 2))
    for place, byte in changes:
        data[place % len(data)] = byte
    with suppress(PickleRefused):
        read(bytes(data[: len(data) - cut % 3]))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_refusal_and_nothing_else(data: bytes) -> None:
    with suppress(PickleRefused):
        read(data)
