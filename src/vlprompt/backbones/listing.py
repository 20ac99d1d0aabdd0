"""What is known of the listed backbones without building them: what they need, their size, whether they are here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import Any

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from vlprompt.backbones.downloads import cached_file
from vlprompt.errors import BackboneError

MINI = "mini"
EXTRA = "vlprompt[hf]"
PARAMETERS_FILE = "parameters.json"
"""Numbers of parameters by architecture, in the package; `tools/count_parameters.py` writes it."""


@dataclass(frozen=True)
class ListedBackbone:
    """A backbone that `load_backbone` knows by name.

    Attributes:
        needs: what has to be installed besides vlprompt, "" for nothing.
        image_size: height and width in pixels.
        parameters: how many numbers both towers hold; None where only the transformers package knows.
        here: whether its weights are on this machine.
    """

    name: str
    needs: str
    image_size: int
    parameters: int | None
    here: bool


def listed_backbones() -> list[ListedBackbone]:
    """All backbones by name, the bundled one first."""
    config = json.loads((resources.files("vlprompt.backbones") / MINI / "open_clip_config.json").read_text())
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    listed = [ListedBackbone(MINI, "", size, parameters_of(MINI), True)]
    for architecture, tag in open_clip.list_pretrained():
        config = open_clip.get_model_config(architecture)
        listed.append(
            ListedBackbone(
                name=f"{architecture}/{tag}",
                needs=extra_needed(config),
                image_size=_one_number(config["vision_cfg"].get("image_size", 224)),
                parameters=parameters_of(architecture),
                here=cached_file(get_pretrained_cfg(architecture, tag)) is not None,
            )
        )
    return listed


def extra_needed(model_config: Mapping[str, Any]) -> str:
    """The extra that a model's tokenizer or text tower needs, "" for none."""
    text = model_config.get("text_cfg") or {}
    return EXTRA if text.get("hf_model_name") or text.get("hf_tokenizer_name") else ""


def require_extra(name: str, model_config: Mapping[str, Any]) -> None:
    """Raise a `BackboneError` where a model needs the transformers package and it is not installed."""
    if not extra_needed(model_config) or find_spec("transformers") is not None:
        return
    text = model_config["text_cfg"]
    what = "text tower and tokenizer" if text.get("hf_model_name") else "tokenizer"
    raise BackboneError(
        f"backbone {name!r} needs the transformers package for its {what}, which is not installed; "
        f"pip install '{EXTRA}'"
    )


def parameters_of(architecture: str) -> int | None:
    """How many parameters an architecture has, None where it is not counted."""
    return _parameters().get(architecture)


@cache
def _parameters() -> dict[str, int]:
    return json.loads((resources.files("vlprompt.backbones") / PARAMETERS_FILE).read_text(encoding="utf-8"))


def _one_number(size: Any) -> int:
    return int(size[0] if isinstance(size, list | tuple) else size)
