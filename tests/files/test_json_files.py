from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.errors import DataError
from vlprompt.escaping import as_json
from vlprompt.files.json_files import NotJsonError, parse_json, parse_listed, read_json

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(PLAIN)
def test_what_we_write_is_read_back(value):
    assert parse_json(as_json(value)) == value


def test_bytes_of_a_file_name_that_is_no_utf_8_are_read_back():
    name = os.fsdecode(b"caf\xe9")
    assert parse_json(as_json({"source": name})) == {"source": name}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("NaN", "NaN"),
        ('{"loss": -Infinity}', "-Infinity"),
        ("[1e999]", "too large"),
        ("1" * 5000, "5000 digits"),
        ("-" + "1" * 4000, "4001 digits"),
        ("0." + "1" * 5000, "too long"),
        ('{"seed": 1, "seed": 2}', "'seed' twice"),
        (r'{"name": "\ud800"}', "half of a character pair"),
        (r'{"\ud800": 1}', "half of a character pair"),
        ("[" * 65 + "]" * 65, "nested too deeply"),
        ("[" * 900 + "]" * 900, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_we_never_write_is_refused_with_its_reason(text, reason):
    with pytest.raises(NotJsonError, match=reason) as refusal:
        parse_json(text)
    assert len(str(refusal.value)) < 200


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from('{}[],:"\\ 1e9-.NaI')).map("".join))
def test_any_text_is_a_value_or_is_refused(text):
    try:
        value = parse_json(text)
    except NotJsonError:
        return
    assert json.loads(text) == value


def test_a_file_is_read_within_its_bound_and_only_if_it_is_regular(tmp_path: Path):
    (tmp_path / "small").write_text("[1]")
    (tmp_path / "latin").write_bytes(b'"\xe9"')
    os.mkfifo(tmp_path / "pipe")
    assert read_json(tmp_path / "small", 3) == [1]
    for name, most in (("small", 2), ("pipe", 9), (".", 9), ("missing", 9)):
        with pytest.raises(OSError, match=name):
            read_json(tmp_path / name, most)
    with pytest.raises(NotJsonError, match="UTF-8"):
        read_json(tmp_path / "latin", 9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1, "a": 2}', r"s.json cannot be read as JSON: it has 'a' twice"),
        ('{"' + "a" * 9999 + '": 1, "' + "a" * 9999 + '": 2}', r"s.json cannot be read as JSON: it has 'aaa.*' twice"),
        ("[" * 100_000, r"s.json cannot be read as JSON: its values are nested too deeply"),
        ("9" * 5000, r"s.json cannot be read as JSON: it has a number of 5000 digits"),
        ('{"a": 1', r"s.json cannot be read as JSON: it is not valid JSON \(.*line 1"),
    ],
)
def test_what_people_list_is_refused_in_one_short_sentence(text, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        parse_listed(text, "s.json")
    assert len(str(caught.value)) < 200


def test_what_pandas_writes_for_missing_values_is_taken_in_lists_only():
    assert parse_listed('{"split": NaN}', "s.json")["split"] != 0
    with pytest.raises(NotJsonError, match="NaN"):
        parse_json('{"split": NaN}')
