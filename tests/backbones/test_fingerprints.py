"""A fingerprint follows the weights and whatever changes features, and nothing that a library may print or rename."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transformer import LayerNorm
from torch import nn

from tests.tiny_models import PREPROCESSING, WordTokenizer, tiny_backbone
from vlprompt.backbones import Backbone, freeze, is_fingerprint_of, load_backbone
from vlprompt.backbones.earlier_fingerprints import earlier_fingerprints, printed

MINI = "4800e90c863606cb26c91250232b3ac07ebacfe02bca66720cc4e209ce499c09"
MINI_EARLIER = (
    "1762c64228be194d4fb3cc86736eab28c2b43adaec958432e6489e08a17306c4",
    "b9855914e216fe1316288fe40a1d1e4d5c0d4d2f51f6f0fb3e3f50fac414eed6",
)


def prints_norms_without_bias(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        nn.LayerNorm,
        "extra_repr",
        lambda m: f"{tuple(m.normalized_shape)}, eps={m.eps}, elementwise_affine={m.elementwise_affine}",
    )
    patch.setattr(
        nn.modules.batchnorm._NormBase,
        "extra_repr",
        lambda m: (
            f"{m.num_features}, eps={m.eps}, momentum={m.momentum}, affine={m.affine}, "
            f"track_running_stats={m.track_running_stats}"
        ),
    )


def prints_all_layers_otherwise(patch: pytest.MonkeyPatch) -> None:
    for layer in (nn.LayerNorm, nn.modules.batchnorm._NormBase, nn.Linear, nn.GELU, nn.Conv2d, nn.Embedding, nn.ReLU):
        patch.setattr(layer, "extra_repr", lambda m: "printed in a new way")
    patch.setattr(nn.MultiheadAttention, "__repr__", lambda m: "Attention()", raising=False)


@pytest.mark.parametrize("change", [prints_norms_without_bias, prints_all_layers_otherwise])
def test_what_layers_print_does_not_change_a_fingerprint(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_backbone("mini").fingerprint, tiny_backbone().fingerprint
    printed_before = repr(tiny_backbone().model)
    change(monkeypatch)
    assert repr(tiny_backbone().model) != printed_before
    assert (load_backbone("mini").fingerprint, tiny_backbone().fingerprint) == before


def test_the_bundled_models_fingerprint_is_the_one_that_is_known() -> None:
    backbone = load_backbone("mini")
    assert backbone.fingerprint == MINI
    assert earlier_fingerprints(backbone) == MINI_EARLIER


def frozen(model: nn.Module, **options: Any) -> Backbone:
    chosen = {"preprocessing": PREPROCESSING, "tokenizer": open_clip.SimpleTokenizer(), **options}
    return freeze(model, name="tiny", device=torch.device("cpu"), **chosen)


class RenamedNorm(LayerNorm):
    """A layer as a later library may call it, with an attribute that it did not have."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.fused = True


def test_renamed_layers_and_new_counters_do_not_change_a_fingerprint() -> None:
    before = tiny_backbone()
    model = tiny_backbone().model
    norm = RenamedNorm(128)
    norm.load_state_dict(model.ln_final.state_dict())
    model.ln_final = norm
    model.visual.register_buffer("position_ids", torch.arange(5))
    model.visual.extra = nn.Dropout(0.2)
    assert frozen(model).fingerprint == before.fingerprint


def set_attribute(path: str, name: str, value: Any) -> Callable[[nn.Module], None]:
    return lambda model: setattr(model.get_submodule(path), name, value)


def set_child(path: str, name: str, make: Callable[[], nn.Module]) -> Callable[[nn.Module], None]:
    return lambda model: setattr(model.get_submodule(path), name, make())


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a norm's eps": set_attribute("ln_final", "eps", 1e-6),
    "heads": set_attribute("transformer.resblocks.1.attn", "num_heads", 4),
    "the activation of one layer": set_child("transformer.resblocks.2.mlp", "gelu", open_clip.transformer.QuickGELU),
    "the activation's approximation": set_child("visual.transformer.resblocks.0.mlp", "gelu", lambda: nn.GELU("tanh")),
    "another activation": set_child("visual.transformer.resblocks.0.mlp", "gelu", nn.Mish),
    "a stride": set_attribute("visual.conv1", "stride", (4, 4)),
    "pooling of patches": set_attribute("visual", "pool_type", "avg"),
    "pooling of text": set_attribute("", "text_pool_type", "eos"),
    "the causal mask": lambda model: setattr(model, "attn_mask", None),
    "a weight": lambda model: model.visual.proj.data[0, 0].add_(1e-6),
    "a weight's type": lambda model: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_features_changes_a_fingerprint(change: str) -> None:
    before = tiny_backbone().fingerprint
    model = tiny_backbone().model
    CHANGES[change](model)
    after = frozen(model)
    assert after.fingerprint != before
    assert not is_fingerprint_of(after, before)


@pytest.mark.parametrize(
    "options",
    [
        {"preprocessing": replace(PREPROCESSING, interpolation="bilinear")},
        {"preprocessing": replace(PREPROCESSING, mean=(0.5, 0.5, 0.5))},
        {"tokenizer": WordTokenizer(77)},
        {"tokenizer": open_clip.SimpleTokenizer(clean="canonicalize")},
    ],
)
def test_preprocessing_and_tokenizer_are_part_of_a_fingerprint(options: dict[str, Any]) -> None:
    assert frozen(tiny_backbone().model, **options).fingerprint != tiny_backbone().fingerprint


def as_release_0_1(backbone: Backbone) -> str:
    """The computation as it stood in release 0.1."""
    model, text = backbone.model, backbone.text
    settings = {
        "preprocessing": asdict(backbone.image),
        "architecture": repr(model),
        "heads": [module.num_heads for module in model.modules() if hasattr(module, "num_heads")],
        "pooling": [text.pooling, text.end_token, str(getattr(model.visual, "pool_type", ""))],
        "context_length": text.context_length,
        "tokenizer": f"{type(backbone.tokenizer).__name__} {getattr(backbone.tokenizer, 'vocab_size', '')}",
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@pytest.mark.parametrize("structure", [{}, {"custom_text": True}, {"quick_gelu": True}])
def test_earlier_releases_fingerprints_are_known_whatever_torch_prints_today(
    structure: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tiny_backbone(**structure)
    written = [as_release_0_1(backbone)]
    with pytest.MonkeyPatch.context() as patch:
        prints_norms_without_bias(patch)
        written.append(as_release_0_1(backbone))
    prints_all_layers_otherwise(monkeypatch)
    assert all(is_fingerprint_of(backbone, fingerprint) for fingerprint in written)
    other = tiny_backbone(seed=1, **structure)
    assert not any(is_fingerprint_of(other, fingerprint) for fingerprint in written)


@pytest.mark.parametrize(
    "architecture", ["RN50", "convnext_tiny", "swin_base_patch4_window7_224", "MobileCLIP-S1", "coca_ViT-B-32"]
)
def test_models_print_as_they_did(architecture: str) -> None:
    with torch.device("meta"):
        model = open_clip.create_model(architecture, load_weights=False, device="meta")
    expected = {line for line in repr(model).splitlines() if "Norm" not in line}
    assert {line for line in printed(model, biases=True).splitlines() if "Norm" not in line} == expected
