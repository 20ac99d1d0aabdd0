"""Any text goes in, one row or cell comes out, and nothing in it is obeyed."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vlprompt.escaping import (
    UNENCODABLE,
    as_json,
    as_list,
    for_csv,
    for_markdown,
    for_markdown_code,
    for_terminal,
    for_terminal_lines,
    for_tsv,
)

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=40)
"""Lone surrogates too, which are what file names that are no UTF-8 hold."""

HOSTILE = [
    "\x1b[2Jgone",
    "\x9b31m",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "evil\u202egnp.exe",
    "zero\u200bwidth",
    "\u2028line",
    "\x85next",
    "caf\udce9",
    "\ud800",
    "\x7f",
    "\x00",
]


def is_harmless(text: str) -> bool:
    kinds = {unicodedata.category(letter) for letter in text} - {"Cf"}
    turning = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff")
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not turning & set(text)


@settings(deadline=None)
@given(ANY_TEXT)
def test_no_control_character_and_no_line_break_reaches_a_terminal(text):
    for escape in (for_terminal, for_tsv, for_csv, for_markdown, for_markdown_code):
        assert is_harmless(escape(text))
        escape(text).encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_be_obeyed_is_shown_as_what_it_is(text):
    assert is_harmless(for_terminal(text))
    assert "\\" in for_terminal(text)


@pytest.mark.parametrize("text", ["café au lait", "日本", "a photo of a {}.", "नमस्ते", "👩\u200d🚒", "C:\\pictures"])
def test_what_people_write_stays_as_it_is(text):
    assert for_terminal(text) == text


def test_a_list_keeps_its_lines_and_a_name_makes_no_line_of_its_own():
    listed = as_list(["a\x1b.png: empty", "b\nvlprompt: all is well"])
    message = for_terminal_lines(f"2 images:\n{listed}")
    assert message.split("\n") == ["2 images:", r"  a\x1b.png: empty", r"  b\nvlprompt: all is well"]
    assert for_terminal_lines("there is no b\nvlprompt: all is well") == r"there is no b\nvlprompt: all is well"


@settings(deadline=None)
@given(ANY_TEXT)
def test_a_cell_of_a_tab_separated_line_says_exactly_what_the_text_was(text):
    def back(sign: re.Match[str]) -> str:
        if sign[1]:
            return {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}[sign[1]]
        code = int(sign[2] or sign[3] or sign[4], 16)
        return chr(0xDC00 + code if sign[2] and code > 0x7F else code)

    known = re.sub(r"\\(?:([tnr\\])|x(..)|u(....)|U(.{8}))", back, for_tsv(text))
    assert known == text


@settings(deadline=None)
@given(st.lists(st.lists(ANY_TEXT, min_size=2, max_size=3), min_size=1, max_size=4))
def test_csv_has_one_line_a_row_and_no_cell_is_a_formula(rows):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[for_csv(cell) for cell in row] for row in rows])
    read = list(csv.reader(io.StringIO(stream.getvalue())))
    assert len(stream.getvalue().split("\n")) == len(rows) + 1
    assert [len(row) for row in read] == [len(row) for row in rows]
    assert not any(cell.lstrip()[:1] in tuple("=+-@＝＋－＠") for row in read for cell in row if cell.strip())


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", " =1+1", "＝1"])
def test_a_formula_becomes_text(text):
    assert for_csv(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[here](https://evil.example)",
        "![x](y)",
        "a | b",
        "`code`",
        "**bold**",
        "# heading",
        "- item",
        "1. item",
        "=====",
        "https://evil.example",
        "www.evil.example",
        "&lt;b&gt;",
        "two\n\n# parts",
        "~~gone~~",
        "_leaning_",
    ],
)
def test_markdown_shows_the_text_and_nothing_else(text):
    page = MarkdownIt("gfm-like", {"linkify": False}).render(for_markdown(text))
    shown = re.fullmatch(r"<p>([^<>]*)</p>\n", page)
    assert shown, page
    letters = shown[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert letters == for_terminal(text).strip()


@pytest.mark.parametrize("text", ["https://evil.example", "see HTTP://x.example", "www.evil.example"])
def test_markdown_makes_no_link_of_an_address(text):
    assert not re.search(r"[a-z]://|www\.", for_markdown(text), re.IGNORECASE)


def test_markdown_leaves_plain_words_alone():
    for text in ("snake_case", "a photo of a {}.", "café (au lait), 3 pictures", "AT&T", "ViT-B-16/openai"):
        assert for_markdown(text) == text


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "`", "", " x "])
def test_a_code_span_ends_where_its_text_ends(text):
    span = for_markdown_code(text)
    fence = re.match("`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert fence not in re.findall("`+", inside)
    assert text.strip() in inside


@settings(deadline=None)
@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=5))
def test_json_says_exactly_what_was_given_in_every_encoding(value):
    for encoding in ("utf-8", "ascii", "cp1252"):
        text = as_json(value, encoding=encoding)
        assert json.loads(text.encode(encoding).decode(encoding)) == json.loads(json.dumps(value))
        assert is_harmless(text.replace("\n", ""))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_word_for_what_is_no_number(number):
    with pytest.raises(ValueError, match="JSON"):
        as_json({"probability": number})


def test_letters_that_an_encoding_lacks_are_shown_by_their_codes():
    assert "日本 \udce9".encode("ascii", UNENCODABLE) == b"\\u65e5\\u672c \\xe9"


@given(st.binary(max_size=20))
def test_names_of_any_bytes_can_be_written_and_had_back_from_json(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    for_terminal(text).encode()
    written = as_json(text).encode()
    assert json.loads(written).encode("utf-8", "surrogateescape") == name
