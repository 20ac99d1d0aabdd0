#!/usr/bin/env python3
"""Write src/vlprompt/backbones/parameters.json: how many parameters each listed architecture has.

Models are made on torch's meta device, which computes shapes and no weights, so that all of them take a minute and no
memory. Text towers of the transformers package are left out: their configuration is on the Hugging Face hub only.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import open_clip
import torch

PACKAGE = Path(__file__).parents[1] / "src" / "vlprompt" / "backbones"


def count_listed() -> dict[str, int]:
    """Parameters by architecture, the bundled model's first."""
    with (PACKAGE / "mini" / "open_clip_config.json").open(encoding="utf-8") as file:
        counts = {"mini": _size(open_clip.model.CLIP(**json.load(file)["model_cfg"]))}
    listed = dict.fromkeys(architecture for architecture, _ in open_clip.list_pretrained())
    return counts | {name: count for name in listed if (count := count_parameters(name))}


def count_parameters(architecture: str) -> int | None:
    """Parameters of both towers; None where the text tower is one of the transformers package."""
    if open_clip.get_model_config(architecture)["text_cfg"].get("hf_model_name"):
        return None
    logging.disable(logging.WARNING)
    with torch.device("meta"):
        return _size(open_clip.create_model(architecture, load_weights=False, device="meta"))


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    path = PACKAGE / "parameters.json"
    path.write_text(json.dumps(count_listed(), indent=1) + "\n", encoding="utf-8")
    print(path)
