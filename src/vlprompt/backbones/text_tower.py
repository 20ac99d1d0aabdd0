"""The frozen text encoder g, taken apart into the pieces that prompts need.

A text tower turns token embeddings (n, L, D) into text features (n, E): positions are added, the blocks run, the final
norm and the projection are applied to one pooled position. OpenCLIP has two layouts of it (`CLIP`, OpenAI's, keeps the
pieces on the model itself; `CustomTextCLIP` in `model.text`); `TextTower` gives both the same names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from vlprompt.errors import BackboneError


@dataclass(frozen=True, eq=False)
class TextTower:
    """The pieces of a frozen OpenCLIP text tower.

    Attributes:
        token_embedding: (vocabulary, D).
        positional_embedding: (context_length, D).
        blocks: the residual attention blocks, first to last.
        final_norm: the LayerNorm before the projection.
        projection: (D, E), or None where features are the pooled hidden states.
        projection_bias: (E,) or None.
        heads: attention heads per block.
        context_length: tokens in a whole sequence (77 for CLIP).
        pooling: which position becomes the feature: "argmax" (the largest token id, CLIP's end token), "eos", "first"
            or "last".
        end_token: the id that "eos" pooling looks for.
        whole_sequence_only: why hidden states may depend on later tokens or on padding; empty for a causal tower whose
            prompts can be encoded in segments.
        encode_tokens: the model's own `encode_text`: ids (n, context_length) -> (n, E).
    """

    token_embedding: nn.Embedding
    positional_embedding: Tensor
    blocks: Sequence[ResidualAttentionBlock]
    final_norm: nn.Module
    projection: Tensor | None
    projection_bias: Tensor | None
    heads: int
    context_length: int
    pooling: str
    end_token: int
    whole_sequence_only: str
    encode_tokens: Callable[[Tensor], Tensor]

    @property
    def token_width(self) -> int:
        """D, the width of a token embedding."""
        return self.token_embedding.weight.shape[1]

    @property
    def quick_gelu(self) -> bool:
        """Whether the MLPs use x * sigmoid(1.702 x), as OpenAI's weights need."""
        return isinstance(self.blocks[0].mlp.gelu, QuickGELU)

    def pooled_positions(self, token_ids: Tensor) -> Tensor:
        """Index of the pooled token in each sequence: ids (n, L) -> (n,)."""
        if self.pooling == "argmax":
            return token_ids.argmax(dim=-1)
        if self.pooling == "eos":
            return (token_ids == self.end_token).int().argmax(dim=-1)
        last = token_ids.shape[1] - 1
        return torch.full((len(token_ids),), 0 if self.pooling == "first" else last, device=token_ids.device)

    def encode_embeddings(self, embeddings: Tensor, token_ids: Tensor) -> Tensor:
        """The tower's own forward pass, with these token embeddings in place of the looked-up ones.

        The model's code runs unchanged, so masks, pooling and padding are its own whatever the architecture.

        Args:
            embeddings: (n, context_length, D), without positions.
            token_ids: (n, context_length), for masks and pooling.

        Returns:
            Text features (n, E), not normalised.
        """
        mine = threading.get_ident()  # the embedding is shared, and another thread may be running the tower too
        replaced = self.token_embedding.register_forward_hook(
            lambda *_: embeddings if threading.get_ident() == mine else None
        )
        try:
            return self.encode_tokens(token_ids)
        finally:
            replaced.remove()


def text_tower_of(model: Any) -> TextTower:
    """Take the text tower of an OpenCLIP model apart.

    Raises:
        BackboneError: the tower is not one of OpenCLIP's own (a Hugging Face text model, say).
    """
    text = getattr(model, "text", model)
    transformer: Any = getattr(text, "transformer", None)
    if not isinstance(getattr(text, "token_embedding", None), nn.Embedding) or not hasattr(transformer, "resblocks"):
        raise BackboneError(
            f"the text tower of this model ({type(text).__name__}) is not one of OpenCLIP's own transformers, "
            "which prompts need; choose a model whose configuration has no hf_model_name."
        )
    blocks = list(transformer.resblocks)
    projection = text.text_projection
    linear = isinstance(projection, nn.Linear)
    end_token: Any = getattr(text, "text_eos_id", None) or getattr(text, "eos_id", 2)
    return TextTower(
        token_embedding=text.token_embedding,
        positional_embedding=text.positional_embedding,
        blocks=blocks,
        final_norm=text.ln_final,
        projection=projection.weight.T if linear else projection,
        projection_bias=projection.bias if linear else None,
        heads=getattr(getattr(blocks[0], "attn", None), "num_heads", 0),
        context_length=text.context_length,
        pooling=getattr(text, "text_pool_type", None) or text.pool_type,
        end_token=end_token,
        whole_sequence_only=_why_not_segments(text, blocks),
        encode_tokens=model.encode_text,
    )


def _why_not_segments(text: Any, blocks: Sequence[nn.Module]) -> str:
    pooling = getattr(text, "text_pool_type", None) or text.pool_type
    if text.attn_mask is None:
        return "its attention is not causal"
    if getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        return "it pools by a class token or masks padding"
    if pooling not in ("argmax", "eos"):
        return f"it pools the {pooling} position, which is padding"
    if not all(type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv") for block in blocks):
        return "its blocks are not plain residual attention blocks"
    return ""
