"""JSON of strangers: what Python's reader lets pass or breaks at is one sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.errors import DataError
from vlprompt.json_files import parse_json


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1, "a": 2}', r"s.json gives 'a' twice in one object"),
        ('[{"b": {"a": 1, "c": 2, "a": 1}}]', r"s.json gives 'a' twice in one object"),
        ('{"' + "a" * 9999 + '": 1, "' + "a" * 9999 + '": 2}', r"s.json gives 'aaa.*\.\.\..*a' twice"),
        ("[" * 100_000, r"s.json is not JSON that can be read: it nests too deep"),
        ('{"a":' * 100_000, r"s.json is not JSON that can be read: it nests too deep"),
        ("9" * 5000, r"s.json is not JSON that can be read: a number has too many digits"),
        ('{"a": 1', r"s.json is not JSON: .*line 1"),
        ("", r"s.json is not JSON"),
    ],
)
def test_a_fault_is_one_short_sentence(text, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        parse_json(text, "s.json")
    assert len(str(caught.value)) < 200


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(values)
def test_other_values_are_read_as_they_were_written(value) -> None:
    assert parse_json(json.dumps(value), "s.json") == value
