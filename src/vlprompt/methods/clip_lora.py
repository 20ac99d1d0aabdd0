"""CLIP-LoRA, Low-Rank Few-Shot Adaptation of Vision-Language Models (Zanella and Ben Ayed 2024, arXiv 2405.18541).

The words of the template stay, and both towers learn: in every block the projections of queries, keys and values become

    W' = W + s B A,    A (r, D) drawn at random, B (D, r) from 0, so that training starts from zero-shot CLIP

and W stays frozen. As in the published code s is alpha / sqrt(r), dropout comes before A in training, separately for
queries, keys and values, and A starts as `nn.Linear` does. Without gradients B A is added to W once and the towers run
as fast as ever.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.backbones import Backbone
from vlprompt.errors import BackboneError
from vlprompt.methods.method import Method
from vlprompt.methods.templates import check_template
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import choice, number, whole_number
from vlprompt.text_engine import tokenize, words_of

ITERATIONS_A_SHOT = 500
SOURCE = "the defaults of run_utils.py"
PROJECTIONS = 3
"""Queries, keys and values."""


@dataclass(frozen=True)
class CLIPLoRAOptions:
    """Options of CLIP-LoRA.

    Attributes:
        rank: r, of every change.
        lora_alpha: alpha; changes count alpha / sqrt(r).
        lora_dropout: share of a projection's input that its change does not see in a training step.
        encoders: which towers learn: "both", "image" or "text".
    """

    rank: int = 2
    lora_alpha: float = 1.0
    lora_dropout: float = 0.25
    encoders: Literal["both", "image", "text"] = "both"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", whole_number("rank", self.rank, least=1))
        object.__setattr__(self, "lora_alpha", number("lora_alpha", self.lora_alpha, above=0.0))
        object.__setattr__(self, "lora_dropout", number("lora_dropout", self.lora_dropout, least=0.0, below=1.0))
        object.__setattr__(self, "encoders", choice("encoders", self.encoders, ("both", "image", "text")))

    @property
    def towers(self) -> tuple[Literal["image", "text"], ...]:
        """The towers that learn."""
        return ("image", "text") if self.encoders == "both" else (self.encoders,)


def _settings(shots: int) -> TrainingSettings:
    return TrainingSettings(
        iterations=ITERATIONS_A_SHOT * shots,
        batch_size=32,
        learning_rate=2e-4,
        warmup_epochs=0,
        optimizer="adamw",
        weight_decay=0.01,
        views=None,
    )


def _few_shot(shots: int) -> Recipe:
    return Recipe(f"clip-lora-{shots}", _settings(shots), source=SOURCE, protocols=("few-shot",), shots=shots)


class CLIPLoRA(Method):
    """Low-rank changes of both towers."""

    name = "clip-lora"
    title = "CLIP-LoRA"
    about = "low-rank changes of the attention in both towers; reads pixels"
    source = "CLIP-LoRA, Zanella and Ben Ayed 2024, arXiv 2405.18541"
    recipes = (Recipe("clip-lora", _settings(16), source=SOURCE), *map(_few_shot, (1, 2, 4, 8, 16)))
    options_class = CLIPLoRAOptions
    options: CLIPLoRAOptions
    reads = "pixels"
    image_conditioned = False

    @classmethod
    def check_backbone(cls, backbone: Backbone, options: CLIPLoRAOptions) -> None:
        """Raise where a tower that shall learn has other attention."""
        for tower in options.towers:
            try:
                backbone.attention_modules(tower)
            except BackboneError as error:
                other = "text" if tower == "image" else "image"
                raise BackboneError(f"{str(error)[:-1]}, or encoders {other} for the {other} tower alone.") from error

    def prepare(self) -> None:
        backbone, options = self.backbone, self.options
        generator = torch.Generator().manual_seed(self.seed)
        self.changes = nn.ModuleDict()
        for tower in options.towers:
            modules = backbone.attention_modules(tower)
            made = [LowRank(one.embed_dim, options.rank, options.lora_alpha, generator) for one in modules]
            self.changes[tower] = nn.ModuleList(made).to(backbone.device, backbone.dtype)
        template = check_template(self.template)
        texts = [template.replace("{}", words_of(name)) for name in self.class_names]
        self.token_ids = tokenize(backbone, texts, self.class_names)

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        if "text" not in self.changes:
            return self.backbone.encode_texts(self.token_ids)[None]
        return self.backbone.encode_texts_through(self.token_ids, self._attention("text"))[None]

    def encode_images(self, inputs: Tensor) -> Tensor:
        """Pixels (B, 3, H, W), preprocessed -> (B, E), L2-normalised."""
        if "image" not in self.changes:
            return self.normalised(self.backbone.encode_images(inputs))
        return self.normalised(self.backbone.encode_images_through(inputs, self._attention("image")))

    def _attention(self, tower: Literal["image", "text"]) -> list[nn.Module]:
        """The attention modules of a tower with their changes: added to the weights where no gradient is asked for."""
        changes: Any = self.changes[tower]
        pairs = zip(self.backbone.attention_modules(tower), changes, strict=True)
        if not torch.is_grad_enabled():
            return [change.added_to(attention) for attention, change in pairs]
        dropout = self.options.lora_dropout if self.training else 0.0
        return [ChangedAttention(attention, change, dropout) for attention, change in pairs]


class LowRank(nn.Module):
    """s B A of the queries, keys and values of one block: A (3, r, D), B (3, D, r)."""

    def __init__(self, width: int, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = alpha / math.sqrt(rank)
        bound = 1 / math.sqrt(width)
        drawn = torch.rand(PROJECTIONS, rank, width, generator=generator)
        self.down = nn.Parameter(bound * (2 * drawn - 1))
        self.up = nn.Parameter(torch.zeros(PROJECTIONS, width, rank))

    def forward(self, hidden: Tensor, dropout: float) -> Tensor:
        """What the change adds to the projections: (B, L, D) -> (B, L, 3 D)."""
        seen = hidden[:, :, None].expand(-1, -1, PROJECTIONS, -1)
        seen = F.dropout(seen, dropout) if dropout else seen
        inner = torch.einsum("blpd,prd->blpr", seen, self.down)
        return self.scale * torch.einsum("blpr,pdr->blpd", inner, self.up).flatten(2)

    def added_to(self, attention: nn.MultiheadAttention) -> nn.MultiheadAttention:
        """The attention module itself over other weights; the given one stays as it is."""
        changed = copy.copy(attention)
        weight: Any = attention.in_proj_weight + self.scale * (self.up @ self.down).flatten(0, 1)
        changed._parameters = attention._parameters | {"in_proj_weight": weight}
        return changed


class ChangedAttention(nn.Module):
    """Frozen attention of H heads with a change beside its projections, with gradients to the change."""

    def __init__(self, attention: nn.MultiheadAttention, change: LowRank, dropout: float) -> None:
        super().__init__()
        self.attention, self.change, self.dropout = attention, change, dropout

    def forward(
        self, hidden: Tensor, keys: Tensor, values: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Self-attention over (B, L, D), called as `nn.MultiheadAttention` is: keys and values are the queries."""
        frozen = self.attention
        projected = F.linear(hidden, frozen.in_proj_weight, frozen.in_proj_bias) + self.change(hidden, self.dropout)
        queries, keys, values = projected.unflatten(2, (PROJECTIONS, frozen.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if attn_mask is not None and attn_mask.ndim == 3:  # one a text and head, as CoCa has them
            attn_mask = attn_mask.unflatten(0, (len(hidden), -1))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask)
        return frozen.out_proj(attended.transpose(1, 2).flatten(2)), None
