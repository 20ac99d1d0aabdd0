"""How much memory a picture may take."""

from __future__ import annotations

from vlprompt.errors import SettingsError

MAX_PIXELS = 100_000_000
"""The default of `max_pixels`."""

BYTES_A_PIXEL = 8
"""What decoding and converting a picture takes for each pixel, in most formats."""

FILE_BYTES_A_PIXEL = 3
"""How large a file may be; Pillow reads a large piece of text or EXIF twice over."""


def check_max_pixels(max_pixels: object) -> None:
    """Raise SettingsError unless it is a whole number of at least 1."""
    if not isinstance(max_pixels, int) or isinstance(max_pixels, bool) or max_pixels < 1:
        raise SettingsError(f"max_pixels is {max_pixels!r}; it must be a whole number of at least 1.")
