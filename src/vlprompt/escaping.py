"""Text of strangers (file names, class names, records) made safe for where it goes: one function a medium.

Whatever could move a cursor, forge a row, hide letters or be run is shown instead as what it is: `\\n`, `\\x1b`,
`\\u202e`. A byte of a file name that is no UTF-8, which Python holds as a lone surrogate, is shown as `\\xe9`.
HTML is escaped by jinja2 and ElementTree; it takes `for_terminal` before that, for what these let through.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}

_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters of both sets, ESC and CSI among them
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible or turning
    "\U000e0000-\U000e007f"  # tags: invisible letters
    "\ud800-\udfff]"  # no characters at all
)
"""Zero-width joiners (U+200C, U+200D) stay: Persian, Hindi and many emoji are written with them."""

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|&(?=[#\w]+;)|(?<=[a-zA-Z]):(?=//)|(?<=www)\.", re.IGNORECASE)
_MARKDOWN_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_MARKDOWN_BLOCK = re.compile(r"([#+\-=]|\d+(?=[.)]))")

LONGEST_ENTRY = 300
"""Letters of an entry of a list in a message."""

UNENCODABLE = "vlprompt.visible"
"""Name of an error handler for streams: what the stream's encoding lacks is written as for_terminal shows it."""


def for_terminal(text: str) -> str:
    """The text on one line, without control characters and invisible ones; all others as they are."""
    return _HARMFUL.sub(_shown, text)


def for_terminal_lines(text: str) -> str:
    """As `for_terminal`, but lines indented by two blanks, as in the lists of our own messages, stay lines."""
    return "\n  ".join(for_terminal(line) for line in text.split("\n  "))


def as_list(entries: Iterable[str]) -> str:
    """Entries as such indented lines, one each; a very long one without its middle."""
    return "\n".join(f"  {for_terminal(_within(entry))}" for entry in entries)


def _within(entry: str) -> str:
    half = LONGEST_ENTRY // 2
    return entry if len(entry) <= LONGEST_ENTRY else f"{entry[:half]}...{entry[-half:]}"


def for_tsv(text: str) -> str:
    """A cell of a tab-separated line; a backslash of the text is doubled, so that the text can be had back."""
    return for_terminal(text.replace("\\", "\\\\"))


def for_markdown(text: str) -> str:
    """Text within a paragraph, list item or table cell of GitHub Markdown, where it means nothing but itself."""
    escaped = _MARKDOWN.sub(lambda sign: _MARKDOWN_ENTITIES.get(sign[0], f"\\{sign[0]}"), for_terminal(text).strip())
    block = _MARKDOWN_BLOCK.match(escaped)
    if block is None:
        return escaped
    rest = escaped[block.end() :]
    return f"{block[1]}\\{rest}" if block[1].isdigit() else f"\\{block[1]}{rest}"


def for_markdown_code(text: str) -> str:
    """Text as a code span of Markdown, between as many backticks as it needs; not for table cells."""
    text = for_terminal(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if not text.strip() or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def for_csv(text: str) -> str:
    """A cell of CSV, on one line, which a spreadsheet takes for text and never for a formula (OWASP)."""
    text = for_terminal(text)
    return f"'{text}" if _FORMULA.match(text) else text


def as_json(value: Any, *, indent: int | None = 2, encoding: str = "utf-8") -> str:
    """JSON of plain values that says exactly what they are, in letters that `encoding` has and no terminal obeys.

    Raises:
        ValueError: a number is NaN or infinite, for which JSON has no words.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # a lone surrogate, or a letter that the stream lacks
        return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)
    # json.dumps has escaped the first set of control characters; line breaks are between the values.
    return _HARMFUL.sub(lambda sign: sign[0] if sign[0] == "\n" else json.dumps(sign[0])[1:-1], text)


def _shown(sign: re.Match[str]) -> str:
    return _SHORT.get(sign[0]) or _code_of(sign[0])


def _code_of(sign: str) -> str:
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _encode_visibly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_code_of, error.object[error.start : error.end])), error.end


codecs.register_error(UNENCODABLE, _encode_visibly)
