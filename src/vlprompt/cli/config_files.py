"""The YAML file of --config, looked at before the parser sees it, so that what is wrong with it names the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jsonargparse import set_loader

from vlprompt.cli.kinds import Kind, RefusedValueError, kind_of
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.files import read_bounded
from vlprompt.text_files import decoded
from vlprompt.yaml_files import MOST_BYTES, yaml_mapping

YAML = "vlprompt-yaml"
"""The parser's mode in which it reads such files with our reader and its bounds."""

set_loader(YAML, lambda text: yaml_mapping(text, "--config", SettingsError), exceptions=(SettingsError,))


def check_config_files(arguments: Sequence[str], kinds: Callable[[], Mapping[str, Kind | None]]) -> None:
    """Raise SettingsError, in one sentence, when a --config among the arguments is no YAML file of options.

    Args:
        kinds: gives the kind of each of the command's options, as `--shots`; None for one that is only given or not.
    """
    for place, argument in enumerate(arguments):
        if argument == "--":
            return
        if argument == "--config" and place + 1 < len(arguments):
            _check(arguments[place + 1], kinds())
        elif argument.startswith("--config="):
            _check(argument.removeprefix("--config="), kinds())


def _check(path: str, kinds: Mapping[str, Kind | None]) -> None:
    known = {flag: kind for flag, kind in kinds.items() if flag not in ("--help", "--config")}
    for key, value in _options(path).items():
        flag = "--" + key.replace("_", "-")
        if key == "config":
            raise SettingsError(f"--config {path} names another config file; write its options into this one.")
        if flag not in known:
            raise UnknownNameError(f"option (which {path} sets)", flag, known)
        if "-" in key:
            raise SettingsError(f"--config {path} has the key {key}; in YAML it is written {key.replace('-', '_')}.")
        try:
            (known[flag] or kind_of(bool))(value)
        except RefusedValueError as error:
            raise SettingsError(f"--config {path}: {flag} {error}") from error


def _options(path: str) -> dict[str, Any]:
    try:
        text = decoded(read_bounded(os.path.expanduser(path), MOST_BYTES))
    except OSError as error:
        raise SettingsError(f"--config {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SettingsError(f"--config {path} cannot be read as UTF-8 text: {error}.") from error
    return yaml_mapping(text, f"--config {path}", SettingsError)
