"""The frozen residual attention blocks of a text tower, as plain weights.

    x' = x + out(attention(ln_1(x))),    x'' = x' + mlp(ln_2(x'))

All weights are the tower's own. `PackedPass` runs them over packed rows, forward and backward; here stands the block
itself, for the tokens that are computed once ([SOS] and names that come before any context).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor
from torch.nn import functional as F

from vlprompt.backbones.text_tower import TextTower

QUICK_GELU_SLOPE = 1.702

PAGE, CACHE_LINE = 4096, 64

WORTH_LAYING_OUT = 1 << 18
"""Numbers in a weight from which its layout shows in a product's time; those of `mini` have a quarter of that."""

KeysValues = Tensor
"""Keys and values of some tokens in one layer, (2, b, L, H, d)."""


class Norm:
    """A frozen LayerNorm over rows (n, D), with its input gradient."""

    def __init__(self, norm: Any) -> None:
        self.shape, self.weight, self.bias, self.eps = list(norm.normalized_shape), norm.weight, norm.bias, norm.eps

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, D) -> normalised (n, D), mean and reciprocal deviation (n, 1)."""
        return torch.native_layer_norm(rows, self.shape, self.weight, self.bias, self.eps)

    def backward(self, gradient: Tensor, rows: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Gradient of the input: (n, D)."""
        mask = [True, False, False]
        return torch.ops.aten.native_layer_norm_backward(
            gradient, rows, self.shape, mean, deviation, self.weight, self.bias, mask
        )[0]


class Activation:
    """The MLP's activation a, as a(x) = shape(slope x) / slope.

    QuickGELU is x sigmoid(c x) = silu(c x) / c with c = 1.702. The factors go into the matrix products around it, where
    they cost nothing.
    """

    def __init__(self, module: Any) -> None:
        self.quick = isinstance(module, QuickGELU)
        self.slope = QUICK_GELU_SLOPE if self.quick else 1.0
        self.approximate = getattr(module, "approximate", "none")

    def __call__(self, scaled: Tensor, out: Tensor) -> Tensor:
        """shape(scaled), written to `out`."""
        if self.quick:
            return torch.ops.aten.silu.out(scaled, out=out)
        return torch.ops.aten.gelu.out(scaled, approximate=self.approximate, out=out)

    def differentiable(self, scaled: Tensor) -> Tensor:
        """shape(scaled), for autograd."""
        return F.silu(scaled) if self.quick else F.gelu(scaled, approximate=self.approximate)

    def backward(self, gradient: Tensor, scaled: Tensor) -> Tensor:
        """shape'(scaled) times the gradient, which is overwritten."""
        if self.quick:
            return torch.ops.aten.silu_backward.grad_input(gradient, scaled, grad_input=gradient)
        return torch.ops.aten.gelu_backward.grad_input(
            gradient, scaled, approximate=self.approximate, grad_input=gradient
        )


