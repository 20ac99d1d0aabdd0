"""The frozen text encoder g, taken apart into the pieces that prompts need.

A text tower turns token embeddings (n, L, D) into text features (n, E): positions are added, the blocks run, the final
norm and the projection are applied to one pooled position. OpenCLIP has two layouts of it (`CLIP`, OpenAI's, keeps the
pieces on the model itself; `CustomTextCLIP` in `model.text`); `TextTower` gives both the same names. Text models of the
transformers package, as multilingual models have them, are run whole: only their token embedding is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from vlprompt.errors import BackboneError


@dataclass(frozen=True, eq=False)
class ClassToken:
    """A token behind every prompt whose hidden state becomes the feature, as CoCa has it.

    It is the last key of the mask for padding, which CoCa's published weights were trained with shifted by one: there
    the class token sees the first padding token and not itself, unless no token is padding.

    Attributes:
        embedding: (D,).
        position: in the sequence, behind all tokens.
        padding: the id that the mask takes for padding.
        shifted: whether the mask is.
    """

    embedding: Tensor
    position: int
    padding: int
    shifted: bool


@dataclass(frozen=True, eq=False)
class TextTower:
    """The pieces of a frozen text tower.

    Attributes:
        token_embedding: (vocabulary, D).
        positional_embedding: (context_length, D).
        blocks: the residual attention blocks, first to last.
        final_norm: the LayerNorm before the projection.
        projection: (D, E), or None where features are the pooled hidden states.
        projection_bias: (E,) or None.
        heads: attention heads per block.
        context_length: tokens in a whole sequence (77 for CLIP).
        feature_size: E.
        pooling: which position becomes the feature: "argmax" (the largest token id, CLIP's end token), "eos", "first"
            or "last"; where there is a class token, which position it stands behind. Another name is a pooling of the
            transformers package's text models.
        end_token: the id that "eos" pooling looks for.
        masks: which tokens a token does not see, in words.
        class_token: what CoCa appends; None elsewhere.
        whole_sequence_only: why hidden states may depend on later tokens or on padding; empty for a causal tower whose
            prompts can be encoded in segments.
        encode_tokens: the model's own `encode_text`: ids (n, context_length) -> (n, E), not normalised.
    """

    token_embedding: nn.Embedding
    positional_embedding: Tensor
    blocks: Sequence[ResidualAttentionBlock]
    final_norm: nn.Module
    projection: Tensor | None
    projection_bias: Tensor | None
    heads: int
    context_length: int
    feature_size: int
    pooling: str
    end_token: int
    masks: str
    class_token: ClassToken | None
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

    def encode_to_the_end(self, token_ids: Tensor) -> Tensor:
        """`encode_tokens` without the padding behind the longest text, where no token sees it: ids (n, L) -> (n, E)."""
        if self.whole_sequence_only or self.class_token is not None:
            return self.encode_tokens(token_ids)
        pooled = self.pooled_positions(token_ids)
        length = int(pooled.max()) + 1
        hidden = self.token_embedding(token_ids[:, :length]) + self.positional_embedding[:length]
        mask = _causal_mask(length, hidden)
        for block in self.blocks:
            hidden = block(hidden, attn_mask=mask)
        ends = self.final_norm(hidden[torch.arange(len(hidden), device=hidden.device), pooled])
        if self.projection is None:
            return ends
        return ends @ self.projection if self.projection_bias is None else ends @ self.projection + self.projection_bias

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


def _causal_mask(length: int, like: Tensor) -> Tensor:
    return torch.full((length, length), float("-inf"), dtype=like.dtype, device=like.device).triu(1)


def text_tower_of(model: Any, context_length: int | None = None) -> TextTower:
    """Take the text tower of an OpenCLIP model apart.

    Args:
        context_length: tokens in a sequence, for text models of the transformers package, which take any number.

    Raises:
        BackboneError: the tower is neither one of OpenCLIP's own nor a text model of the transformers package.
    """
    text = getattr(model, "text", model)
    transformer: Any = getattr(text, "transformer", None)
    if isinstance(getattr(text, "token_embedding", None), nn.Embedding) and hasattr(transformer, "resblocks"):
        return _own_tower(model, text, list(transformer.resblocks))
    if hasattr(text, "pooler") and hasattr(transformer, "get_input_embeddings"):
        return _foreign_tower(model, text, transformer.get_input_embeddings(), context_length or 77)
    raise BackboneError(
        f"the text tower of this model ({type(text).__name__}) is neither one of OpenCLIP's own transformers nor a "
        "text model of the transformers package; choose another from vlprompt list backbones."
    )


def _own_tower(model: Any, text: Any, blocks: list[Any]) -> TextTower:
    projection = text.text_projection
    linear = isinstance(projection, nn.Linear)
    matrix = projection.weight.T if linear else projection
    end_token: Any = getattr(text, "text_eos_id", None) or getattr(text, "eos_id", 2)
    class_token = _class_token(text)
    return TextTower(
        token_embedding=text.token_embedding,
        positional_embedding=text.positional_embedding,
        blocks=blocks,
        final_norm=text.ln_final,
        projection=matrix,
        projection_bias=projection.bias if linear else None,
        heads=getattr(getattr(blocks[0], "attn", None), "num_heads", 0),
        context_length=text.context_length,
        feature_size=matrix.shape[1] if matrix is not None else text.token_embedding.weight.shape[1],
        pooling=getattr(text, "text_pool_type", None) or text.pool_type,
        end_token=end_token,
        masks=_masks(text, class_token),
        class_token=class_token,
        whole_sequence_only=_why_not_segments(text, blocks, class_token),
        encode_tokens=partial(model.encode_text, normalize=False),
    )


def _foreign_tower(model: Any, text: Any, embedding: nn.Embedding, context_length: int) -> TextTower:
    """A text model of the transformers package; its own code does all but looking the tokens up."""
    return TextTower(
        token_embedding=embedding,
        positional_embedding=embedding.weight.new_zeros(context_length, embedding.weight.shape[1]),
        blocks=(),
        final_norm=nn.Identity(),
        projection=None,
        projection_bias=None,
        heads=0,
        context_length=context_length,
        feature_size=text.output_dim,
        pooling=type(text.pooler).__name__,
        end_token=0,
        masks="padding",
        class_token=None,
        whole_sequence_only="it is a text model of the transformers package, in which every token sees those behind it",
        encode_tokens=partial(model.encode_text, normalize=False),
    )


def _class_token(text: Any) -> ClassToken | None:
    embedding = getattr(text, "cls_emb", None)
    if embedding is None:
        return None
    # OpenCLIP before 3 knew the shifted mask only.
    shifted = not getattr(text, "correct_cls_mask", False)
    return ClassToken(embedding, text.context_length, text.pad_id, shifted)


def _masks(text: Any, class_token: ClassToken | None) -> str:
    kinds = {
        "later tokens": text.attn_mask is not None,
        "padding": getattr(text, "use_pad_mask", False),
        "padding behind a class token": class_token is not None,
        "shifted by one": class_token is not None and class_token.shifted,
    }
    return ", ".join(kind for kind, there in kinds.items() if there) or "none"


def _why_not_segments(text: Any, blocks: Sequence[nn.Module], class_token: ClassToken | None) -> str:
    pooling = getattr(text, "text_pool_type", None) or text.pool_type
    if text.attn_mask is None:
        return "its attention is not causal: every token's hidden state depends on those behind it, the name's too"
    if pooling not in ("argmax", "eos"):
        return f"it pools the {pooling} position, which is padding"
    if class_token is not None and pooling != "argmax":
        return "where its prompts end is not known by their largest token"
    if not all(type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv") for block in blocks):
        return "its blocks are not plain residual attention blocks"
    return ""
