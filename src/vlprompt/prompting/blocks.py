"""One frozen residual attention block, in the pieces that the segments path needs.

    x' = x + out(attention(ln_1(x))),    x'' = x' + mlp(ln_2(x'))

All weights are the tower's own and get no gradient; only the way back to the input is computed.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor
from torch.nn import functional as F

QUICK_GELU_SLOPE = 1.702


class FrozenBlock:
    """A block of the text tower. Hidden states are (..., D); H heads of width d = D / H."""

    def __init__(self, block: ResidualAttentionBlock, heads: int) -> None:
        self.block = block
        self.heads = heads

    def queries_keys_values(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., 3, H, d)."""
        attention = self.block.attn
        projected = F.linear(self.block.ln_1(hidden), attention.in_proj_weight, attention.in_proj_bias)
        return projected.unflatten(-1, (3, self.heads, -1))

    def keys_values(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., 2, H, d), for tokens that ask nothing in the last layer."""
        attention, width = self.block.attn, hidden.shape[-1]
        weight, bias = attention.in_proj_weight[width:], attention.in_proj_bias[width:]
        return F.linear(self.block.ln_1(hidden), weight, bias).unflatten(-1, (2, self.heads, -1))

    def queries(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., H, d)."""
        attention, width = self.block.attn, hidden.shape[-1]
        weight, bias = attention.in_proj_weight[:width], attention.in_proj_bias[:width]
        return F.linear(self.block.ln_1(hidden), weight, bias).unflatten(-1, (self.heads, -1))

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block, from what attention gave: (..., D), (..., D) -> (..., D)."""
        block: Any = self.block
        hidden = hidden + block.ls_1(block.attn.out_proj(attended))
        return hidden + block.ls_2(frozen_mlp(block.mlp, block.ln_2(hidden)))


def frozen_mlp(mlp: Any, hidden: Tensor) -> Tensor:
    """c_proj(gelu(c_fc(x))) with only the activation's input kept for the way back: (..., D) -> (..., D)."""
    if torch.is_autocast_enabled(hidden.device.type) or getattr(mlp.gelu, "approximate", "none") != "none":
        return mlp(hidden)
    first, second = mlp.c_fc, mlp.c_proj
    slope = QUICK_GELU_SLOPE if isinstance(mlp.gelu, QuickGELU) else None
    rows = hidden.reshape(-1, hidden.shape[-1])
    output = _FrozenMLP.apply(rows, first.weight, first.bias, second.weight, second.bias, slope)
    return output.view(hidden.shape)


class _FrozenMLP(torch.autograd.Function):
    """W2 a(W1 x + b1) + b2.

    QuickGELU is x sigmoid(c x) = silu(c x) / c with c = 1.702. The factors go into the matrix products, where they cost
    nothing, and cancel on the way back: the Jacobian is W2 diag(silu'(c (W1 x + b1))) W1.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, slope: float | None) -> Tensor:
        if slope is None:
            inner = torch.addmm(b1, rows, w1.T)
            output = torch.addmm(b2, F.gelu(inner), w2.T)
        else:
            inner = torch.addmm(b1 * slope, rows, w1.T, alpha=slope)
            output = torch.addmm(b2, F.silu(inner), w2.T, alpha=1 / slope)
        ctx.through = torch.ops.aten.gelu_backward if slope is None else torch.ops.aten.silu_backward
        ctx.save_for_backward(inner, w1, w2)
        ctx.save_for_forward(inner, w1, w2)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inner, w1, w2 = ctx.saved_tensors
        return ctx.through(gradient @ w2, inner) @ w1, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, *_: None) -> Tensor:
        inner, w1, w2 = ctx.saved_tensors
        return ctx.through(change @ w1.T, inner) @ w2.T
