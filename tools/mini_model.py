"""mini-CLIP: an OpenCLIP configuration, trained on the few BPE tokens in use and then exported.

While training, the token table holds only the rows that captions use (in the same order, so that
[EOS] keeps the highest number and the tower's pooling finds it). `export` puts them back into the
full vocabulary of 49,408 rows, the others being +-0.02 at random: they have CLIP's scale and take
about one bit a value in a compressed wheel.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

VOCABULARY = 49408
EMBEDDING_SCALE = 0.02
MODEL_CFG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 16, "head_width": 32},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": VOCABULARY,
        "width": 128,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS_CFG: dict[str, Any] = {
    "mean": list(OPENAI_DATASET_MEAN),
    "std": list(OPENAI_DATASET_STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
IMAGE_SIZE = int(MODEL_CFG["vision_cfg"]["image_size"])


class TrainedModel(nn.Module):
    """The OpenCLIP model with a token table of only `tokens` (sorted vocabulary numbers).

    `meeting_points` hold a direction for each thing that pictures and captions of it are both
    drawn to. They shorten the start of training, and are dropped on export.
    """

    def __init__(self, tokens: list[int], things: int) -> None:
        super().__init__()
        text_cfg = {**MODEL_CFG["text_cfg"], "vocab_size": len(tokens)}
        self.clip = open_clip.CLIP(**{**MODEL_CFG, "text_cfg": text_cfg})
        self.number = {token: row for row, token in enumerate(tokens)}
        with torch.no_grad():
            self.clip.token_embedding.weight.copy_(full_table()[tokens])
            self.clip.logit_scale.fill_(math.log(1 / 0.07))
        self.meeting_points = nn.Parameter(0.1 * torch.randn(things, MODEL_CFG["embed_dim"]))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Unit features (B, E) of pixels in 0..1."""
        mean = torch.tensor(OPENAI_DATASET_MEAN)[:, None, None]
        std = torch.tensor(OPENAI_DATASET_STD)[:, None, None]
        normal = ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
        return nn.functional.normalize(self.clip.visual(normal).float(), dim=-1)

    def encode_text(self, sequences: list[list[int]], groups: int = 3) -> Tensor:
        """Unit features (N, E), computed in `groups` of like length to save padding."""
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
        size = -(-len(order) // groups)
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        features = torch.cat([self._encode([sequences[row] for row in part]) for part in parts])
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return features[back]

    def _encode(self, sequences: list[list[int]]) -> Tensor:
        """Only as many positions are computed as the longest needs: the tower is causal."""
        length = max(map(len, sequences))
        rows = [[self.number[token] for token in tokens] for tokens in sequences]
        text = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        clip = self.clip
        x = clip.token_embedding(text) + clip.positional_embedding[:length]
        # On short sequences the plain kernel is several times faster than the fused one.
        with sdpa_kernel(SDPBackend.MATH):
            x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        ends = torch.tensor([len(row) - 1 for row in rows])
        pooled = clip.ln_final(x[torch.arange(len(rows)), ends])
        return nn.functional.normalize((pooled @ clip.text_projection).float(), dim=-1)

    def clamp_scale(self) -> None:
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=math.log(100))


def full_table() -> Tensor:
    """The initial token table (49408, D): +-`EMBEDDING_SCALE`, at random, by a fixed seed."""
    random = torch.Generator().manual_seed(20)
    shape = (VOCABULARY, MODEL_CFG["text_cfg"]["width"])
    sign = torch.randint(2, shape, generator=random, dtype=torch.int8)
    return (sign.half() * 2 - 1).mul(EMBEDDING_SCALE).float()


def export(state: dict[str, Tensor], tokens: list[int], folder: Path) -> None:
    """Write OpenCLIP's two files; `state` is that of `TrainedModel`."""
    prefix = "clip."
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    table = full_table()
    table[tokens] = weights["token_embedding.weight"].float()
    weights["token_embedding.weight"] = table
    half = {
        key: value.half().contiguous() if value.is_floating_point() else value.contiguous()
        for key, value in weights.items()
        if key != "attn_mask"
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    _replace(folder / "open_clip_config.json", json.dumps(config, indent=2).encode() + b"\n")
    partial = folder / "open_clip_model.safetensors.partial"
    save_file(half, partial)
    partial.chmod(0o644)
    os.replace(partial, folder / "open_clip_model.safetensors")


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
