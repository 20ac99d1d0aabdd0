"""Which frozen model this is: a SHA-256 of its weights and of what else determines its features.

Saved models, cached features and results name their backbone by it, so it must outlive upgrades. Of the architecture
it hashes a description of our own: settings that change features, read from the layers by name (a norm's eps, a
convolution's stride, heads, activations, pooling), and nothing that a library may print, rename or add without changing
a feature. Fingerprints of earlier releases hashed what torch prints; `is_fingerprint_of` still knows those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vlprompt.backbones.earlier_fingerprints import earlier_fingerprints

if TYPE_CHECKING:
    from vlprompt.backbones.backbone import Backbone, ImagePreprocessing
    from vlprompt.backbones.text_tower import TextTower

VERSION = 2

PROBE = "a photo of 2 red foxes on the C++ book."
"""What a tokenizer makes of it tells tokenizers apart, whatever their classes are called."""

_LAYER_SETTINGS = (
    *("eps", "negative_slope", "stride", "padding", "dilation", "groups", "kernel_size", "ceil_mode"),
    "count_include_pad",
)
"""Attributes of single layers that change features and that no weight shows."""

_BLOCK_SETTINGS = (
    *("num_heads", "heads", "pool_type", "attn_pool_type", "final_ln_after_pool", "global_pool", "num_prefix_tokens"),
    *("no_embed_class", "window_size", "shift_size", "temperature", "feat_shape", "ref_feat_shape", "in_pixels"),
    *("max_res", "grid_indexing", "grid_offset", "rotate_half", "linear_bands"),
)
"""The same of layers and of what is made of layers."""

_CONFIGURED = (
    *("model_type", "hidden_act", "dense_act_fn", "feed_forward_proj", "activation_function", "pad_token_id"),
    *("num_attention_heads", "encoder_attention_heads", "num_heads", "layer_norm_eps", "layer_norm_epsilon"),
    *("position_embedding_type", "relative_attention_num_buckets", "relative_attention_max_distance"),
    *("scale_embedding", "max_position_embeddings"),
)
"""The same for text towers of the transformers package, whose layers are described by their configuration."""

_WITHOUT_EFFECT = ("identity", "drop", "flatten", "sequential", "modulelist", "format")
"""Parts of the class names of layers that do nothing to features in evaluation."""

_ALIASES = {"quickgelu": "quick gelu", "gelutanh": "gelu tanh", "swish": "silu"}


def fingerprint_of(
    model: nn.Module, preprocessing: ImagePreprocessing, text: TextTower, tokenizer: Callable[..., Tensor]
) -> str:
    """64 hexadecimal digits that are equal for models with equal features."""
    return _hashed(description_of(model, preprocessing, text, tokenizer), _floating(model.state_dict()))


def is_fingerprint_of(backbone: Backbone, fingerprint: str) -> bool:
    """Whether a fingerprint, which this release or an earlier one wrote, is that of a backbone."""
    return fingerprint == backbone.fingerprint or fingerprint in earlier_fingerprints(backbone)


def description_of(
    model: Any, preprocessing: ImagePreprocessing, text: TextTower, tokenizer: Callable[..., Tensor]
) -> dict[str, Any]:
    """What determines the features apart from the weights, as plain values."""
    image = preprocessing
    return {
        "version": VERSION,
        "image": {
            "size": image.size,
            "mean": list(image.mean),
            "std": list(image.std),
            "interpolation": image.interpolation,
            "resize": image.resize_mode,
            "fill": image.fill_color,
        },
        "text": {
            "context length": text.context_length,
            "pooling": f"id {text.end_token}" if text.pooling == "eos" else text.pooling,
            "masks": text.masks,
        },
        "tokens": [int(token) for token in tokenizer([PROBE])[0]],
        "layers": sorted(set(_layers(model))),
    }


def _layers(model: nn.Module) -> Iterator[str]:
    """One line for each layer that has settings: the path of the weights that it belongs to, kind and settings."""
    skipped: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if skipped and path.startswith(skipped):
            continue
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "to_dict"):
            skipped += (f"{path}.transformer.",)
            yield f"{path}: {_words(config.to_dict(), _CONFIGURED)}"
        alone = not any(True for _ in module.children())
        words = _words(vars(module), (*_LAYER_SETTINGS, *_BLOCK_SETTINGS) if alone else _BLOCK_SETTINGS)
        if any(True for _ in module.parameters()):
            if words:
                yield f"{path}: {words}"
        elif alone and (kind := _kind(module, words)):
            yield f"{_owner(model, path)}: {kind}{' ' if words else ''}{words}"


def _kind(module: nn.Module, words: str) -> str:
    """What a layer without weights is, "" where it has no effect."""
    name = type(module).__name__.lower().replace("_", "")
    if any(part in name for part in _WITHOUT_EFFECT) or ("pool" in name and not words):
        return ""
    kind = _ALIASES.get(name, name)
    return "gelu tanh" if kind == "gelu" and getattr(module, "approximate", "none") == "tanh" else kind


def _owner(model: nn.Module, path: str) -> str:
    """The nearest module around a layer that has weights; their names outlive those of activations."""
    while path and not any(True for _ in model.get_submodule(path).parameters()):
        path = path.rpartition(".")[0]
    return path


def _words(values: Mapping[str, Any], names: Iterable[str]) -> str:
    plain = {name: _plain(values.get(name)) for name in names}
    return json.dumps({name: value for name, value in plain.items() if value is not None}, sort_keys=True).strip("{}")


def _plain(value: Any) -> Any:
    """A setting as JSON, (3, 3) as 3; None where it is no plain value."""
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        if not items or None in items:
            return None
        return items[0] if all(item == items[0] for item in items) else items
    return value if isinstance(value, bool | int | float | str) else None


def _floating(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights; whole numbers among them are counters and index tables, which libraries keep or leave out."""
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def _hashed(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description, and names, shapes, types and bytes of all tensors."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        kind = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name} {list(tensor.shape)} {kind}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
