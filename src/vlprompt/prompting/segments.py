"""The segments path: each part of a prompt at its smallest shape, nothing after [EOS].

CLIP's text tower is causal: a token's hidden state depends on the tokens at and before it. So of the prompts
[SOS] v_1(x) ... v_M(x) name_i . [EOS] of B images and N classes

    [SOS]              depends on nothing          computed once, ever          1
    v_1 ... v_M        depends on the image        the trunk, once an image     B x M
    name . [EOS]       depends on both             the tails, packed            B x (tokens of all names)

and the tower runs over the packed rows layer by layer: norms, projections and MLP see one matrix of real tokens, and a
mask lets each tail attend to [SOS], the trunk and itself. Where the name comes first it is a lead, which depends on the
class only: computed once, ever. In the last layer only [EOS] needs a query, an output projection and an MLP. The
numbers are those of the plain path, gradients included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vlprompt.backbones import Backbone
from vlprompt.prompting.blocks import FrozenBlock
from vlprompt.prompting.prompts import Prompts
from vlprompt.prompting.tiles import Tail, Tiles, pack

KeysValues = Tensor
"""Keys and values of some tokens in one layer, (b, tokens, 2, H, d)."""

TILE_ROWS = 128
"""Rows that attend together. Smaller tiles waste less on masked pairs, larger ones need fewer calls; 64 to 192 measure
alike from mini to ViT-B/16."""


@dataclass(frozen=True, eq=False)
class _TileRange:
    """Some of the tiles, with what attention needs for them.

    Attributes:
        first_layer: constant queries, keys and values of the rows in the first layer, (1, T R, 3, H, d), or None.
        leads: per layer keys and values of the leads, (1, T K, 2, H, d), or None where no name comes first.
        rows: (T R) indices into [context vectors of all classes, tokens], or None where tails hold no context.
        constant: (1, T R, D) embeddings of tails that hold no context, else their positions alone.
        mask: (T, 1, R, P + K + R) added to the scores; P counts [SOS] and trunk.
        end_mask: (T, 1, C, P + K + R), the rows of the mask that belong to [EOS].
        ends: (T C) rows of [EOS].
    """

    tiles: int
    first_layer: Tensor | None
    leads: list[KeysValues] | None
    rows: Tensor | None
    constant: Tensor
    mask: Tensor
    end_mask: Tensor
    ends: Tensor


class SegmentsEngine:
    """Text features of prompts, computed in segments; same interface and numbers as `PlainEngine`."""

    def __init__(
        self,
        backbone: Backbone,
        prompts: Prompts,
        *,
        class_specific: bool = False,
        rows_at_once: int | None = None,
        tile_rows: int = TILE_ROWS,
    ) -> None:
        """Lay the prompts out and compute what no context can change.

        Args:
            class_specific: whether contexts will differ between classes (n = N).
            rows_at_once: how many (image, token) rows to keep activations for; beyond it the work is split over images
                and tiles and recomputed in the backward pass. None: no limit.
            tile_rows: rows that attend together.
        """
        tower = backbone.text
        self.autocast = backbone.autocast
        self.device = backbone.device
        self.rows_at_once = rows_at_once
        self.blocks = [FrozenBlock(block, tower.heads) for block in tower.blocks]
        self.final_norm, self.projection, self.bias = tower.final_norm, tower.projection, tower.projection_bias
        self.positions = tower.positional_embedding
        self.start = prompts.start
        self.trunk_length = 0 if class_specific else prompts.context_before
        self.context_length = prompts.context_length
        if rows_at_once is not None:
            tile_rows = min(tile_rows, rows_at_once)
        tails = [_tail(prompts, index, self.trunk_length, class_specific) for index in range(len(prompts.ends))]
        self.tiles = pack(tails, tile_rows)
        self.order = self.tiles.order.to(self.device)
        with torch.no_grad():
            self.sos = self._sos(backbone, prompts)
            self.everything = self._prepare(backbone, self.tiles)
            self.trunk_mask = self._additive(self._trunk_visible())

    def _sos(self, backbone: Backbone, prompts: Prompts) -> list[KeysValues]:
        hidden = backbone.embed_tokens(prompts.token_ids[:1, : self.start]) + self.positions[: self.start]
        causal = torch.ones(self.start, self.start).tril().bool()
        return self._keys_values(hidden, None, self._additive(causal))

    def _prepare(self, backbone: Backbone, tiles: Tiles) -> _TileRange:
        """All tiles, with their constants."""
        count, rows = tiles.positions.shape
        positions = self.positions[tiles.positions.to(self.device)].flatten(0, 1)[None]  # (1, T R, D)
        tokens, index, constant = self._sources(backbone, tiles, positions)
        self.tokens = tokens
        shared = torch.ones(count, rows, self.start + self.trunk_length, dtype=torch.bool)
        visible = torch.cat([shared, tiles.visible], dim=2)
        ends = tiles.ends + torch.arange(count)[:, None] * rows
        end_visible = visible.flatten(0, 1)[ends.flatten()].unflatten(0, ends.shape)
        first = self.blocks[0].queries_keys_values(constant) if index is None and len(self.blocks) > 1 else None
        return _TileRange(
            tiles=count,
            first_layer=first,
            leads=self._leads(backbone, tiles),
            rows=index,
            constant=constant,
            mask=self._additive(visible)[:, None],
            end_mask=self._additive(end_visible)[:, None],
            ends=ends.flatten().to(self.device),
        )

    def _sources(self, backbone: Backbone, tiles: Tiles, positions: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Distinct tokens of the tails (1, K, D), row indices into [context, tokens], and the constant part."""
        flat = [source or ("token", 0, 0) for tile in tiles.sources for source in tile]
        ids = sorted({first for kind, first, _ in flat if kind == "token"})
        tokens = backbone.embed_tokens(torch.tensor(ids, dtype=torch.long))[None]
        place = {token: number for number, token in enumerate(ids)}
        if all(kind == "token" for kind, _, _ in flat):
            rows = torch.tensor([place[first] for _, first, _ in flat], device=self.device)
            return tokens, None, tokens[:, rows] + positions
        vectors = 1 + max(number for kind, number, _ in flat if kind == "context")
        index = [
            number * self.context_length + m if kind == "context" else vectors * self.context_length + place[number]
            for kind, number, m in flat
        ]
        return tokens, torch.tensor(index, device=self.device), positions

    def _leads(self, backbone: Backbone, tiles: Tiles) -> list[KeysValues] | None:
        """Keys and values of names that come before any context, per layer (1, T K, H, d)."""
        count, leads = tiles.lead_positions.shape
        if not leads:
            return None
        ids = torch.tensor([[token or 0 for token in tile] for tile in tiles.leads])
        hidden = backbone.embed_tokens(ids) + self.positions[tiles.lead_positions.to(self.device)]
        visible = torch.zeros(count, leads, self.start + leads, dtype=torch.bool)
        visible[:, :, : self.start] = True
        for number, tile in enumerate(tiles.tails):
            first = 0
            for _, tail in tile:
                own = slice(first, first + len(tail.lead))
                visible[number, own, self.start :][:, own] = torch.ones(2 * [len(tail.lead)]).tril().bool()
                first = own.stop
        per_layer = self._keys_values(hidden, self.sos, self._additive(visible)[:, None])
        return [keys_values.flatten(0, 1)[None] for keys_values in per_layer]

    def _trunk_visible(self) -> Tensor:
        """(trunk, [SOS] + trunk): causal."""
        total = self.start + self.trunk_length
        return torch.ones(total, total).tril().bool()[self.start :]

    @cached_property
    def _single_mask(self) -> Tensor:
        """Trunk and one tile attending together: (1, 1, P' + R, P + K + R); a trunk and leads never meet."""
        tail_mask = self.everything.mask
        unseen = tail_mask.shape[-1] - self.trunk_mask.shape[-1]
        trunk_mask = F.pad(self.trunk_mask, (0, unseen), value=float("-inf"))
        return torch.cat([trunk_mask[None, None], tail_mask], dim=2)

    def _additive(self, visible: Tensor) -> Tensor:
        """0 where a key is visible, -inf elsewhere."""
        mask = torch.zeros(visible.shape, dtype=self.positions.dtype)
        return mask.masked_fill(~visible, float("-inf")).to(self.device)

    def __call__(self, context: Tensor) -> Tensor:
        """Text features g(t), not normalised.

        Args:
            context: (b, n, M, D), b the number of images or 1, n the number of classes or 1.

        Returns:
            (b, N, E).
        """
        with self.autocast():
            units = self._units(context.shape[0])
            if units is None:
                ends = self._run(self._trunk(context), context, self.everything, self.sos)
            else:
                ends = self._run_in_units(context, *units)
            return self._project(ends[:, self.order]).to(context.dtype)

    def _trunk(self, context: Tensor) -> Tensor:
        """Input of the trunk, (b, M', D); M' is 0 where the name comes first or contexts are class-specific."""
        if not self.trunk_length:
            return context[:, 0, :0]
        return context[:, 0, : self.trunk_length] + self.positions[self.start : self.start + self.trunk_length]

    def _project(self, ends: Tensor) -> Tensor:
        """Hidden states of [EOS] after the last block -> features: (b, N, D) -> (b, N, E)."""
        hidden = self.final_norm(ends)
        if self.projection is None:
            return hidden
        features = hidden @ self.projection
        return features if self.bias is None else features + self.bias

    def _tail_embeddings(self, context: Tensor, some: _TileRange) -> Tensor:
        """(b, T R, D)."""
        images = context.shape[0]
        if some.rows is None:
            return some.constant.expand(images, -1, -1)
        vectors = torch.cat([context.flatten(1, 2), self.tokens.expand(images, -1, -1)], dim=1)
        return vectors.index_select(1, some.rows) + some.constant

    def _run(self, trunk: Tensor, context: Tensor, some: _TileRange, before: list[KeysValues]) -> Tensor:
        """All layers over trunk (b, P', D) and tails; `before` holds what comes earlier: [SOS], or [SOS] and trunk.

        Returns:
            Hidden states of [EOS], (b, T C, D).
        """
        length = trunk.shape[1]
        hidden = torch.cat([trunk, self._tail_embeddings(context, some)], dim=1)
        for index, block in enumerate(self.blocks[:-1]):
            if index == 0 and some.first_layer is not None:
                constant = some.first_layer.expand(len(hidden), -1, -1, -1, -1)
                projected = torch.cat([block.queries_keys_values(trunk), constant], dim=1) if length else constant
            else:
                projected = block.queries_keys_values(hidden)
            attended = self._attend(index, projected[:, :, 0], projected[:, :, 1:], length, some, before[index])
            hidden = block.finish(hidden, attended)
        return self._last_layer(hidden, length, some, before[-1])

    def _attend(
        self, layer: int, queries: Tensor, own: KeysValues, length: int, some: _TileRange, before: KeysValues
    ) -> Tensor:
        """What trunk and tails see in one layer: queries (b, P' + T R, H, d) -> (b, P' + T R, D)."""
        if some.tiles == 1:
            mask = self._single_mask if length else some.mask
            return _attention(queries, self._seen(layer, own, some, before), mask)
        shared = _join(before, own[:, :length])
        tails = self._attend_in_tiles(layer, queries[:, length:], own[:, length:], some, shared, some.mask)
        if not length:
            return tails
        return torch.cat([_attention(queries[:, :length], shared, self.trunk_mask), tails], dim=1)

    def _attend_in_tiles(
        self, layer: int, queries: Tensor, own: KeysValues, some: _TileRange, shared: KeysValues, mask: Tensor
    ) -> Tensor:
        """Each tile sees the shared beginning (b, P, 2, H, d), its leads and itself: (b, T Q, H, d) -> (b, T Q, D)."""
        images, tiles = len(queries), some.tiles
        parts = [shared[:, None].expand(-1, tiles, -1, -1, -1, -1), own.unflatten(1, (tiles, -1))]
        if some.leads is not None:
            parts.insert(1, some.leads[layer].unflatten(1, (tiles, -1)).expand(images, -1, -1, -1, -1, -1))
        seen = torch.cat(parts, dim=2).flatten(0, 1)
        repeated = mask.repeat(images, 1, 1, 1) if images > 1 else mask
        attended = _attention(queries.unflatten(1, (tiles, -1)).flatten(0, 1), seen, repeated)
        return attended.unflatten(0, (images, tiles)).flatten(1, 2)

    def _seen(self, layer: int, own: KeysValues, some: _TileRange, before: KeysValues) -> KeysValues:
        """Everything that a single tile attends to, in order: what comes earlier, leads, own rows."""
        return _join(before, own) if some.leads is None else _join(before, some.leads[layer], own)

    def _last_layer(self, hidden: Tensor, length: int, some: _TileRange, before: KeysValues) -> Tensor:
        """Keys and values of all rows, everything else for [EOS] only: (b, P' + T R, D) -> (b, T C, D)."""
        last, block = len(self.blocks) - 1, self.blocks[-1]
        own = block.keys_values(hidden)
        ends = hidden.index_select(1, some.ends + length)
        if some.tiles == 1:
            attended = _attention(block.queries(ends), self._seen(last, own, some, before), some.end_mask)
        else:
            shared = _join(before, own[:, :length])
            attended = self._attend_in_tiles(last, block.queries(ends), own[:, length:], some, shared, some.end_mask)
        return block.finish(ends, attended)

    def _keys_values(self, hidden: Tensor, before: list[KeysValues] | None, mask: Tensor) -> list[KeysValues]:
        """One segment through all layers for its keys and values only: (b, L, D) -> per layer (b, L, 2, H, d)."""
        collected = []
        for index, block in enumerate(self.blocks):
            projected = block.queries_keys_values(hidden)
            own = projected[:, :, 1:]
            collected.append(own)
            if index + 1 < len(self.blocks):
                seen = _join(before[index], own) if before is not None else own
                hidden = block.finish(hidden, _attention(projected[:, :, 0], seen, mask))
        return collected

    def _units(self, images: int) -> tuple[int, int] | None:
        """(images, tiles) to run at once so that they stay within `rows_at_once`; None for all together."""
        count, rows = self.tiles.positions.shape
        if self.rows_at_once is None or images * (count * rows + self.trunk_length) <= self.rows_at_once:
            return None
        per_image = count * rows + self.trunk_length
        if per_image <= self.rows_at_once:
            return self.rows_at_once // per_image, count
        return 1, max(1, self.rows_at_once // rows)

    def _run_in_units(self, context: Tensor, images: int, tiles: int) -> Tensor:
        """The same in pieces, each recomputed in the backward pass; the trunk is computed once."""
        before = self._keys_values(self._trunk(context), self.sos, self.trunk_mask)
        before = [_join(sos, own) for sos, own in zip(self.sos, before, strict=True)]
        parts: list[list[Tensor]] = []
        for first in range(0, context.shape[0], images):
            some_images = slice(first, first + images)
            parts.append([])
            for tile in range(0, self.everything.tiles, tiles):
                some = self._tile_range(tile, min(tile + tiles, self.everything.tiles))
                shared = [keys_values[some_images] for keys_values in before]
                parts[-1].append(
                    checkpoint(
                        self._run,
                        context[some_images, 0, :0],
                        context[some_images],
                        some,
                        shared,
                        use_reentrant=False,
                        preserve_rng_state=False,
                    )
                )
        return torch.cat([torch.cat(row, dim=1) for row in parts])

    def _tile_range(self, first: int, end: int) -> _TileRange:
        """Tiles first to end, as views."""
        whole = self.everything
        rows, classes = whole.mask.shape[2], whole.end_mask.shape[2]
        own, leads = slice(first * rows, end * rows), self.tiles.lead_positions.shape[1]
        some_leads = slice(first * leads, end * leads)
        return _TileRange(
            tiles=end - first,
            first_layer=whole.first_layer[:, own] if whole.first_layer is not None else None,
            leads=[keys_values[:, some_leads] for keys_values in whole.leads] if whole.leads is not None else None,
            rows=whole.rows[own] if whole.rows is not None else None,
            constant=whole.constant[:, own],
            mask=whole.mask[first:end],
            end_mask=whole.end_mask[first:end],
            ends=whole.ends[first * classes : end * classes] - first * rows,
        )


def _tail(prompts: Prompts, index: int, trunk_length: int, class_specific: bool) -> Tail:
    """What follows the trunk in one prompt; a name with no context before it becomes the lead."""
    before, context = prompts.context_before, prompts.context_length
    name, closing = prompts.name_tokens(index), prompts.closing_tokens(index)
    number = index if class_specific else 0
    lead: tuple[int, ...] = ()
    if before == 0 and context:
        lead, name = tuple(name), []
    rows = [
        *(("context", number, m) for m in range(trunk_length, before)),
        *(("token", token, 0) for token in name),
        *(("context", number, m) for m in range(before, context)),
        *(("token", token, 0) for token in closing),
    ]
    return Tail(lead=lead, rows=tuple(rows), first_position=prompts.start + trunk_length)


def _join(*segments: KeysValues) -> KeysValues:
    """Segments behind one another; those that no image changes (b = 1) are repeated for each."""
    images = max(len(segment) for segment in segments)
    return torch.cat([segment.expand(images, -1, -1, -1, -1) for segment in segments], dim=1)


def _attention(queries: Tensor, seen: KeysValues, mask: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v: (b, L, H, d), (b, K, 2, H, d) -> (b, L, H d)."""
    keys, values = seen.unbind(2)
    queries, keys, values = (tensor.transpose(1, 2) for tensor in (queries, keys, values))
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).transpose(1, 2).flatten(2)
