"""The YAML file of --config: read once, within bounds, and checked against the options, before the parser sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jsonargparse import set_loader

from vlprompt.cli.kinds import Kind, RefusedValueError, kind_of
from vlprompt.errors import SettingsError, UnknownNameError, quoted
from vlprompt.files import read_bounded
from vlprompt.files.text_files import decoded
from vlprompt.files.yaml_files import MOST_BYTES, yaml_mapping

READ = "vlprompt-read"
"""The parser's mode in which the value of --config is what `with_config_files` puts there, and no file is opened."""

LONGEST = 2000
"""Characters of a text; messages that name a value then stay readable."""

set_loader(READ, lambda text: json.loads(text), exceptions=(ValueError,))


def with_config_files(arguments: Sequence[str], kinds: Callable[[], Mapping[str, Kind | None]]) -> list[str]:
    """The arguments with the content of each --config in the place of its path.

    Args:
        kinds: gives the kind of each of the command's options, as `--shots`; None for one that is only given or not.

    Raises:
        SettingsError: a file is no YAML file of options, in one sentence that names it.
    """
    read = list(arguments)
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--config" and place + 1 < len(arguments):
            read[place + 1] = json.dumps(_checked(arguments[place + 1], kinds()))
        elif argument.startswith("--config="):
            read[place] = "--config=" + json.dumps(_checked(argument.removeprefix("--config="), kinds()))
    return read


def _checked(path: str, kinds: Mapping[str, Kind | None]) -> dict[str, Any]:
    known = {flag: kind for flag, kind in kinds.items() if flag not in ("--help", "--config")}
    options = _options(path)
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if key == "config":
            raise SettingsError(f"--config {path} names another config file; write its options into this one.")
        if flag not in known:
            raise UnknownNameError(f"option (which {path} sets)", flag, known)
        if "-" in key:
            raise SettingsError(f"--config {path} has the key {key}; in YAML it is written {key.replace('-', '_')}.")
        if any(
            isinstance(text, str) and len(text) > LONGEST for text in (value if isinstance(value, list) else [value])
        ):
            raise SettingsError(f"--config {path}: {flag} has a text of more than {LONGEST:,} characters.")
        _refuse_code(path, key, value)
        try:
            (known[flag] or kind_of(bool))(value)
        except RefusedValueError as error:
            raise SettingsError(f"--config {path}: {flag} {error}") from error
    return options


def _refuse_code(path: str, key: str, value: Any) -> None:
    """A method in a file is code; only the person decides to run it, and a config file may be a stranger's."""
    named = [part for part in str(value).split(",") if part.rpartition(":")[0].endswith(".py")]
    if key in ("method", "methods") and named:
        raise SettingsError(
            f"--config {path} names a method in a file, {quoted(named[0].strip())}, which a config file alone never "
            f"has run; name it on the command line, as --{key}."
        )


def _options(path: str) -> dict[str, Any]:
    try:
        text = decoded(read_bounded(os.path.expanduser(path), MOST_BYTES))
    except OSError as error:
        raise SettingsError(f"--config {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SettingsError(f"--config {path} cannot be read as UTF-8 text: {error}.") from error
    return yaml_mapping(text, f"--config {path}", SettingsError)
