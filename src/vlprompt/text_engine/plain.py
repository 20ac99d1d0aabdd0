"""The plain path: every prompt as a whole sequence through the tower's own code.

This is what the published code does, and what the segments path is held to. It serves every tower, causal or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vlprompt.backbones import Backbone
from vlprompt.text_engine.prompts import Prompts, check_context

MOST_SEQUENCES = 1024
"""Sequences that go through the tower together; the candidates of a batch of images can be more."""


class PlainEngine:
    """Text features of prompts by encoding whole sequences (CoOp's and CoCoOp's reference computation)."""

    def __init__(self, backbone: Backbone, prompts: Prompts, *, context_of: Sequence[int] | None = None) -> None:
        """Look up what the words of the prompts are.

        Args:
            context_of: which of n contexts each prompt takes; None: all take the only one.
        """
        self.tower = backbone.text
        self.autocast = backbone.autocast
        with backbone.constants():
            self.token_ids = prompts.token_ids.to(backbone.device)
            self.sources = prompts.sources.to(backbone.device)
            self.token_embeddings = backbone.embed_tokens(prompts.token_ids)
        self.prompts = prompts
        self.context_of = [0] * len(self.token_ids) if context_of is None else list(context_of)
        self.contexts = max(self.context_of, default=0) + 1
        self.feature_size = backbone.feature_size

    def __call__(self, context: Tensor) -> Tensor:
        """Text features g(t), not normalised.

        Args:
            context: (b, n, M, D), b the number of images or 1, n the number of contexts.

        Returns:
            (b, N, E).

        Raises:
            MethodError: the context has another shape than the prompts were laid out for.
        """
        check_context(context, self.prompts, self.contexts)
        if not len(context):
            return context.new_zeros(0, len(self.token_ids), self.feature_size)
        # One image at a time, as published: a whole batch of 77-token prompts would not fit into memory.
        return torch.stack([self._encode(one_image) for one_image in context])

    def _encode(self, context: Tensor) -> Tensor:
        """(n, M, D) -> (N, E)."""
        starts = range(0, len(self.token_ids), MOST_SEQUENCES)
        return torch.cat([self._encode_some(context, slice(start, start + MOST_SEQUENCES)) for start in starts])

    def _encode_some(self, context: Tensor, some: slice) -> Tensor:
        pieces = torch.cat([context[self.context_of[some]], self.token_embeddings[some]], dim=1)
        embeddings = pieces.gather(1, self.sources[some, :, None].expand(-1, -1, pieces.shape[2]))
        with self.autocast():
            return self.tower.encode_embeddings(embeddings, self.token_ids[some]).to(context.dtype)