class FrozenBlock:
    """One block's weights in the type that its products run in; H heads of width d = D / H.

    Attributes:
        inner_width: F, rows of the MLP's first layer (4 D in CLIP).
        in_weight, in_bias: of queries, keys and values, (3 D, D) and (3 D,).
        out_weight, out_bias: of attention's output, (D, D) and (D,).
        fc_weight, fc_bias: of the MLP's first layer, times the activation's slope in the bias, (F, D) and (F,).
        proj_weight, proj_bias: of its second, (D, F) and (D,).
        in_forward, out_forward, fc_forward, proj_forward: the same weights transposed, as the forward products take
            them: copies on the CPU, see `_rows_of`.
    """

    def __init__(self, block: ResidualAttentionBlock, heads: int, dtype: torch.dtype) -> None:
        layers: Any = block
        attention, mlp = layers.attn, layers.mlp
        self.heads = heads
        self.norm_1, self.norm_2 = Norm(layers.ln_1), Norm(layers.ln_2)
        self.activation = Activation(mlp.gelu)
        self.in_weight, self.in_bias = attention.in_proj_weight.to(dtype), attention.in_proj_bias.to(dtype)
        self.out_weight, self.out_bias = _scaled(attention.out_proj, layers.ls_1, dtype)
        self.fc_weight, self.fc_bias = mlp.c_fc.weight.to(dtype), mlp.c_fc.bias.to(dtype) * self.activation.slope
        self.inner_width = len(self.fc_weight)
        self.proj_weight, self.proj_bias = _scaled(mlp.c_proj, layers.ls_2, dtype)
        self.in_forward, self.out_forward = _rows_of(self.in_weight.T), _rows_of(self.out_weight.T)
        self.fc_forward, self.proj_forward = _rows_of(self.fc_weight.T), _rows_of(self.proj_weight.T)
        self.proj_weight = _rows_of(self.proj_weight)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the products."""
        return self.in_weight.dtype

    def queries_keys_values(self, hidden: Tensor) -> Tensor:
        """(b, L, D) -> (3, b, L, H, d)."""
        normalised, *_ = self.norm_1(hidden)
        projected = F.linear(normalised.to(self.dtype), self.in_weight, self.in_bias)
        return projected.unflatten(-1, (3, self.heads, -1)).movedim(2, 0)

    def __call__(self, hidden: Tensor, before: KeysValues | None, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """The whole block over L tokens that also see P earlier ones.

        Args:
            hidden: (b, L, D).
            before: keys and values of the earlier tokens, or None.
            mask: (b or 1, 1, L, P + L), added to the scores.

        Returns:
            (b, L, D), and the tokens' own keys and values.
        """
        queries, *own = self.queries_keys_values(hidden)
        keys_values = torch.stack(own)
        seen = keys_values
        if before is not None:
            seen = torch.cat([before.expand(-1, len(hidden), -1, -1, -1), keys_values], dim=2)
        queries, keys, values = (some.transpose(1, 2) for some in (queries, *seen))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).transpose(1, 2).flatten(2)
        hidden = hidden + F.linear(attended, self.out_weight, self.out_bias)
        normalised, *_ = self.norm_2(hidden)
        slope = self.activation.slope
        inner = F.linear(normalised.to(self.dtype), slope * self.fc_weight, self.fc_bias)
        inner = self.activation(inner, torch.empty_like(inner))
        return hidden + F.linear(inner, self.proj_weight / slope, self.proj_bias), keys_values


_BLOCKS: WeakKeyDictionary[TextTower, dict[torch.dtype, list[FrozenBlock]]] = WeakKeyDictionary()


def frozen_blocks(tower: TextTower, dtype: torch.dtype) -> list[FrozenBlock]:
    """The tower's blocks with products in one type, made once for all its prompts."""
    made = _BLOCKS.setdefault(tower, {})
    if dtype not in made:
        made[dtype] = [FrozenBlock(block, tower.heads, dtype) for block in tower.blocks]
    return made[dtype]


def _rows_of(matrix: Tensor) -> Tensor:
    """The same matrix laid out for a product that has it on the right, which reads it row by row.

    On the CPU a transposed weight costs a product over 180 rows a sixth of its time, and rows that lie a multiple of
    the page apart another tenth, because they share the cache's places; so rows are contiguous, a little apart.
    """
    if matrix.device.type != "cpu" or matrix.numel() < WORTH_LAYING_OUT:
        return matrix
    matrix = matrix.detach()
    width = matrix.shape[1]
    gap = CACHE_LINE // matrix.element_size() if width * matrix.element_size() % PAGE == 0 else 0
    if not gap and matrix.is_contiguous():
        return matrix
    return matrix.new_empty(len(matrix), width + gap)[:, :width].copy_(matrix)


def _scaled(linear: Any, layer_scale: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer with the LayerScale behind it, which most towers do not have, folded in."""
    weight, bias = linear.weight, linear.bias
    gamma = getattr(layer_scale, "gamma", None)
    if gamma is not None:
        weight, bias = gamma[:, None] * weight, gamma * bias
    return weight.detach().to(dtype), bias.detach().to(dtype)
