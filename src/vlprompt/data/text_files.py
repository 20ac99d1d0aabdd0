"""Reading the small text files that users write."""

from __future__ import annotations

from pathlib import Path

from vlprompt.errors import DataError


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Args:
        what: the file is, in words, for the message.

    Raises:
        DataError: there is no such file, or it is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no {what} {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the {what} {path} cannot be read as UTF-8 text: {error}") from error
