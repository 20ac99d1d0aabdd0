"""A frozen text tower over packed rows, forward and backward, written out by hand.

Frozen weights need no gradient, so backward is forward with the weights transposed. It needs the inputs of the norms,
queries, keys, values, attention weights and the MLP's inner layer, nothing else. Written out, both
directions run in buffers that are kept from step to step and in matrix products that are large and contiguous:

    rows n = B T R    projections and MLPs, each one product over the rows of all images and classes
    tiles B T H       attention, one batched product over tiles and heads, P + K + R keys each

The last layer's queries, output projection and MLP are computed for [EOS] only; in the first, the rows behind all that
hold a context (the tails, where the context is the trunk) are projected once, ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vlprompt.text_engine.blocks import FrozenBlock, KeysValues
from vlprompt.text_engine.tiles import Tiles
from vlprompt.text_engine.workspace import Buffers, Shapes, Workspace, WorkspacePool, bytes_of


class PackedPass:
    """Rows of B images in, hidden states of [EOS] out; layout and constants are those of one group of classes.

    Letters in shapes: B images, T tiles of R rows, C slots for ends in a tile, U distinct ends, V varying rows (the
    first of each image, whose embeddings depend on a context), S = P + K + R keys of a tile, H heads of width d.
    """

    def __init__(
        self,
        blocks: list[FrozenBlock],
        tiles: Tiles,
        *,
        varying: int,
        constant: Tensor,
        before: list[KeysValues],
        leads: list[KeysValues] | None,
    ) -> None:
        """Prepare the constants.

        Args:
            varying: V.
            constant: embeddings of the other rows, (T R - V, D).
            before: per layer keys and values of [SOS], (2, 1, start, H, d).
            leads: per layer keys and values of the leads, (2, T, K, H, d), or None.
        """
        self.blocks, self.varying, self.constant = blocks, varying, constant
        self.device = constant.device
        self.width, self.heads, self.dtype = constant.shape[1], blocks[0].heads, blocks[0].dtype
        self.tiles, self.rows, self.keys = tiles.visible.shape
        self.trunk, self.slots_per_tile = tiles.trunk, tiles.slots.shape[1]
        self.start = before[0].shape[2]
        self.shared, self.own = self.start + self.trunk, self.keys - self.rows
        # Heads come before rows: (2, T, H, keys, d).
        self.before = [some.transpose(2, 3) for some in before]
        self.leads = [some.transpose(2, 3) for some in leads] if leads is not None else None
        self.ends = tiles.ends.to(self.device)
        self.slots, self.slot_of_end = tiles.slots.flatten().to(self.device), tiles.slot_of_end.to(self.device)
        self.mask = self._additive(tiles.visible)
        self.end_mask = self._additive(tiles.visible.flatten(0, 1)[tiles.ends][tiles.slots])
        self.first_projected = None
        if len(constant) and len(blocks) > 1:
            projected = blocks[0].queries_keys_values(constant[None])  # (3, 1, rows, H, d)
            self.first_projected = projected.permute(1, 2, 0, 3, 4).flatten(2)  # (1, rows, 3 D)

    def _additive(self, visible: Tensor) -> Tensor:
        """0 where a key is visible, -inf elsewhere, for every head: (T, Q, S) -> (T H, Q, S)."""
        mask = torch.zeros(visible.shape, dtype=self.dtype).masked_fill(~visible, float("-inf"))
        return mask.to(self.device).repeat_interleave(self.heads, dim=0)

    def shapes(self, images: int, keep: bool) -> Shapes:
        """The buffers of one pass; keep=True saves activations for backward; otherwise layers share buffers."""
        tiles, width = images * self.tiles, self.width
        heads, head_width = tiles * self.heads, self.width // self.heads
        rows, ends, last = tiles * self.rows, images * len(self.ends), len(self.blocks) - 1
        half, full = self.dtype, self.constant.dtype
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "scratch rows": ((rows, width), half),
            "scratch wide": ((rows, max(3 * width, *(block.inner_width for block in self.blocks))), half),
            "scratch scores": ((heads, self.rows, self.keys), half),
            "scratch heads": ((heads, self.rows, head_width), half),
        }
        if keep:
            shapes |= {
                "scratch ends": ((images * self.tiles * self.slots_per_tile, width), half),
                "gradient": ((rows, width), full),
                "gradient of ends": ((ends, width), full),
                "scratch keys": ((2, heads, self.keys, head_width), half),
            }
        for layer, block in enumerate(self.blocks):
            end, name = layer == last, _layer_name(layer, keep)
            queried, remaining = self.slots_per_tile if end else self.rows, ends if end else rows
            place = "end " if end else ""
            shapes |= {
                f"{name} hidden": ((rows, width), full),
                f"{name} keys": ((2, heads, self.keys, head_width), half),
                f"{name} {place}queries": ((heads, queried, head_width), half),
                f"{name} {place}weights": ((heads, queried, self.keys), half),
                f"{name} {place}attended": ((remaining, width), full),
                f"{name} {place}inner": ((remaining, block.inner_width), half),
            }
            if end:
                shapes |= {f"{name} end hidden": ((ends, width), full), f"{name} end result": ((ends, width), full)}
        return shapes

    def bytes(self, images: int, keep: bool) -> int:
        """Memory of the buffers."""
        return bytes_of(self.shapes(images, keep))

    def __call__(self, varying: Tensor, pool: WorkspacePool, *, recompute: bool) -> Tensor:
        """All layers: embeddings of the varying rows (B, V, D) -> hidden states of the distinct [EOS], (B, U, D).

        Args:
            recompute: save no activations, and run forward again in backward.
        """
        keep = torch.is_grad_enabled() and varying.requires_grad and not recompute
        return _Differentiable.apply(varying, self, pool, keep)

    def buffers(self, workspace: Workspace, images: int, keep: bool) -> Buffers:
        return workspace.buffers((id(self), images, keep), lambda: self.shapes(images, keep))

    # -------------------------------------------------------------------------------------------------- forward

    def forward(self, varying: Tensor, held: Buffers, keep: bool) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Fill the buffers; returns the result (B U, D), which is one of them, and the norms' means and deviations."""
        images, count = len(varying), len(self.blocks)
        hidden = held[f"{_layer_name(0, keep)} hidden"]
        per_image = hidden.view(images, -1, self.width)
        per_image[:, : self.varying].copy_(varying)
        per_image[:, self.varying :].copy_(self.constant)
        statistics = []
        for layer, block in enumerate(self.blocks[:-1]):
            name = _layer_name(layer, keep)
            projected = self._projected(held, images, 3)
            statistics.append(self._project(layer, block, held[f"{name} hidden"], projected, images))
            self._tile(layer, projected, held[f"{name} queries"], held[f"{name} keys"], images)
            attended = self._attend(held, name, "", self.mask, images)
            result = held[f"{_layer_name(layer + 1, keep)} hidden"]
            statistics[-1] += self._finish(block, held, name, "", attended, held[f"{name} hidden"], result)
        return self._last(count - 1, held, _layer_name(count - 1, keep), images, statistics), statistics

    def _project(
        self, layer: int, block: FrozenBlock, hidden: Tensor, projected: Tensor, images: int
    ) -> tuple[Tensor, ...]:
        """Queries, keys and values of all rows into `projected` (n, 3 D); returns ln_1's statistics."""
        if layer or self.first_projected is None:
            normalised, *statistics = block.norm_1(hidden)
            torch.addmm(block.in_bias, normalised.to(self.dtype), block.in_forward, out=projected)
            return tuple(statistics)
        varying = hidden.view(images, -1, self.width)[:, : self.varying]
        normalised, *statistics = block.norm_1(varying.reshape(-1, self.width))
        per_image = projected.view(images, -1, 3 * self.width)
        some = torch.addmm(block.in_bias, normalised.to(self.dtype), block.in_forward)
        per_image[:, : self.varying].copy_(some.view(images, -1, 3 * self.width))
        per_image[:, self.varying :].copy_(self.first_projected)
        return tuple(statistics)

    def _tile(self, layer: int, projected: Tensor, queries: Tensor, keys: Tensor, images: int) -> None:
        """Rows (n, 3 D) or (n, 2 D) -> queries (B T H, R, d) and keys and values (2, B T H, S, d) of every tile."""
        parts = projected.view(images, self.tiles, self.rows, -1, self.heads, self.width // self.heads)
        parts = parts.permute(3, 0, 1, 4, 2, 5)  # (3 or 2, B, T, H, R, d)
        if len(parts) == 3:
            queries.view(parts.shape[1:]).copy_(parts[0])
        seen = keys.view(2, images, self.tiles, self.heads, self.keys, -1)
        seen[..., self.own :, :].copy_(parts[-2:])
        seen[..., : self.start, :].copy_(self.before[layer][:, None])
        if self.trunk:
            seen[..., self.start : self.shared, :].copy_(parts[-2:, :, :1, :, : self.trunk])
        if self.leads is not None:
            seen[..., self.shared : self.own, :].copy_(self.leads[layer][:, None])

    def _attend(self, held: Buffers, name: str, place: str, mask: Tensor, images: int) -> Tensor:
        """softmax(q k^T / sqrt(d) + mask) v of every tile: a view of scratch, (B, T, Q, H, d)."""
        queries, weights = held[f"{name} {place}queries"], held[f"{name} {place}weights"]
        keys, values = held[f"{name} keys"]
        scores = _part(held["scratch scores"], weights.shape)
        scores.view(images, *mask.shape).copy_(mask)
        scores.baddbmm_(queries, keys.transpose(1, 2), alpha=queries.shape[2] ** -0.5)
        torch.ops.aten._softmax.out(scores, -1, False, out=weights)
        result = _part(held["scratch heads"], queries.shape)
        torch.bmm(weights, values, out=result)
        return self._by_rows(result, images)

    def _projected(self, held: Buffers, images: int, parts: int) -> Tensor:
        """Room in scratch for queries, keys and values of all rows, or keys and values only: (n, 3 D) or (n, 2 D)."""
        return _part(held["scratch wide"], (images * self.tiles * self.rows, parts * self.width))

    def _by_rows(self, heads: Tensor, images: int) -> Tensor:
        """(B T H, Q, d) -> (B, T, Q, H, d), a view."""
        return heads.view(images, self.tiles, self.heads, *heads.shape[1:]).transpose(2, 3)

    def _finish(
        self, block: FrozenBlock, held: Buffers, name: str, place: str, attended: Tensor, hidden: Tensor, result: Tensor
    ) -> tuple[Tensor, ...]:
        """Output projection and MLP with their residuals; returns ln_2's statistics."""
        between, inner = held[f"{name} {place}attended"], held[f"{name} {place}inner"]
        if place:
            rows = attended.reshape(-1, self.width).view(len(hidden) // len(self.ends), -1, self.width)
            rows = rows.index_select(1, self.slot_of_end).view(-1, self.width)
        else:
            rows = held["scratch rows"]
            rows.view(attended.shape).copy_(attended)
        _add_product(hidden, rows, block.out_forward, block.out_bias, between)
        normalised, *statistics = block.norm_2(between)
        slope = block.activation.slope
        torch.addmm(block.fc_bias, normalised.to(self.dtype), block.fc_forward, alpha=slope, out=inner)
        active = _part(held["scratch wide"], inner.shape)
        block.activation(inner, active)
        _add_product(between, active, block.proj_forward, block.proj_bias, result, alpha=1 / slope)
        return tuple(statistics)

    def _last(self, layer: int, held: Buffers, name: str, images: int, statistics: list[tuple[Tensor, ...]]) -> Tensor:
        """The last layer: keys and values of all rows, the rest for [EOS] only."""
        block, hidden, width = self.blocks[-1], held[f"{name} hidden"], self.width
        normalised, *first = block.norm_1(hidden)
        normalised = normalised.to(self.dtype)
        projected = self._projected(held, images, 2)
        torch.addmm(block.in_bias[width:], normalised, block.in_forward[:, width:], out=projected)
        self._tile(layer, projected, held[f"{name} end queries"], held[f"{name} keys"], images)
        ends = normalised.view(images, -1, width).index_select(1, self.ends).view(-1, width)
        queries = torch.addmm(block.in_bias[:width], ends, block.in_forward[:, :width])
        self._to_slots(queries, held[f"{name} end queries"], images)
        attended = self._attend(held, name, "end ", self.end_mask, images)
        end_hidden, result = held[f"{name} end hidden"], held[f"{name} end result"]
        torch.index_select(
            hidden.view(images, -1, width), 1, self.ends, out=end_hidden.view(images, len(self.ends), width)
        )
        statistics.append((*first, *self._finish(block, held, name, "end ", attended, end_hidden, result)))
        return result

    def _to_slots(self, ends: Tensor, heads: Tensor, images: int) -> None:
        """Rows of the distinct ends (B U, D) -> each tile's slots (B T H, C, d)."""
        slots = ends.view(images, -1, self.width).index_select(1, self.slots)
        slots = slots.view(images, self.tiles, self.slots_per_tile, self.heads, -1).transpose(2, 3)
        heads.view(slots.shape).copy_(slots)

    # ------------------------------------------------------------------------------------------------- backward

    def backward(self, result: Tensor, held: Buffers, statistics: list[tuple[Tensor, ...]]) -> Tensor:
        """Gradient of the result (B, U, D) -> gradient of the varying rows' embeddings, (B, V, D)."""
        images, gradient = len(result), held["gradient"]
        self._last_backward(result, held, images, statistics[-1])
        for layer in reversed(range(len(self.blocks) - 1)):
            block, name = self.blocks[layer], _layer_name(layer, True)
            mean_1, deviation_1, *second = statistics[layer]
            rows = held["scratch rows"]
            self._finish_backward(block, held, name, "", gradient, rows, second)
            heads = held["scratch heads"]
            by_rows = self._by_rows(heads, images)
            by_rows.copy_(rows.view(by_rows.shape))
            projected = self._projected(held, images, 3)
            self._attend_backward(held, name, "", heads, projected, images)
            hidden = held[f"{name} hidden"]
            if layer or self.first_projected is None:
                torch.mm(projected, block.in_weight, out=rows)
                gradient += block.norm_1.backward(rows.to(hidden.dtype), hidden, mean_1, deviation_1)
                continue
            return self._first_backward(block, hidden, gradient, projected, images, mean_1, deviation_1)
        return gradient.view(images, -1, self.width)[:, : self.varying].clone()

    def _first_backward(
        self,
        block: FrozenBlock,
        hidden: Tensor,
        gradient: Tensor,
        projected: Tensor,
        images: int,
        mean: Tensor,
        deviation: Tensor,
    ) -> Tensor:
        """The first layer's projections, of the varying rows alone: (B, V, D)."""
        some = [rows.view(images, len(rows) // images, -1)[:, : self.varying] for rows in (hidden, gradient, projected)]
        varying, through, of_projected = (rows.reshape(images * self.varying, -1) for rows in some)
        back = torch.mm(of_projected, block.in_weight).to(varying.dtype)
        back = block.norm_1.backward(back, varying, mean, deviation)
        return (through + back).view(images, self.varying, self.width)

    def _finish_backward(
        self,
        block: FrozenBlock,
        held: Buffers,
        name: str,
        place: str,
        gradient: Tensor,
        rows: Tensor,
        second: list[Tensor],
    ) -> None:
        """Through MLP and output projection: adds to `gradient` what the MLP brings, writes attention's to `rows`."""
        between, inner = held[f"{name} {place}attended"], held[f"{name} {place}inner"]
        wide = _part(held["scratch wide"], inner.shape)
        torch.mm(gradient.to(self.dtype), block.proj_weight, out=wide)
        block.activation.backward(wide, inner)
        torch.mm(wide, block.fc_weight, out=rows)
        gradient += block.norm_2.backward(rows.to(gradient.dtype), between, *second)
        torch.mm(gradient.to(self.dtype), block.out_weight, out=rows)

    def _attend_backward(
        self, held: Buffers, name: str, place: str, heads: Tensor, projected: Tensor, images: int
    ) -> None:
        """Gradient of attention's output, (B T H, Q, d) and overwritten -> of the projected rows, (n, 3 D) or (n, 2 D).

        With [EOS] queries only (`place`), their gradient is left in `heads`.
        """
        queries, weights = held[f"{name} {place}queries"], held[f"{name} {place}weights"]
        keys, values = held[f"{name} keys"]
        of_keys, of_values = held["scratch keys"]
        scale = queries.shape[2] ** -0.5
        torch.bmm(weights.transpose(1, 2), heads, out=of_values)
        scores = _part(held["scratch scores"], weights.shape)
        torch.bmm(heads, values.transpose(1, 2), out=scores)
        torch.ops.aten._softmax_backward_data.out(scores, weights, -1, weights.dtype, grad_input=scores)
        torch.baddbmm(of_keys, scores.transpose(1, 2), queries, beta=0, alpha=scale, out=of_keys)
        torch.baddbmm(heads, scores, keys, beta=0, alpha=scale, out=heads)
        parts = projected.view(images, self.tiles, self.rows, -1, self.heads, self.width // self.heads)
        parts = parts.permute(3, 0, 1, 4, 2, 5)  # (3 or 2, B, T, H, R, d)
        if not place:
            parts[0].copy_(heads.view(parts.shape[1:]))
        seen = held["scratch keys"].view(2, images, self.tiles, self.heads, self.keys, -1)
        parts[-2:].copy_(seen[..., self.own :, :])
        if self.trunk:
            parts[-2:, :, 0, :, : self.trunk] += seen[..., self.start : self.shared, :].sum(2)

    def _last_backward(self, result: Tensor, held: Buffers, images: int, statistics: tuple[Tensor, ...]) -> None:
        """From [EOS] of the last layer to all rows that enter it, into the gradient buffer."""
        block, name, width = self.blocks[-1], _layer_name(len(self.blocks) - 1, True), self.width
        mean, deviation, *second = statistics
        of_ends, rows = held["gradient of ends"], held["scratch rows"]
        of_ends.view(result.shape).copy_(result)
        end_rows = torch.empty(len(of_ends), width, dtype=self.dtype, device=self.device)
        self._finish_backward(block, held, name, "end ", of_ends, end_rows, second)
        slots = held["scratch ends"].zero_()
        slots.view(images, -1, width).index_copy_(1, self.slot_of_end, end_rows.view(images, -1, width))
        queries = held[f"{name} end queries"]
        heads = _part(held["scratch heads"], queries.shape)
        by_rows = self._by_rows(heads, images)
        by_rows.copy_(slots.view(by_rows.shape))
        projected = self._projected(held, images, 2)
        self._attend_backward(held, name, "end ", heads, projected, images)
        slots.view(by_rows.shape).copy_(by_rows)
        of_queries = slots.view(images, -1, width).index_select(1, self.slot_of_end).view(-1, width)
        torch.mm(projected, block.in_weight[width:], out=rows)
        rows.view(images, -1, width).index_add_(
            1, self.ends, torch.mm(of_queries, block.in_weight[:width]).view(images, -1, width)
        )
        hidden, gradient = held[f"{name} hidden"], held["gradient"]
        gradient.copy_(block.norm_1.backward(rows.to(hidden.dtype), hidden, mean, deviation))
        gradient.view(images, -1, width).index_add_(1, self.ends, of_ends.view(images, -1, width))


class _Differentiable(torch.autograd.Function):
    """`PackedPass` for autograd: (B, V, D) -> (B, U, D)."""

    @staticmethod
    def forward(ctx: Any, varying: Tensor, packed: PackedPass, pool: WorkspacePool, keep: bool) -> Tensor:
        workspace = pool.take()
        held = packed.buffers(workspace, len(varying), keep)
        with torch.autocast(packed.device.type, enabled=False):
            result, statistics = packed.forward(varying, held, keep)
        ctx.packed, ctx.pool = packed, pool
        ctx.save_for_backward(varying)
        ctx.kept = (workspace, statistics) if keep else None
        result = result.view(len(varying), -1, packed.width).clone()
        if not keep:
            pool.give_back(workspace)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, result: Tensor) -> Any:
        packed, pool = ctx.packed, ctx.pool
        (varying,) = ctx.saved_tensors
        # A second backward over the same graph finds no saved activations, and runs forward again.
        kept, ctx.kept = ctx.kept, None
        workspace = kept[0] if kept else pool.take()
        held = packed.buffers(workspace, len(varying), True)
        with torch.autocast(packed.device.type, enabled=False):
            statistics = kept[1] if kept else packed.forward(varying, held, True)[1]
            gradient = packed.backward(result, held, statistics)
        pool.give_back(workspace)
        return gradient, None, None, None


def _layer_name(layer: int, keep: bool) -> str:
    """The prefix of a layer's buffers; layers that need not be kept share the first one's."""
    return f"layer {layer if keep else 0}"


def _part(buffer: Tensor, shape: Sequence[int]) -> Tensor:
    """The beginning of a buffer, contiguous in another shape."""
    return buffer.view(-1)[: math.prod(shape)].view(shape)


def _add_product(hidden: Tensor, rows: Tensor, weight: Tensor, bias: Tensor, out: Tensor, alpha: float = 1.0) -> None:
    """out = hidden + alpha rows weight + bias, the residual in its own type."""
    if weight.dtype == hidden.dtype:
        torch.add(hidden, bias, out=out)
        out.addmm_(rows, weight, alpha=alpha)
    else:
        torch.add(hidden, torch.addmm(bias, rows, weight, alpha=alpha), out=out)
