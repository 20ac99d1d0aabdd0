"""Other attention in the blocks of a frozen tower, for methods that change its projections (LoRA, arXiv 2106.09685).

The tower's own code runs on shallow copies that have other attention modules in their blocks: the tower itself never
changes, and other threads may use it meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from open_clip.transformer import ResidualAttentionBlock
from torch import nn


def attention_of(tower: Any) -> list[nn.MultiheadAttention]:
    """The attention modules of a tower's blocks, first to last; none where it has another structure.

    Args:
        tower: a module with blocks in `transformer.resblocks`: an image tower, a text tower, or a model with OpenAI's
            layout, which has the text tower's pieces itself.
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", ())
    found = [block.attn for block in blocks if type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv")]
    plain = all(one.in_proj_weight is not None and one.bias_k is None and one.batch_first for one in found)
    return found if plain and len(found) == len(blocks) else []


def with_attention(tower: Any, attention: Sequence[nn.Module]) -> Any:
    """A shallow copy of a tower with other attention modules in its blocks.

    Args:
        attention: one a block, each called as `nn.MultiheadAttention` is.
    """
    blocks = [
        _with_modules(block, attn=other) for block, other in zip(tower.transformer.resblocks, attention, strict=True)
    ]
    return _with_modules(tower, transformer=_with_modules(tower.transformer, resblocks=nn.ModuleList(blocks)))


def with_tower(model: Any, which: str, attention: Sequence[nn.Module]) -> Any:
    """A shallow copy of a model with other attention modules in its "image" or "text" tower."""
    if which == "image":
        return _with_modules(model, visual=with_attention(model.visual, attention))
    if hasattr(model, "text"):
        return _with_modules(model, text=with_attention(model.text, attention))
    return with_attention(model, attention)


def _with_modules(module: Any, **others: nn.Module) -> Any:
    """A shallow copy of a module with other ones in place of some of its own."""
    made = copy.copy(module)
    made._modules = module._modules | others
    return made
