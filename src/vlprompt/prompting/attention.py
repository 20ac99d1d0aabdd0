"""Attention of a segment to itself and to the segments before it, each at its smallest shape.

Shapes: b images (or 1), n classes (or 1), L queries, K keys, H heads, d = D / H.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of a segment in one layer, each (b, n, K, H, d), where b is 1 or B and n is 1 or N."""

    keys: Tensor
    values: Tensor

    def detach(self) -> KeysValues:
        return KeysValues(self.keys.detach(), self.values.detach())


def join(segments: list[KeysValues]) -> KeysValues:
    """Put segments that have no class of their own (n = 1) behind one another."""
    if len(segments) == 1:
        return segments[0]
    images = max(segment.keys.shape[0] for segment in segments)

    def side_by_side(tensors: list[Tensor]) -> Tensor:
        return torch.cat([tensor.expand(images, -1, -1, -1, -1) for tensor in tensors], dim=2)

    return KeysValues(
        side_by_side([segment.keys for segment in segments]), side_by_side([segment.values for segment in segments])
    )


def attend(queries: Tensor, own: KeysValues | None, before: list[KeysValues], causal: bool = True) -> Tensor:
    """softmax(q k^T / sqrt(d)) v over the segments before and the own segment, without broadcast keys or values.

    Args:
        queries: (b, n, L, H, d).
        own: the segment's own keys and values; with `causal`, query l sees own keys 0..l.
        before: of the segments before it, whose sizes b and n are those of the queries or 1 (or the queries' is 1).

    Returns:
        (b, n, L, H d).
    """
    scale = queries.shape[-1] ** -0.5
    sources = [*before, own] if own is not None else before
    scores = [_scores(queries, source.keys) * scale for source in sources]
    if own is not None and causal and queries.shape[2] > 1:
        scores[-1] = scores[-1] + _causal_mask(queries)
    images = max(score.shape[0] for score in scores)
    joined = torch.cat([score.expand(images, -1, -1, -1, -1) for score in scores], dim=-1)
    weights = joined.softmax(-1).split([score.shape[-1] for score in scores], dim=-1)
    mixed = [_mix(weight, source.values) for weight, source in zip(weights, sources, strict=True)]
    return sum(mixed[1:], mixed[0]).flatten(-2)


def _causal_mask(queries: Tensor) -> Tensor:
    """(L, 1, L): -inf where the key comes after the query."""
    length = queries.shape[2]
    return torch.full((length, length), float("-inf"), device=queries.device, dtype=queries.dtype).triu(1)[:, None]


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    """(b, n, L, H, d), (b|1, n|1, K, H, d) -> (b, n, L, H, K)."""
    rows, unfold = _fold(queries, keys)
    columns = keys.flatten(0, 1).permute(0, 2, 3, 1)
    return unfold(rows @ columns)


def _mix(weights: Tensor, values: Tensor) -> Tensor:
    """(b, n, L, H, K), (b|1, n|1, K, H, d) -> (b, n, L, H, d)."""
    rows, unfold = _fold(weights, values)
    return unfold(rows @ values.flatten(0, 1).transpose(1, 2))


def _fold(rows: Tensor, shared: Tensor):  # type: ignore[no-untyped-def]
    """Lay out rows (b, n, L, H, x) so that one matrix product serves all that share keys or values.

    Whatever `shared` does not depend on becomes more rows of the same product instead of a copy of the keys.

    Returns:
        Rows (batch, H, rows, x) and the function that brings a product (batch, H, rows, y) back to (b, n, L, H, y).
    """
    if rows.shape[0] == 1 and shared.shape[0] > 1:
        rows = rows.expand(shared.shape[0], -1, -1, -1, -1)
    b, n, length, heads, _ = rows.shape
    if shared.shape[0] == 1 and b > 1 and shared.shape[1] > 1:
        folded = rows.permute(1, 3, 0, 2, 4).reshape(n, heads, b * length, -1)
        return folded, lambda product: product.view(n, heads, b, length, -1).permute(2, 0, 3, 1, 4)
    batch = 1 if shared.shape[0] == shared.shape[1] == 1 else b if shared.shape[1] == 1 else b * n
    folded = rows.reshape(batch, -1, heads, rows.shape[-1]).transpose(1, 2)
    return folded, lambda product: product.transpose(1, 2).reshape(b, n, length, heads, -1)
