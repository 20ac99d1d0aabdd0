"""The YAML file of --config, looked at before the parser sees it, so that what is wrong with it names the file."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vlprompt.errors import SettingsError


def check_config_files(arguments: Sequence[str]) -> None:
    """Raise SettingsError, in one sentence, when a --config among the arguments is no YAML file of options."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return
        if argument == "--config" and place + 1 < len(arguments):
            _check(arguments[place + 1])
        elif argument.startswith("--config="):
            _check(argument.removeprefix("--config="))


def _check(path: str) -> None:
    import yaml

    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise SettingsError(f"--config {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--config {path} cannot be read: it is not UTF-8 text.") from error
    except (yaml.YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(f"--config {path} is not YAML{line}: {problem or ' '.join(str(error).split())}.") from error
    if content is not None and not isinstance(content, dict):
        raise SettingsError(f"--config {path} must have one `option: value` a line.")
