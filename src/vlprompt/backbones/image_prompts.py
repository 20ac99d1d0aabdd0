"""Tokens of a method's own in the image tower, beside the patches (VPT, arXiv 2203.12119; MaPLe, arXiv 2210.03117).

    [CLS] patches p_1 .. p_T        T tokens behind the patches before the first norm, others in their place before
                                    block 2, 3, ...; below that the tower's own hidden states go on

The tower's own code runs, frozen and with gradients to the tokens, on a shallow copy of the tower that has other
modules where tokens come in: the tower itself never changes, and other threads may use it meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from open_clip.model import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn


def why_no_image_prompts(visual: Any) -> str:
    """Why an image tower takes no tokens beside its patches; empty where it does."""
    if isinstance(visual, ModifiedResNet):
        return "it is a ResNet, which has no tokens"
    if type(visual) is not VisionTransformer:
        return f"it is a {type(visual).__name__}, not one of OpenCLIP's own vision transformers"
    if visual.attn_pool is not None or visual.pool_type != "tok":
        return "it pools over all tokens, and not its class token"
    if not visual.transformer.batch_first or visual.output_tokens:
        return "it gives and takes its tokens in another layout"
    return ""


def image_layers(visual: Any) -> int:
    """How many layers of a tower take tokens."""
    return len(visual.transformer.resblocks)


def image_width(visual: Any) -> int:
    """W, the width of such a token."""
    return int(visual.class_embedding.shape[-1])


def with_image_prompts(visual: Any, layers: Sequence[Tensor]) -> Any:
    """The image tower with tokens beside its patches.

    Args:
        visual: an image tower that takes tokens (see `why_no_image_prompts`).
        layers: tokens (T, W) of the first layer, the second, and so on; layers beyond them keep the hidden states.

    Returns:
        A module from images (B, 3, H, W) to features (B, E).
    """
    tower = copy.copy(visual)
    first, *deeper = layers
    tower._modules = visual._modules | {
        "ln_pre": _Appended(visual.ln_pre, first),
        "transformer": _Replaced(visual.transformer.resblocks, deeper, len(first)),
    }
    return tower


class _Appended(nn.Module):
    """A module that sees T more tokens: (B, L, W) -> (B, L + T, W)."""

    def __init__(self, inner: nn.Module, tokens: Tensor) -> None:
        super().__init__()
        self.inner, self.tokens = inner, tokens

    def forward(self, hidden: Tensor) -> Tensor:
        tokens = self.tokens.to(hidden.dtype).expand(len(hidden), -1, -1)
        return self.inner(torch.cat([hidden, tokens], dim=1))


class _Replaced(nn.Module):
    """A tower's blocks, the last T tokens replaced before some: (B, L, W) -> (B, L, W)."""

    def __init__(self, blocks: Sequence[nn.Module], deeper: Sequence[Tensor], count: int) -> None:
        super().__init__()
        self.blocks, self.deeper, self.count = blocks, deeper, count

    def forward(self, hidden: Tensor) -> Tensor:
        for layer, block in enumerate(self.blocks):
            if 0 < layer <= len(self.deeper):
                tokens = self.deeper[layer - 1].to(hidden.dtype).expand(len(hidden), -1, -1)
                hidden = torch.cat([hidden[:, : -self.count], tokens], dim=1)
            hidden = block(hidden)
        return hidden
