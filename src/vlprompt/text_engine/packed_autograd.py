"""The pass over packed rows as autograd writes it: the reference for `packed_pass`, and the path for deep prompts.

Same layout, constants and numbers as `PackedPass`; every step is an ordinary differentiable operation, so that what the
written-out pass cannot do is a line here: deeper contexts, which take the place of the context's rows at the input of
layers 2, 3, ... (MaPLe, arXiv 2210.03117, eq. 4), or are mixed with them (TCP, arXiv 2311.18231).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vlprompt.text_engine.blocks import FrozenBlock
from vlprompt.text_engine.packed_pass import PackedPass
from vlprompt.text_engine.tiles import Tiles


class PackedAutograd:
    """Rows of B images in, hidden states of [EOS] out, over the constants of a `PackedPass`; letters as there."""

    def __init__(self, packed: PackedPass, tiles: Tiles, context_length: int) -> None:
        self.packed = packed
        contexts = [(row, source) for row, source in enumerate(tiles.sources) if source and source[0] == "context"]
        places = [number * context_length + m for _, (_, number, m) in contexts]
        self.context_rows = torch.tensor([row for row, _ in contexts], dtype=torch.long, device=packed.device)
        self.context_places = torch.tensor(places, dtype=torch.long, device=packed.device)
        heads = (packed.tiles, packed.heads)
        self.mask, self.end_mask = (mask.unflatten(0, heads) for mask in (packed.mask, packed.end_mask))

    def bytes(self, images: int, keep: bool) -> int:
        """Memory of the activations: those of `PackedPass`, and attention's result in every layer."""
        packed = self.packed
        attended = images * packed.tiles * packed.rows * packed.width * packed.constant.element_size()
        return packed.bytes(images, keep) + attended * (len(packed.blocks) if keep else 1)

    def __call__(
        self, varying: Tensor, deeper: Sequence[Tensor | None] = (), share: float = 1.0, *, recompute: bool = False
    ) -> Tensor:
        """All layers: embeddings of the varying rows (B, V, D) -> hidden states of the distinct [EOS], (B, U, D).

        Args:
            deeper: contexts (b, n, M, D) of layers 2, 3, ..., b 1 or B, without positions; None for a layer without.
            share: of the deeper contexts; the rest of 1 is the hidden states in whose place they come.
            recompute: hold no activations for the backward pass, but run the forward pass again when it comes.
        """
        with torch.autocast(self.packed.device.type, enabled=False):
            if recompute and torch.is_grad_enabled():
                return checkpoint(self._run, share, varying, *deeper, use_reentrant=False)  # type: ignore[no-any-return]
            return self._run(share, varying, *deeper)

    def _run(self, share: float, varying: Tensor, *deeper: Tensor | None) -> Tensor:
        packed, images = self.packed, len(varying)
        hidden = torch.cat([varying, packed.constant.expand(images, -1, -1)], dim=1)
        for layer, block in enumerate(packed.blocks):
            if 0 < layer <= len(deeper) and (context := deeper[layer - 1]) is not None:
                hidden = self._with_context(hidden, context, share)
            projected = self._project(layer, block, hidden)
            keys, values = (self._seen(layer, part, projected[part]) for part in (1, 2))
            if layer == len(packed.blocks) - 1:
                attended = self._attend_ends(projected[0], keys, values)
                return _finish(block, hidden.index_select(1, packed.ends), attended)
            attended = self._attend(self._tiled(projected[0]), keys, values, self.mask)
            hidden = _finish(block, hidden, attended.flatten(1, 2).flatten(2))
        raise AssertionError("a tower has at least one block")

    def _with_context(self, hidden: Tensor, context: Tensor, share: float) -> Tensor:
        """The context's rows, wherever they stand, replaced by another context (b, n, M, D), or by a share of it."""
        vectors = context.flatten(1, 2).index_select(1, self.context_places)
        vectors = vectors.expand(len(hidden), -1, -1).to(hidden.dtype)
        if share != 1:
            vectors = share * vectors + (1 - share) * hidden.index_select(1, self.context_rows)
        return hidden.index_copy(1, self.context_rows, vectors)

    def _project(self, layer: int, block: FrozenBlock, hidden: Tensor) -> Tensor:
        """Queries, keys and values of all rows: (B, T R, D) -> (3, B, T R, H, d)."""
        constant = self.packed.first_projected
        if layer or constant is None:
            return block.queries_keys_values(hidden)
        varying = block.queries_keys_values(hidden[:, : self.packed.varying])
        rest = constant.unflatten(2, (3, block.heads, -1)).movedim(2, 0)
        return torch.cat([varying, rest.expand(-1, len(hidden), -1, -1, -1)], dim=2)

    def _tiled(self, rows: Tensor) -> Tensor:
        """(B, T R, H, d) -> (B, T, H, R, d), a view."""
        return rows.unflatten(1, (self.packed.tiles, self.packed.rows)).transpose(2, 3)

    def _seen(self, layer: int, part: int, rows: Tensor) -> Tensor:
        """Keys (part 1) or values (part 2) of every tile: [SOS], the trunk, leads, own rows: (B, T, H, S, d)."""
        packed, own = self.packed, self._tiled(rows)
        shape = (*own.shape[:3], -1, -1)
        pieces = [packed.before[layer][part - 1].expand(*shape)]
        if packed.trunk:
            pieces.append(own[:, :1, :, : packed.trunk].expand(*shape))
        if packed.leads is not None:
            pieces.append(packed.leads[layer][part - 1].expand(*shape))
        return torch.cat([*pieces, own], dim=3)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H, Q, d) and the keys of every tile -> (B, T, Q, H, d)."""
        images = len(queries)
        queries, keys, values = (some.flatten(0, 1) for some in (queries, keys, values))
        mask = mask.expand(images, -1, -1, -1, -1).flatten(0, 1)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return attended.unflatten(0, (images, -1)).transpose(2, 3)

    def _attend_ends(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention of the distinct [EOS] alone: (B, U, D)."""
        packed = self.packed
        slots = queries.index_select(1, packed.ends).index_select(1, packed.slots)
        slots = slots.unflatten(1, (packed.tiles, packed.slots_per_tile)).transpose(2, 3)
        attended = self._attend(slots, keys, values, self.end_mask).flatten(1, 2).flatten(2)
        return attended.index_select(1, packed.slot_of_end)


def _finish(block: FrozenBlock, hidden: Tensor, attended: Tensor) -> Tensor:
    """Output projection and MLP with their residuals: (B, n, D)."""
    hidden = hidden + F.linear(attended, block.out_weight, block.out_bias)
    normalised, *_ = block.norm_2(hidden)
    slope, rows = block.activation.slope, normalised.to(block.dtype).flatten(0, 1)
    inner = torch.addmm(block.fc_bias, rows, block.fc_forward, alpha=slope)
    active = block.activation.differentiable(inner)
    return hidden + torch.addmm(block.proj_bias, active, block.proj_forward, alpha=1 / slope).view_as(hidden)
