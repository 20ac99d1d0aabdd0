"""Fingerprints as release 0.1 computed them, so that what it saved still finds its backbone.

That release hashed what torch prints of a model, and torch has changed how it prints norms since. Here stand the texts
that torch 2.8 to 2.14 print of its own layers, so that they can be made again whatever torch prints today.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _MaxPoolNd

if TYPE_CHECKING:
    from vlprompt.backbones.backbone import Backbone

KNOWN = {
    "4800e90c863606cb26c91250232b3ac07ebacfe02bca66720cc4e209ce499c09": (
        "1762c64228be194d4fb3cc86736eab28c2b43adaec958432e6489e08a17306c4",
        "b9855914e216fe1316288fe40a1d1e4d5c0d4d2f51f6f0fb3e3f50fac414eed6",
    ),
}
"""Earlier fingerprints of the bundled model by its present one: as written where norms print a bias, and where not."""


def earlier_fingerprints(backbone: Backbone) -> tuple[str, ...]:
    """What release 0.1 could have called this backbone, under a torch that prints norms with a bias and without."""
    if backbone.fingerprint in KNOWN:
        return KNOWN[backbone.fingerprint]
    return tuple(_earlier(backbone, printed(backbone.model, biases=biases)) for biases in (True, False))


def _earlier(backbone: Backbone, architecture: str) -> str:
    model, text, image = backbone.model, backbone.text, backbone.image
    settings = {
        "preprocessing": {
            "size": image.size,
            "mean": image.mean,
            "std": image.std,
            "interpolation": image.interpolation,
            "resize_mode": image.resize_mode,
            "fill_color": image.fill_color,
        },
        "architecture": architecture,
        "heads": [module.num_heads for module in model.modules() if hasattr(module, "num_heads")],
        "pooling": [text.pooling, text.end_token, str(getattr(model.visual, "pool_type", ""))],
        "context_length": text.context_length,
        "tokenizer": f"{type(backbone.tokenizer).__name__} {getattr(backbone.tokenizer, 'vocab_size', '')}",
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    state = model.state_dict()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def printed(module: nn.Module, *, biases: bool) -> str:
    """A module as torch 2.8 to 2.14 print it.

    Args:
        biases: whether norms say that they have a bias.
    """
    usual = type(module).__repr__ in (nn.Module.__repr__, nn.ModuleList.__repr__)
    if not usual and not type(module).__module__.startswith("torch."):
        return repr(module)
    name, extra = module._get_name(), _extra(module, biases).splitlines()
    children = module._modules.items()
    parts = [(at, "None" if child is None else printed(child, biases=biases)) for at, child in children]
    if isinstance(module, nn.ModuleList):
        extra, lines = [], _counted([text for _, text in parts])
    else:
        lines = [f"({at}): {text}" for at, text in parts]
    if len(extra) == 1 and not lines:
        return f"{name}({extra[0]})"
    inner = [*extra, *(line.replace("\n", "\n  ") for line in lines)]
    between = "\n  "
    return f"{name}(\n  {between.join(inner)}\n)" if inner else f"{name}()"


def _counted(texts: list[str]) -> list[str]:
    """The lines of a list of modules, neighbours that print alike on one."""
    runs: list[tuple[int, int, str]] = []
    for place, text in enumerate(texts):
        if runs and runs[-1][2] == text:
            runs[-1] = (runs[-1][0], place, text)
        else:
            runs.append((place, place, text))
    return [
        f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
        for first, last, text in runs
    ]


def _extra(module: nn.Module, biases: bool) -> str:
    """What stands between the brackets before the children; torch's own layers as they printed then."""
    for kind in type(module).__mro__:
        if kind in _NORMS:
            text, after = _NORMS[kind](module)
            return f"{text}, bias={getattr(module, 'bias', None) is not None}{after}" if biases else f"{text}{after}"
        if kind in _EXTRA:
            return _EXTRA[kind](module)
        if "extra_repr" in vars(kind) and not kind.__module__.startswith("torch."):
            break
    return module.extra_repr()


_NORMS: dict[type, Callable[[Any], tuple[str, str]]] = {
    nn.LayerNorm: lambda m: (f"{m.normalized_shape}, eps={m.eps}, elementwise_affine={m.elementwise_affine}", ""),
    nn.GroupNorm: lambda m: (f"{m.num_groups}, {m.num_channels}, eps={m.eps}, affine={m.affine}", ""),
    _NormBase: lambda m: (
        f"{m.num_features}, eps={m.eps}, momentum={m.momentum}, affine={m.affine}",
        f", track_running_stats={m.track_running_stats}",
    ),
}
"""What norms print before and after the bias."""


def _conv(module: Any) -> str:
    text = f"{module.in_channels}, {module.out_channels}, kernel_size={module.kernel_size}, stride={module.stride}"
    ones, zeros = (1,) * len(module.dilation), (0,) * len(module.output_padding)
    values = {
        "padding": (module.padding, (0,) * len(module.padding)),
        "dilation": (module.dilation, ones),
        "output_padding": (module.output_padding, zeros),
        "groups": (module.groups, 1),
    }
    text += "".join(f", {name}={value}" for name, (value, usual) in values.items() if value != usual)
    text += "" if module.bias is not None else ", bias=False"
    return text if module.padding_mode == "zeros" else f"{text}, padding_mode={module.padding_mode}"


def _embedding(module: Any) -> str:
    text = f"{module.num_embeddings}, {module.embedding_dim}"
    return text if module.padding_idx is None else f"{text}, padding_idx={module.padding_idx}"


_EXTRA: dict[type, Callable[[Any], str]] = {
    nn.Linear: lambda m: f"in_features={m.in_features}, out_features={m.out_features}, bias={m.bias is not None}",
    nn.GELU: lambda m: f"approximate={m.approximate!r}",
    nn.ReLU: lambda m: "inplace=True" if m.inplace else "",
    nn.SiLU: lambda m: "inplace=True" if m.inplace else "",
    nn.Embedding: _embedding,
    _ConvNd: _conv,
    _DropoutNd: lambda m: f"p={m.p}, inplace={m.inplace}",
    nn.AvgPool2d: lambda m: f"kernel_size={m.kernel_size}, stride={m.stride}, padding={m.padding}",
    _MaxPoolNd: lambda m: (
        f"kernel_size={m.kernel_size}, stride={m.stride}, padding={m.padding}, dilation={m.dilation}, "
        f"ceil_mode={m.ceil_mode}"
    ),
}
"""What other layers of torch print."""
