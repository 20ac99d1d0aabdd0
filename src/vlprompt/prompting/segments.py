"""The segments path: each part of a prompt at its smallest shape, nothing after [EOS].

CLIP's text tower is causal: a token's hidden state depends on the tokens at and before it. So of the prompts
[SOS] v_1(x) ... v_M(x) name_i . [EOS] of B images and N classes

    [SOS]              depends on nothing          computed once, ever                   (1, 1, 1, D)
    v_1 ... v_M        depends on the image        the trunk, once per image             (B, 1, M, D)
    name . [EOS]       depends on both             the tails, grouped by their length    (B, N, L, D)

and the tower runs over these parts layer by layer, their queries attending to the keys and values of the parts before
them. Where the name comes first it is a part of its own that depends on the class only: the lead, computed once, ever.
In the last layer only [EOS] needs a query. The numbers are those of the plain path, gradients included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vlprompt.backbones import Backbone
from vlprompt.prompting.attention import KeysValues, attend, join
from vlprompt.prompting.blocks import FrozenBlock
from vlprompt.prompting.prompts import Prompts

LayerKeysValues = list[KeysValues]


@dataclass(frozen=True, eq=False)
class Tails:
    """The tails of n classes that have the same lengths, and their constant lead.

    Attributes:
        classes: (n,) indices into the class list.
        lead: keys and values per layer of the name, where it comes before the context; else None.
        tokens: (n, L', D) embeddings of the tail's own tokens, without positions.
        pieces: what the tail is made of, in order: ("context", first, end) or ("tokens", first, end).
        positions: (L, D).
    """

    classes: Tensor
    lead: LayerKeysValues | None
    tokens: Tensor
    pieces: tuple[tuple[str, int, int], ...]
    positions: Tensor

    @property
    def constant(self) -> bool:
        """Whether the tail's embeddings do not depend on the context."""
        return all(kind == "tokens" for kind, _, _ in self.pieces)

    def embed(self, context: Tensor) -> Tensor:
        """Input embeddings (b, n, L, D) with this context (b, 1 or N, M, D); b = 1 for a constant tail."""
        n, images = len(self.classes), 1 if self.constant else context.shape[0]
        if context.shape[1] > 1:
            context = context[:, self.classes]
        parts = [
            (context[:, :, first:end] if kind == "context" else self.tokens[None, :, first:end]).expand(
                images, n, -1, -1
            )
            for kind, first, end in self.pieces
        ]
        return torch.cat(parts, dim=2) + self.positions


class SegmentsEngine:
    """Text features of prompts, computed in segments; same interface and numbers as `PlainEngine`."""

    def __init__(
        self, backbone: Backbone, prompts: Prompts, *, class_specific: bool = False, rows_at_once: int | None = None
    ) -> None:
        """Lay the prompts out and compute what no context can change.

        Args:
            class_specific: whether contexts will differ between classes (n = N).
            rows_at_once: how many (image, class, token) rows to keep activations for; beyond it the work is split
                and recomputed in the backward pass. None: no limit.
        """
        tower = backbone.text
        self.autocast = backbone.autocast
        self.rows_at_once = rows_at_once
        self.blocks = [FrozenBlock(block, tower.heads) for block in tower.blocks]
        self.final_norm, self.projection, self.bias = tower.final_norm, tower.projection, tower.projection_bias
        self.positions = tower.positional_embedding
        self.start = prompts.start
        self.trunk_length = 0 if class_specific else prompts.context_before
        with torch.no_grad():
            self.sos = self._constant_sos(backbone, prompts)
            self.tails = self._lay_out(backbone, prompts)
            self.first_layer = [self._first_layer(tails) for tails in self.tails]
        self.order = torch.cat([tails.classes for tails in self.tails]).argsort()

    def _constant_sos(self, backbone: Backbone, prompts: Prompts) -> LayerKeysValues:
        embeddings = backbone.embed_tokens(prompts.token_ids[:1, : self.start]) + self.positions[: self.start]
        return self._keys_values(embeddings[None], [])

    def _lay_out(self, backbone: Backbone, prompts: Prompts) -> list[Tails]:
        by_shape: dict[tuple[int, int], list[int]] = {}
        for index, name_length in enumerate(prompts.name_lengths):
            by_shape.setdefault((name_length, prompts.ends[index]), []).append(index)
        return [self._tails_of(backbone, prompts, classes) for _, classes in sorted(by_shape.items())]

    def _tails_of(self, backbone: Backbone, prompts: Prompts, classes: list[int]) -> Tails:
        """The tails of classes whose names, and whose whole prompts, have one length."""
        names = torch.tensor([prompts.name_tokens(index) for index in classes], dtype=torch.long)
        closings = torch.tensor([prompts.closing_tokens(index) for index in classes], dtype=torch.long)
        before, context, name = prompts.context_before, prompts.context_length, names.shape[1]
        lead = None
        if before == 0 and context and name:
            lead = self._lead(backbone, names)
            names = names[:, :0]
        pieces = [
            ("context", self.trunk_length, before),
            ("tokens", 0, names.shape[1]),
            ("context", before, context),
            ("tokens", names.shape[1], names.shape[1] + closings.shape[1]),
        ]
        first = self.start + self.trunk_length + (name if lead else 0)
        end = self.start + context + name + closings.shape[1]
        return Tails(
            classes=torch.tensor(classes, device=backbone.device),
            lead=lead,
            tokens=backbone.embed_tokens(torch.cat([names, closings], dim=1)),
            pieces=tuple(piece for piece in pieces if piece[1] < piece[2]),
            positions=self.positions[first:end],
        )

    def _lead(self, backbone: Backbone, names: Tensor) -> LayerKeysValues:
        """Keys and values of names that come before any context: ids (n, l) -> per layer (1, n, l, H, d)."""
        positions = self.positions[self.start : self.start + names.shape[1]]
        return self._keys_values((backbone.embed_tokens(names) + positions)[None], [self.sos])

    def _first_layer(self, tails: Tails) -> Tensor | None:
        """A constant tail's queries, keys and values in the first layer, (1, n, L, 3, H, d), the same in every step."""
        if not tails.constant or len(self.blocks) == 1:
            return None
        return self.blocks[0].queries_keys_values((tails.tokens + tails.positions)[None])

    def __call__(self, context: Tensor) -> Tensor:
        """Text features g(t), not normalised.

        Args:
            context: (b, n, M, D), b the number of images or 1, n the number of classes or 1.

        Returns:
            (b, N, E).
        """
        with self.autocast():
            units = self._units(context.shape[0])
            if len(units) == 1:
                features = self._encode(context, self.tails, self.first_layer)
            else:
                features = self._encode_in_units(context, units)
            return features.to(context.dtype)

    def _encode(self, context: Tensor, tails: Sequence[Tails], first_layer: Sequence[Tensor | None]) -> Tensor:
        """Trunk and tails together, so that one matrix product serves both: -> (b, N, E)."""
        trunk = self._trunk(context)
        ends = self._run(trunk, [group.embed(context) for group in tails], tails, first_layer, None)
        return self._project(ends, context.shape[0])[:, self.order]

    def _trunk(self, context: Tensor) -> Tensor | None:
        if not self.trunk_length:
            return None
        return context[:, :, : self.trunk_length] + self.positions[self.start : self.start + self.trunk_length]

    def _project(self, ends: list[Tensor], images: int) -> Tensor:
        """Hidden states of [EOS], each (b, n, 1, D) -> features (b, all n, E)."""
        hidden = torch.cat([end.expand(images, -1, -1, -1) for end in ends], dim=1).squeeze(2)
        hidden = self.final_norm(hidden)
        if self.projection is None:
            return hidden
        features = hidden @ self.projection
        return features if self.bias is None else features + self.bias

    def _run(
        self,
        trunk: Tensor | None,
        hidden: list[Tensor],
        tails: Sequence[Tails],
        first_layer: Sequence[Tensor | None],
        trunk_keys_values: LayerKeysValues | None,
    ) -> list[Tensor]:
        """All layers over the trunk, if it is not yet done, and the tails; returns the hidden states of [EOS]."""
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            streams = hidden if trunk is None else [trunk, *hidden]
            ready = [None] * (len(streams) - len(hidden)) + list(first_layer) if index == 0 else [None] * len(streams)
            projected = block.queries_keys_values_of(streams, ready)
            before = [self.sos[index]] if self.start else []
            if trunk is not None:
                own = projected.pop(0)
                attended = [] if index == last else [attend(own.queries, own.keys_values, before)]
                before = [join([*before, own.keys_values])]
            else:
                attended = []
                if trunk_keys_values is not None:
                    before = [join([*before, trunk_keys_values[index]])]
            for group, own in zip(tails, projected, strict=True):
                sources = [*before, group.lead[index]] if group.lead is not None else before
                queries = own.queries[:, :, -1:] if index == last else own.queries
                attended.append(attend(queries, own.keys_values, sources, causal=index != last))
            if index == last:
                streams = [stream[:, :, -1:] for stream in hidden]
            outputs = block.finish(streams, attended)
            trunk, hidden = (outputs[0], outputs[1:]) if trunk is not None and index != last else (None, outputs)
        return hidden

    def _keys_values(self, hidden: Tensor, before: list[LayerKeysValues]) -> LayerKeysValues:
        """Run one segment through all layers for its keys and values only: (b, n, L, D) -> per layer."""
        collected = []
        for index, block in enumerate(self.blocks):
            (own,) = block.queries_keys_values_of([hidden], [None])
            collected.append(own.keys_values)
            if index + 1 < len(self.blocks):
                attended = attend(own.queries, own.keys_values, [segment[index] for segment in before])
                (hidden,) = block.finish([hidden], [attended])
        return collected

    def _units(self, images: int) -> list[tuple[slice, list[tuple[int, slice]]]]:
        """How a step is split: (images, [(group of tails, its classes), ...]) each within `rows_at_once`."""
        everything = [(index, slice(None)) for index in range(len(self.tails))]
        rows = sum(len(tails.classes) * len(tails.positions) for tails in self.tails)
        if self.rows_at_once is None or images * (rows + self.trunk_length) <= self.rows_at_once:
            return [(slice(None), everything)]
        if rows <= self.rows_at_once:
            at_once = max(1, self.rows_at_once // rows)
            return [(slice(first, first + at_once), everything) for first in range(0, images, at_once)]
        parts = []
        for index, tails in enumerate(self.tails):
            at_once = max(1, self.rows_at_once // len(tails.positions))
            parts += [[(index, slice(first, first + at_once))] for first in range(0, len(tails.classes), at_once)]
        return [(slice(image, image + 1), part) for image in range(images) for part in parts]

    def _encode_in_units(self, context: Tensor, units: list[tuple[slice, list[tuple[int, slice]]]]) -> Tensor:
        """The same features in pieces, each recomputed in the backward pass."""
        trunk = self._trunk(context)
        shared = self._keys_values(trunk, [self.sos] if self.start else []) if trunk is not None else None
        rows: dict[int, list[Tensor]] = {}
        for images, part in units:
            features = checkpoint(
                self._encode_unit, context, shared, images, part, use_reentrant=False, preserve_rng_state=False
            )
            rows.setdefault(images.start, []).append(features)
        return torch.cat([torch.cat(parts, dim=1) for parts in rows.values()])[:, self.order]

    def _encode_unit(
        self, context: Tensor, shared: LayerKeysValues | None, images: slice, part: list[tuple[int, slice]]
    ) -> Tensor:
        def rows(tensor: Tensor) -> Tensor:
            return tensor if tensor.shape[0] == 1 else tensor[images]

        tails = [_some_classes(self.tails[index], classes) for index, classes in part]
        context = rows(context)
        ready = [self.first_layer[index] for index, _ in part]
        first = [None if qkv is None else qkv[:, classes] for qkv, (_, classes) in zip(ready, part, strict=True)]
        before = [KeysValues(rows(kv.keys), rows(kv.values)) for kv in shared] if shared is not None else None
        ends = self._run(None, [group.embed(context) for group in tails], tails, first, before)
        return self._project(ends, context.shape[0])


def _some_classes(tails: Tails, classes: slice) -> Tails:
    lead = tails.lead and [KeysValues(kv.keys[:, classes], kv.values[:, classes]) for kv in tails.lead]
    return Tails(tails.classes[classes], lead, tails.tokens[classes], tails.pieces, tails.positions)
