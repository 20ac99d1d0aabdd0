"""Every kind of model on OpenCLIP's list, with random weights: our text features are those of its own encode_text.

A kind is a way to be built: which image encoder, and how text is masked, pooled and tokenised. Fast tests take the
smallest architecture of each kind with few and narrow layers, slow ones take it as it is.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from torch.nn import functional as F

from tests.tiny_models import WordTokenizer
from vlprompt.backbones import Backbone, ImagePreprocessing, freeze
from vlprompt.backbones.listing import parameters_of
from vlprompt.text_engine import PlainEngine, SegmentsEngine, build_prompts, text_engine

CLOSE = 2e-7
"""Of features of length 1, whose rounding is half that."""

ALSO = ("swin_base_patch4_window7_224",)
"""Architectures of kinds that the list has no weights of."""

SMALLER = {
    "convnext": "convnext_atto",
    "swin": "swin_tiny_patch4_window7_224",
    "eva": "eva02_tiny_patch14_224",
    "fastvit": "fastvit_t8",
    "vit": "vit_tiny_patch16_224",
}
"""Image encoders of the same kinds with fewer parameters, for images of 224 pixels."""


def kind_of(architecture: str) -> str:
    config = open_clip.get_model_config(architecture)
    vision, text = config["vision_cfg"], config["text_cfg"]
    image = re.match("[a-z]+", vision.get("timm_model_name") or "")
    parts = [
        image[0] if image else ("ResNet" if isinstance(vision["layers"], list) else "ViT"),
        "not causal" if text.get("no_causal_mask") else "causal",
        f"pooled at {text.get('pool_type', 'argmax')}",
        *(["class token"] if text.get("embed_cls") else []),
        *(["no projection"] if text.get("proj_type") == "none" else []),
        *(["tokenizer of its own"] if text.get("hf_tokenizer_name") else []),
    ]
    return ", ".join(parts)


def smallest_of_each_kind() -> dict[str, str]:
    """Without text towers of the transformers package, which have tests of their own."""
    listed = [*dict.fromkeys(architecture for architecture, _ in open_clip.list_pretrained()), *ALSO]
    own = [name for name in listed if not open_clip.get_model_config(name)["text_cfg"].get("hf_model_name")]
    by_size = sorted(own, key=lambda name: parameters_of(name) or 0, reverse=True)
    return {kind_of(name): name for name in by_size}


KINDS = smallest_of_each_kind()


def tokenizer_for(text: dict[str, Any]) -> Any:
    length = text["context_length"]
    if not text.get("hf_tokenizer_name"):
        return open_clip.SimpleTokenizer(context_length=length)
    if text["hf_tokenizer_name"].startswith("bert"):  # [CLS], and [SEP] replaced by padding
        return WordTokenizer(length, begin=101, end=0, padding=0)
    if text.get("pool_type") == "eos":
        return WordTokenizer(length, begin=0, end=text["eos_id"], padding=3 - text["eos_id"])
    return WordTokenizer(length)


def shrunk(config: dict[str, Any]) -> dict[str, Any]:
    """The same kind with few and narrow layers."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    text |= {"width": 192, "heads": 3, "layers": 2}
    if text.get("hf_tokenizer_name"):
        text["vocab_size"] = WordTokenizer.vocab_size
    if name := vision.get("timm_model_name"):
        image = re.match("[a-z]+", name)
        vision |= {"timm_model_name": SMALLER.get(image[0], name) if image else name, "image_size": 224}
    elif isinstance(vision["layers"], list):
        vision |= {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}
    else:
        vision |= {"layers": 1, "width": 64, "head_width": 32, "image_size": 2 * vision["patch_size"]}
        vision |= {"attn_pooler_heads": 2, "attn_pooler_queries": 8}
    if "multimodal_cfg" in config:
        config["multimodal_cfg"] |= {"width": 64, "heads": 2, "layers": 1, "attn_pooler_heads": 2}
    # SigLIP's image features have the image encoder's width.
    return config | {"embed_dim": 192 if vision.get("timm_proj") == "none" else 512}


def random_backbone(architecture: str, *, small: bool) -> Backbone:
    logging.disable(logging.WARNING)
    config = open_clip.get_model_config(architecture)
    config = shrunk(config) if small else config
    tokenizer = tokenizer_for(config["text_cfg"])
    custom = config.pop("custom_text", False)
    made: Any = CoCa if "multimodal_cfg" in config else (CustomTextCLIP if custom else CLIP)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = made(**config)
    size = model.visual.image_size
    pixels = size[0] if isinstance(size, tuple | list) else size
    image = ImagePreprocessing(pixels, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return freeze(model, name=architecture, preprocessing=image, tokenizer=tokenizer, device=torch.device("cpu"))


def check_text_features(backbone: Backbone) -> None:
    prompts = build_prompts(backbone, ["red fox", "owl", "golden_retriever", "cup of tea"], 4)
    sentences = [f"X X X X {name}." for name in ("red fox", "owl", "golden retriever", "cup of tea")]
    assert torch.equal(prompts.token_ids, backbone.tokenizer(sentences))
    expected = F.normalize(backbone.model.encode_text(prompts.token_ids), dim=-1)
    words = backbone.embed_tokens(prompts.token_ids[:1, prompts.start : prompts.start + 4])[None]
    engines = [PlainEngine(backbone, prompts), text_engine(backbone, prompts)]
    for engine in engines:
        features = F.normalize(engine(words)[0], dim=-1)
        assert float((features - expected).abs().max()) <= CLOSE
    assert isinstance(engines[1], PlainEngine if backbone.text.whole_sequence_only else SegmentsEngine)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shrunk_model_of_each_kind_has_openclips_own_text_features(kind: str) -> None:
    backbone = random_backbone(KINDS[kind], small=True)
    check_text_features(backbone)
    assert bool(backbone.text.whole_sequence_only) == ("not causal" in kind)
    images = torch.zeros(1, 3, backbone.image.size, backbone.image.size)
    assert backbone.encode_images(images).shape == (1, backbone.feature_size)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_model_of_each_kind_has_openclips_own_text_features(kind: str) -> None:
    check_text_features(random_backbone(KINDS[kind], small=False))
