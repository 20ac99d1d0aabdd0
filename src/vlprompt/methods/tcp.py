"""TCP, Textual-based Class-aware Prompt tuning (Yao et al. 2024, arXiv 2311.18231).

KgCoOp whose context, deep in the text tower, gives way to vectors that each class's own words make:

    T_i = W_up a(W_down w_i^clip),  M vectors of width D             (textual knowledge embedding, section 3.2)
    the context's hidden states of class i become T_i before layer l      (class-aware prompts, section 3.2)

with w_i^clip the L2-normalised feature of class i in the data set's template, a QuickGELU and a hidden width of E / 4.
As in the published code l is 9, a prompt ends as the template does ("..., a type of pet."), and the loss is KgCoOp's
with lambda 8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError
from vlprompt.methods.kgcoop import KgCoOp, KgCoOpOptions
from vlprompt.methods.prompt_learner import random_vectors
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import number, whole_number
from vlprompt.text_engine import (
    EngineChoice,
    Prompts,
    SegmentsEngine,
    build_prompts,
    check_takes_deeper_contexts,
    deep_engine,
)

PUBLISHED_LAYER = 9


@dataclass(frozen=True)
class TCPOptions(KgCoOpOptions):
    """Options of TCP.

    Attributes:
        injection_layer: l, of the text tower, counted from 1, before which the class's vectors come in; "auto" is 9, as
            published, or the last layer of a tower that has fewer.
        injection_weight: of the class's vectors, the rest of 1 being the context's hidden states; 0 is KgCoOp.
    """

    injection_layer: Literal["auto"] | int = "auto"
    injection_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "injection_weight", number("injection_weight", self.injection_weight, least=0.0))
        if self.injection_weight > 1:
            raise SettingsError(f"injection_weight is {self.injection_weight}; it must be at most 1.")
        if self.injection_layer != "auto":
            layer = whole_number("injection_layer", self.injection_layer, least=2, instead=" or 'auto'")
            object.__setattr__(self, "injection_layer", layer)
        if self.engine not in ("auto", "autograd"):
            raise SettingsError(
                f"engine is {self.engine!r}; TCP changes prompts in a deeper layer, which only 'autograd' computes; "
                "use 'auto'."
            )


class TCP(KgCoOp):
    """A learned context that deep in the tower becomes each class's own."""

    name = "tcp"
    title = "TCP"
    about = "kgcoop, whose context becomes each class's own deep in the text tower"
    source = "TCP, Yao et al. 2024, arXiv 2311.18231"
    recipes = (
        Recipe(
            "tcp",
            TrainingSettings(epochs=50, batch_size=32, optimizer="adam", epsilon=1e-3),
            random_vectors(4),
            "vit_b16_ep100_ctxv1.yaml, with Adam's epsilon from the published README",
        ),
    )
    options_class = TCPOptions
    options: TCPOptions

    @classmethod
    def check_backbone(cls, backbone: Backbone, options: TCPOptions) -> None:
        """Raise where the text tower takes no deeper contexts, or has not so many layers."""
        check_takes_deeper_contexts(backbone)
        layers, layer = len(backbone.text.blocks), options.injection_layer
        if layers < 2 or (layer != "auto" and layer > layers):
            raise SettingsError(
                f"injection_layer is {layer!r}, and the text tower of the backbone {backbone.name!r} has {layers} "
                "layers; use 'auto', or a layer from the second to the last."
            )

    def prepare(self) -> None:
        super().prepare()
        asked = self.options.injection_layer
        layer = min(PUBLISHED_LAYER, len(self.backbone.text.blocks)) if asked == "auto" else asked
        self.options = replace(self.options, injection_layer=layer)  # so that a saved model says what "auto" was
        self._layers_without = [None] * (layer - 2)
        self.knowledge = self._initial_knowledge()
        self._engine: SegmentsEngine | None = None

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        if self._engine is None:
            of_class = range(len(self.class_names))
            self._engine = deep_engine(self.backbone, self.prompts, self.options.memory, context_of=of_class)
        context = self.context_vectors.expand(1, len(self.class_names), -1, -1)
        return self._engine(context, [*self._layers_without, self.class_vectors()], self.options.injection_weight)

    def class_vectors(self) -> Tensor:
        """T, (1, N, M, D)."""
        return self.knowledge(self.words).unflatten(1, (self.prompts.context_length, -1))[None]

    def text_engine(self) -> EngineChoice:
        return EngineChoice("autograd", "contexts in deeper layers need it")

    def _prompts(self) -> Prompts:
        length, position = self.context_vectors.shape[-2], self.options.position
        _, _, ending = self.template.partition("{}")
        return build_prompts(self.backbone, self.class_names, length, position, after=ending)

    def _initial_knowledge(self) -> nn.Sequential:
        """W_down, a and W_up with torch's default initial values, drawn from the seed."""
        backbone = self.backbone
        width, size = backbone.feature_size, self.prompts.context_length * backbone.token_width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
            layers = nn.Sequential(nn.Linear(width, width // 4), QuickGELU(), nn.Linear(width // 4, size))
        return layers.to(backbone.device, backbone.dtype)
