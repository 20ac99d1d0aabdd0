"""Text files that people write: regular files of a bounded size, UTF-8 or whatever their byte order mark says."""

from __future__ import annotations

import codecs
import errno
import os
import re
from collections.abc import Iterator

from vlprompt.errors import DataError
from vlprompt.files import read_bounded

MOST_BYTES = 100_000_000
"""Of a text file by default: a manifest of ImageNet's 1.3 million pictures takes 80 MB."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def read_text(path: str | os.PathLike[str], what: str, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file, line ends as they are.

    Args:
        path: of a file in UTF-8 with or without a byte order mark, or in UTF-16 or UTF-32 with one (as Excel writes).
        what: the file is, in words, for the message.
        most_bytes: larger files are refused.

    Raises:
        DataError: there is no such file, it is no regular file, too large, or no text in these encodings.
    """
    try:
        return decoded(read_bounded(path, most_bytes))
    except FileNotFoundError as error:
        raise DataError(f"there is no {what} {os.fspath(path)}.") from error
    except OSError as error:
        fits = "" if error.errno != errno.EFBIG else ", the most that is read"
        raise DataError(f"the {what} {os.fspath(path)} cannot be read: {error.strerror or error}{fits}.") from error
    except ValueError as error:
        raise DataError(f"the {what} {os.fspath(path)} cannot be read as UTF-8 text: {error}.") from error


def decoded(content: bytes) -> str:
    """The text of a file's content.

    Raises:
        ValueError: it is no text; the message says what stands where and how to save the file instead.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"it begins like {encoding.upper()}, but is cut short or damaged") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} has the byte 0x{content[error.start]:02x}, as other encodings have; save it as UTF-8 "
            "(Excel calls that 'CSV UTF-8')"
        ) from error
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise ValueError(
            f"line {line} has a NUL character, as UTF-16 without a byte order mark and files that are no text have; "
            "save it as UTF-8"
        )
    return text


def is_unicode(text: str) -> bool:
    """Whether a text can be written at all; Python reads bytes that are not UTF-8 as lone surrogates, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def lines_of(text: str) -> Iterator[str]:
    r"""The lines of a text with their ends, which are \n, \r\n and \r only.

    Unlike `str.splitlines`, which also cuts at form feeds, U+0085, U+2028 and others that names may hold.
    """
    return (match[0] for match in _LINE.finditer(text))
