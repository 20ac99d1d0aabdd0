"""Text files in the encodings that people have, and what is said of others."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.errors import DataError
from vlprompt.files.text_files import decoded, lines_of, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_utf_8_and_what_has_a_byte_order_mark_is_read(tmp_path, encoding) -> None:
    (tmp_path / "a.csv").write_bytes("Käse,日本\r\n".encode(encoding))
    assert read_text(tmp_path / "a.csv", "manifest") == "Käse,日本\r\n"


def test_big_endian_utf_16_with_a_mark_is_read(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xfe\xff" + "é".encode("utf-16-be"))
    assert read_text(tmp_path / "a.csv", "manifest") == "é"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "ok\nKäse\n".encode("cp1252"),
            r"a.csv cannot be read as UTF-8 text: line 2 has the byte 0xe4.*save it as UTF",
        ),
        ("ok\n".encode("utf-16-le"), r"a.csv cannot be read as UTF-8 text: line 1 has a NUL character.*UTF-16"),
        (b"ok\nb\x00d\n", r"line 2 has a NUL character"),
        (b"\xff\xfea", r"it begins like UTF-16, but is cut short"),
    ],
)
def test_another_encoding_is_told_with_the_line_and_how_to_save(tmp_path, content, sentence) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_text(tmp_path / "a.csv", "manifest")


def test_a_missing_file_is_called_what_it_is(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no manifest .*gone.csv"):
        read_text(tmp_path / "gone.csv", "manifest")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a.csv cannot be read: it is a pipe, not a regular file"):
        read_text(tmp_path / "a.csv", "manifest")


def test_a_file_beyond_the_bound_is_refused(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a" * 1001)
    with pytest.raises(DataError, match=r"it has more than 0.0 MB, the most that is read"):
        read_text(tmp_path / "a.csv", "manifest", most_bytes=1000)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_lines_end_only_at_line_feeds_and_carriage_returns(text) -> None:
    text = decoded(text.encode("utf-8"))
    lines = list(lines_of(text))
    assert "".join(lines) == text
    assert all(not set("\r\n") & set(line.rstrip("\r\n")) for line in lines)
    assert all(line.endswith(("\r", "\n")) for line in lines[:-1])
    assert len(lines) == len(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))
