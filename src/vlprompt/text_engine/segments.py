"""The segments path: each part of a prompt at its smallest shape, nothing after [EOS].

CLIP's text tower is causal: a token's hidden state depends on the tokens at and before it. So of the prompts
[SOS] v_1(x) ... v_M(x) name_i . [EOS] of B images and N classes

    [SOS]              depends on nothing          computed once, ever          1
    v_1 ... v_M        depends on the image        the trunk, once an image     B x M
    name . [EOS]       depends on both             the tails, packed            B x (tokens of all names)

and the tower runs over the packed rows layer by layer: norms, projections and MLP see one matrix of real tokens, and a
mask lets each tail attend to [SOS], the trunk and itself. Names that begin alike share their first rows. Where the name
comes first it is a lead, which depends on the class only: computed once, ever. In the last layer only [EOS] needs a
query, an output projection and an MLP. The numbers are those of the plain path, gradients included. The words (trunk,
tail, lead, tree, tile, group) stand in `text_engine`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlprompt.backbones import Backbone
from vlprompt.backbones.text_tower import ClassToken
from vlprompt.errors import SettingsError
from vlprompt.text_engine.blocks import KeysValues, frozen_blocks
from vlprompt.text_engine.packed_autograd import PackedAutograd
from vlprompt.text_engine.packed_pass import PackedPass
from vlprompt.text_engine.prompts import Prompts, check_context
from vlprompt.text_engine.tiles import Source, Tail, Tiles, groups_of, merge, pack
from vlprompt.text_engine.workspace import WorkspacePool

TILE_ROWS = 32
"""Rows that attend together, at most, unless a tail has more. Smaller tiles waste less on masked pairs, larger ones
repeat the shared keys less often; 16 to 48 measure alike."""

PLANNED = 0.8
"""Share of the memory that a step is planned for; the rest is for what cannot be foreseen, such as copies that matrix
products make of their operands."""


class MemoryWarning(UserWarning):
    """A step takes more memory than it may, however it is split."""


class SegmentsEngine:
    """Text features of prompts, computed in segments; same interface and numbers as `PlainEngine`."""

    def __init__(
        self,
        backbone: Backbone,
        prompts: Prompts,
        *,
        context_of: Sequence[int] | None = None,
        memory: int | None = None,
        tile_rows: int = TILE_ROWS,
        autograd: bool = False,
    ) -> None:
        """Lay the prompts out and compute the constants.

        Args:
            context_of: which of n contexts each prompt takes (class-specific contexts: 0 to N - 1); None: all take the
                only one.
            memory: bytes that a step may take. Beyond it the work is split over images and classes, and recomputed in
                backward. None: no limit.
            tile_rows: rows that attend together, at most, unless a tail has more.
            autograd: run the packed rows through `PackedAutograd`, which deeper contexts need, and not `PackedPass`.
        """
        tower = backbone.text
        self.backbone, self.memory, self.autograd = backbone, memory, autograd
        self.device = backbone.device
        self.positions = tower.positional_embedding
        self.final_norm, self.projection, self.bias = tower.final_norm, tower.projection, tower.projection_bias
        self.start, self.context_length = prompts.start, prompts.context_length
        self.trunk_length = prompts.context_before if context_of is None else 0
        numbers = [0] * len(prompts.ends) if context_of is None else list(context_of)
        self.prompts, self.contexts = prompts, max(numbers, default=0) + 1
        self.class_token = tower.class_token
        tails = [
            _tail(prompts, index, self.trunk_length, number, self.class_token) for index, number in enumerate(numbers)
        ]
        self.classes, self.tile_rows = len(tails), max(1, tile_rows)
        self._trees = merge(tails, self.tile_rows)
        self._layouts: dict[int, _Layout] = {}
        self._plans: dict[tuple[int, bool], tuple[_Layout, int]] = {}
        self._training, self._inference = WorkspacePool(self.device), WorkspacePool(self.device)
        with backbone.constants():
            self.blocks = frozen_blocks(tower, _product_type(backbone))
            sos = backbone.embed_tokens(prompts.token_ids[:1, : self.start]) + self.positions[: self.start]
            self.sos = self._keys_values(sos, None, torch.ones(1, self.start, self.start).tril().bool())

    def __call__(self, context: Tensor, deeper: Sequence[Tensor | None] = (), share: float = 1.0) -> Tensor:
        """Text features g(t), not normalised.

        Args:
            context: (b, n, M, D), b the number of images or 1, n the number of contexts.
            deeper: contexts that take its place at the input of layers 2, 3, ..., each (1, n, M, D), or (b, n, M, D);
                None leaves a layer the hidden states that come to it.
            share: of the deeper contexts; the rest of 1 is the hidden states in whose place they come.

        Returns:
            (b, N, E).

        Raises:
            MethodError: the context has another shape than the prompts were laid out for.
            SettingsError: deeper contexts, and this engine was not made with `autograd`, or they are more than layers.
        """
        check_context(context, self.prompts, self.contexts)
        self._check_deeper(deeper)
        if not len(context):
            return context.new_zeros(0, self.classes, self.backbone.feature_size)
        training = torch.is_grad_enabled() and any(
            some is not None and some.requires_grad for some in (context, *deeper)
        )
        pool, other = (self._training, self._inference) if training else (self._inference, self._training)
        other.clear()
        layout, images = self._plan(len(context), training)
        recompute = len(layout.groups) > 1 or images < len(context)
        # A deeper context of one is every image's.
        below = [None if some is None else some.expand(len(context), -1, -1, -1) for some in deeper]
        parts = [
            torch.cat([group(some, _part(below, at, images), share, pool, recompute) for group in layout.groups], dim=1)
            for at, some in enumerate(context.split(images))
        ]
        with self.backbone.autocast():
            return self._project(torch.cat(parts).index_select(1, layout.order)).to(context.dtype)

    def _check_deeper(self, deeper: Sequence[Tensor | None]) -> None:
        if deeper and not self.autograd:
            raise SettingsError("deeper contexts need an engine with autograd=True (engine 'autograd').")
        if len(deeper) >= len(self.blocks):
            raise SettingsError(
                f"{len(deeper)} deeper contexts were given; the text tower has {len(self.blocks)} layers, which can "
                f"take {len(self.blocks) - 1}."
            )

    def predicted_bytes(self, images: int, *, training: bool = True) -> int:
        """Memory that a step over so many images takes above the weights and what was laid out before."""
        return self._bytes(*self._plan(images, training), images, training)

    def _plan(self, images: int, training: bool) -> tuple[_Layout, int]:
        """Groups of classes and images at once for a step: as few pieces as the memory allows.

        Depends on nothing but its arguments, because how the work is split shows in a gradient's last bits.
        """
        if (images, training) not in self._plans:
            layout, at_once = self._split_classes(images, training), images
            runs = 1
            while at_once > 1 and not self._fits(layout, at_once, images, training):
                runs += 1
                at_once = -(-images // runs)
            self._warn_if_too_much(self._bytes(layout, at_once, images, training), images)
            self._plans[images, training] = layout, at_once
        return self._plans[images, training]

    def _split_classes(self, images: int, training: bool) -> _Layout:
        """The layout of the largest groups with which one image at a time fits into the memory."""
        rows = sum(len(tree) for tree in self._trees)
        layout = self._layout(rows)
        if self.memory is None:
            return layout
        unsplit = self._bytes_of_ends(images, training)
        # Where what cannot be split is too much already, ever smaller groups would only cost time.
        room = max(int(PLANNED * self.memory) - unsplit, unsplit // 2)
        while rows > 1 and (needed := self._bytes(layout, 1, images, training) - unsplit) > room:
            rows = max(1, min(rows - 1, rows * room // needed))
            layout = self._layout(rows)
        return layout

    def _fits(self, layout: _Layout, at_once: int, images: int, training: bool) -> bool:
        return self.memory is None or self._bytes(layout, at_once, images, training) <= PLANNED * self.memory

    def _layout(self, rows: int) -> _Layout:
        """The passes over groups of at most so many rows."""
        if rows not in self._layouts:
            trunk: list[Source] = [("context", 0, m) for m in range(self.trunk_length)]
            groups = groups_of(self._trees, rows)
            with self.backbone.constants():
                tiles = [pack(group, self.tile_rows, start=self.start, trunk=trunk) for group in groups]
                laid_out = tuple(_Group(self, some) for some in tiles)
                classes = torch.tensor([index for some in tiles for index in some.classes])
                self._layouts[rows] = _Layout(laid_out, classes.argsort().to(self.device))
        return self._layouts[rows]

    def _bytes(self, layout: _Layout, at_once: int, images: int, training: bool) -> int:
        buffers = max(group.bytes(at_once, keep=training) for group in layout.groups)
        rows = at_once * max(len(group.tiles.sources) for group in layout.groups)
        # Beside the buffers: what norms return, about 4 numbers for each of a row's.
        return buffers + self._row_bytes(4 * rows) + self._bytes_of_ends(images, training)

    def _bytes_of_ends(self, images: int, training: bool) -> int:
        """What autograd keeps of the final norm, the projection and the cosines for [EOS] of all images."""
        return self._row_bytes((14 if training else 4) * images * self.classes)

    def _row_bytes(self, rows: int) -> int:
        return rows * self.positions.shape[1] * self.positions.element_size()

    def _warn_if_too_much(self, needed: int, images: int) -> None:
        if self.memory is not None and needed > self.memory:
            warnings.warn(
                f"{images} x {self.classes} pairs of image and class take about {needed / 1e6:.1f} MB however they are "
                f"split, more than the {self.memory / 1e6:.1f} MB of the option memory; give it more, or use smaller "
                "batches.",
                MemoryWarning,
                stacklevel=4,
            )

    def _project(self, ends: Tensor) -> Tensor:
        """Hidden states of [EOS] after the last block -> features: (b, N, D) -> (b, N, E)."""
        hidden = self.final_norm(ends)
        if self.projection is None:
            return hidden
        features = hidden @ self.projection
        return features if self.bias is None else features + self.bias

    def _keys_values(self, hidden: Tensor, before: list[KeysValues] | None, visible: Tensor) -> list[KeysValues]:
        """Some tokens through all layers for their keys and values: (b, L, D) -> per layer (2, b, L, H, d)."""
        mask = torch.zeros(visible.shape, dtype=self.blocks[0].dtype).masked_fill(~visible, float("-inf"))
        mask = mask[:, None].to(self.device)
        collected = []
        for layer, block in enumerate(self.blocks):
            hidden, own = block(hidden, before[layer] if before is not None else None, mask)
            collected.append(own)
        return collected


class _Group:
    """Some of the classes, laid out: embeds their rows and runs the pass over them."""

    def __init__(self, engine: SegmentsEngine, tiles: Tiles) -> None:
        backbone = engine.backbone
        self.tiles = tiles
        tokens, rows = _row_indices(tiles, engine.context_length)
        embeddings = backbone.embed_tokens(torch.tensor(tokens))
        if engine.class_token is not None:
            embeddings = torch.cat([embeddings, engine.class_token.embedding[None]])
        positions = engine.positions[tiles.positions.to(engine.device)]
        contexts = [row for row, source in enumerate(tiles.sources) if source is not None and source[0] == "context"]
        # The trunk's rows are the first; where a tail holds context vectors too, any row may.
        varying = tiles.trunk if len(contexts) == tiles.trunk else len(rows)
        self.tokens = embeddings[None]
        self.rows = torch.tensor(rows[:varying], dtype=torch.long, device=engine.device)
        self.positions = positions[:varying]
        constant = torch.tensor(rows[varying:], dtype=torch.long, device=engine.device)
        leads = None
        if tiles.lead_positions.numel():
            ids = torch.tensor([[token or 0 for token in tile] for tile in tiles.leads])
            hidden = backbone.embed_tokens(ids) + engine.positions[tiles.lead_positions.to(engine.device)]
            leads = engine._keys_values(hidden, engine.sos, tiles.lead_visible)
        self.packed = PackedPass(
            engine.blocks,
            tiles,
            varying=varying,
            constant=embeddings[constant + len(embeddings)] + positions[varying:],
            before=engine.sos,
            leads=leads,
        )
        self.autograd = PackedAutograd(self.packed, tiles, engine.context_length) if engine.autograd else None
        self.end_of_class = torch.tensor(tiles.end_of_class, device=engine.device)

    def bytes(self, images: int, keep: bool) -> int:
        """Memory of the activations; `keep` saves them for backward."""
        return (self.autograd or self.packed).bytes(images, keep)

    def __call__(
        self, context: Tensor, deeper: Sequence[Tensor | None], share: float, pool: WorkspacePool, recompute: bool
    ) -> Tensor:
        """Context (b, n, M, D) -> hidden states of [EOS] of the group's classes, (b, N', D)."""
        vectors = context.flatten(1, 2)
        # Tokens count from the end of [context, tokens], so that one index serves any number of contexts.
        pieces = torch.cat([vectors, self.tokens.expand(len(context), -1, -1)], dim=1)
        rows = torch.where(self.rows < 0, self.rows + pieces.shape[1], self.rows)
        varying = pieces.index_select(1, rows) + self.positions
        if self.autograd is not None:
            ends = self.autograd(varying, deeper, share, recompute=recompute)
        else:
            ends = self.packed(varying, pool, recompute=recompute)
        return ends.index_select(1, self.end_of_class)


@dataclass(frozen=True)
class _Layout:
    """All classes in groups, and where the result of each class stands in what the groups give."""

    groups: tuple[_Group, ...]
    order: Tensor


def _part(deeper: Sequence[Tensor | None], at: int, images: int) -> list[Tensor | None]:
    """The deeper contexts of the images at one place among parts of so many."""
    return [None if some is None else some[at * images : (at + 1) * images] for some in deeper]


def _row_indices(tiles: Tiles, context_length: int) -> tuple[list[int], list[int]]:
    """Distinct token ids K, and for each row its index into [context vectors, tokens, class token if there is one].

    All but the context vectors count from the end.
    """
    sources = [source or ("token", 0, 0) for source in tiles.sources]
    tokens = sorted({first for kind, first, _ in sources if kind == "token"})
    behind = int(any(kind == "class" for kind, _, _ in sources))
    place = {token: number - len(tokens) - behind for number, token in enumerate(tokens)}
    rows = {"context": lambda number, m: number * context_length + m, "token": lambda token, _: place[token]}
    return tokens, [-1 if kind == "class" else rows[kind](first, second) for kind, first, second in sources]


def _tail(prompts: Prompts, index: int, trunk_length: int, number: int, class_token: ClassToken | None) -> Tail:
    """What follows the trunk in one prompt; a name with no context before it becomes the lead."""
    before, context = prompts.context_before, prompts.context_length
    name, closing = prompts.name_tokens(index), prompts.closing_tokens(index)
    lead: tuple[int, ...] = ()
    if before == 0 and context:
        lead, name = tuple(name), []
    rows: list[Source] = [
        *(("context", number, m) for m in range(trunk_length, before)),
        *(("token", token, 0) for token in name),
        *(("context", number, m) for m in range(before, context)),
        *(("token", token, 0) for token in closing),
    ]
    if class_token is not None:
        rows += _class_rows(class_token, full=prompts.ends[index] == prompts.token_ids.shape[1])
    return Tail(lead=lead, rows=tuple(rows), first_position=prompts.start + trunk_length)


def _class_rows(class_token: ClassToken, *, full: bool) -> list[Source]:
    """The class token behind a prompt and the padding that it sees (see `ClassToken`); a `full` prompt has none."""
    seen: list[Source] = [("token", class_token.padding, 0)] if class_token.shifted and not full else []
    return [*seen, ("class", int(not seen), class_token.position)]


def why_whole_sequences(backbone: Backbone, prompts: Prompts) -> str:
    """Why some prompts cannot be encoded in segments; empty where they can."""
    class_token = backbone.text.class_token
    if backbone.text.whole_sequence_only or class_token is None:
        return backbone.text.whole_sequence_only
    ends = torch.tensor(prompts.ends)[:, None]
    real = torch.arange(prompts.token_ids.shape[1])[None] < ends
    if bool(((prompts.token_ids == class_token.padding) & real).any()):
        return "a prompt holds the token that its masks take for padding"
    return ""


def _product_type(backbone: Backbone) -> torch.dtype:
    """The type of the matrix products: that of the weights, or half precision on CUDA by choice."""
    return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(backbone.precision, backbone.dtype)
