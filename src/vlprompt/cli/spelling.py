"""Messages of the library speak of Python's arguments; here they become the command line's options.

An advice such as `on_unreadable="skip"` is an identifier, an equals sign and a value; it becomes `--on-unreadable skip`
where the command line has that option.
"""

from __future__ import annotations

import re

OPTIONS = ("backbone", "class_names", "class_words", "image_root", "max_pixels", "method", "on_unreadable", "screening")
"""Arguments that messages advise to give and that have an option of the same name."""

_ADVICE = re.compile(rf"""\b({"|".join(OPTIONS)})=("[^"\n]*"|'[^'\n]*'|[\w.]+)""")


def as_options(message: str) -> str:
    """The message with arguments spelled as options: `max_pixels=5` -> `--max-pixels 5`."""
    return _ADVICE.sub(lambda found: f"--{found[1].replace('_', '-')} {_bare(found[2])}", message)


def _bare(value: str) -> str:
    bare = value.strip("'\"")
    return bare if re.fullmatch(r"[\w./:-]+", bare) else value
