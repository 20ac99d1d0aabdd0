"""Random OpenCLIP models, small enough for tests, in every structure that prompts meet."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import canonicalize_text

from vlprompt.backbones import Backbone, ImagePreprocessing, freeze

VISION = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32}
PREPROCESSING = ImagePreprocessing(
    size=32, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)


def tiny_backbone(
    *,
    custom_text: bool = False,
    quick_gelu: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    embed_dim: int = 64,
    text: dict[str, Any] | None = None,
    vision: dict[str, Any] | None = None,
    name: str = "tiny",
    tokenizer: Any = None,
) -> Backbone:
    """A random ViT of 32 px, E = 64, D = 128, three text layers; `text` and `vision` override OpenCLIP's."""
    text_cfg = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 3} | (text or {})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = (CustomTextCLIP if custom_text else CLIP)(
            embed_dim, VISION | (vision or {}), text_cfg, quick_gelu=quick_gelu
        )
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.05 * torch.randn_like(parameter)
        model.logit_scale.data.fill_(4.0)
    return freeze(
        model.to(dtype),
        name=name,
        preprocessing=PREPROCESSING,
        tokenizer=tokenizer or open_clip.SimpleTokenizer(context_length=text_cfg["context_length"]),
        device=torch.device("cpu"),
    )


class WordTokenizer:
    """A tokenizer of the kind that SigLIP has: case and punctuation dropped, a token a word.

    SigLIP begins with no special token, and its token 1 ends and pads; others begin, end and pad otherwise.
    """

    vocab_size = 9100

    def __init__(self, context_length: int, *, begin: int | None = None, end: int = 1, padding: int = 1) -> None:
        self.context_length = context_length
        self.begin = [] if begin is None else [begin]
        self.end, self.padding = end, padding

    def __call__(self, texts: Sequence[str] | str, context_length: int | None = None) -> torch.Tensor:
        length = context_length or self.context_length
        texts = [texts] if isinstance(texts, str) else list(texts)
        ids = torch.full((len(texts), length), self.padding)
        for row, text in zip(ids, texts, strict=True):
            words = canonicalize_text(text).encode("ascii", "ignore").decode().split()
            tokens = [*self.begin, *(110 + zlib.crc32(word.encode()) % 8900 for word in words)][: length - 1]
            row[: len(tokens) + 1] = torch.tensor([*tokens, self.end])
        return ids


def tiny_coca(*, shifted: bool = True, **options: Any) -> Backbone:
    """A random tower in CoCa's structure: causal, with a class token behind the prompt."""
    text = {"embed_cls": True, "context_length": 20} | options.pop("text", {})
    backbone = tiny_backbone(custom_text=True, text=text, name="tiny-coca", **options)
    backbone.model.text.correct_cls_mask = not shifted
    return frozen_again(backbone)


def frozen_again(backbone: Backbone) -> Backbone:
    """A backbone of the same model, whose modules a test has changed."""
    return freeze(
        backbone.model,
        name=backbone.name,
        preprocessing=backbone.image,
        tokenizer=backbone.tokenizer,
        device=backbone.device,
    )


def tiny_siglip(**options: Any) -> Backbone:
    """A random tower in SigLIP's structure: bidirectional, pooled at the last position, projection with a bias."""
    text = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 32}
    return tiny_backbone(custom_text=True, text=text, name="tiny-siglip", **options)
