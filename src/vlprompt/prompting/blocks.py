"""One frozen residual attention block, over several segments at once.

x' = x + out(attention(ln_1(x))),  x'' = x' + mlp(ln_2(x')): the norms, projections and MLP act on single tokens, so all
segments are packed into one matrix for them; only attention looks at each segment alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor
from torch.nn import functional as F

from vlprompt.prompting.attention import KeysValues


@dataclass(frozen=True)
class Projected:
    """Queries, keys and values of one segment, (b, n, L, H, d)."""

    queries: Tensor
    keys_values: KeysValues


class FrozenBlock:
    """A block of the text tower, its weights shared with the tower."""

    def __init__(self, block: ResidualAttentionBlock, heads: int) -> None:
        self.block = block
        self.heads = heads
        self.quick_gelu = isinstance(block.mlp.gelu, QuickGELU)

    def queries_keys_values(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., 3, H, d)."""
        attention = self.block.attn
        projected = F.linear(self.block.ln_1(hidden), attention.in_proj_weight, attention.in_proj_bias)
        return projected.unflatten(-1, (3, self.heads, -1))

    def queries_keys_values_of(self, streams: Sequence[Tensor], ready: Sequence[Tensor | None]) -> list[Projected]:
        """For several segments (b, n, L, D); `ready` holds those whose queries, keys and values are known already."""
        waiting = [stream for stream, known in zip(streams, ready, strict=True) if known is None]
        fresh = iter(_unpack(self.queries_keys_values(_pack(waiting)), waiting) if waiting else [])
        everything = [next(fresh) if known is None else known for known in ready]
        return [Projected(q, KeysValues(k, v)) for q, k, v in (qkv.unbind(-3) for qkv in everything)]

    def finish(self, streams: Sequence[Tensor], attended: Sequence[Tensor]) -> list[Tensor]:
        """The rest of the block, from what attention gave: (b, n, L, D) each -> (b, n, L, D) each."""
        images = [output.shape[:1] for output in attended]
        streams = [stream.expand(*b, -1, -1, -1) for stream, b in zip(streams, images, strict=True)]
        block, hidden = self.block, _pack(streams)
        hidden = hidden + block.ls_1(block.attn.out_proj(_pack(attended)))
        hidden = hidden + block.ls_2(self._mlp(block.ln_2(hidden)))
        return _unpack(hidden, streams)

    def _mlp(self, hidden: Tensor) -> Tensor:
        mlp: Any = self.block.mlp
        return mlp.c_proj(mlp.gelu(mlp.c_fc(hidden)))


def _pack(streams: Sequence[Tensor]) -> Tensor:
    """(b, n, L, x) each -> (all rows, x)."""
    if len(streams) == 1:
        return streams[0].flatten(0, 2)
    return torch.cat([stream.flatten(0, 2) for stream in streams])


def _unpack(packed: Tensor, streams: Sequence[Tensor]) -> list[Tensor]:
    """(all rows, ...) -> (b, n, L, ...) each, of the shapes of `streams`."""
    shapes = [stream.shape[:3] for stream in streams]
    parts = packed.split([b * n * length for b, n, length in shapes])
    return [part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True)]
