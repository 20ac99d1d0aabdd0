"""A tiny backbone in a folder, which worker processes can load, and a tiny data set of coloured pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlprompt.experiments import MethodRun, Plan
from vlprompt.protocols import BASE_TO_NEW

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 60, 220),
    "white": (240, 240, 240),
    "black": (9, 9, 9),
}


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {
        "embed_dim": 32,
        "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.model.CLIP(**config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes, of which three are base, with 3 training and 2 test images each."""
    folder = tmp_path_factory.mktemp("colours")
    chance = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + chance.integers(-40, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture
def plan(backbone_folder: str, pictures: Path) -> Plan:
    """All three methods, a few epochs, two seeds."""
    return Plan(
        BASE_TO_NEW,
        datasets=(pictures,),
        methods=("zero-shot", MethodRun("coop", training={"epochs": 4}), MethodRun("cocoop", training={"epochs": 3})),
        shots=2,
        seeds=(1, 2),
        backbone=backbone_folder,
        device="cpu",
        training={"views": 2},
    )
