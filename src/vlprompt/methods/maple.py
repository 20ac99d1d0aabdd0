"""MaPLe, Multi-modal Prompt Learning (Khattak et al. 2023, arXiv 2210.03117).

Prompts in both towers, in the first J layers of each, coupled so that they learn together:

    text     layer j = 1 .. J has M context vectors P_j in the places of the context              (section 3.2.1)
    images   layer j has M tokens F_j(P_j) beside the patches, F_j a linear layer                 (section 3.2.2, 3.2.3)

As in the published code P_1 starts from the first words of "a photo of a", whose other words stay before the name, and
P_2 .. P_J from N(0, 0.02); F_2 .. F_J start alike. The image tower runs with gradients, so MaPLe reads pixels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from vlprompt.backbones import Backbone
from vlprompt.errors import BackboneError, SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.prompt_learner import CONTEXT_STD, PromptOptions
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import plain, truth_value, whole_number
from vlprompt.text_engine import (
    EngineChoice,
    SegmentsEngine,
    build_prompts,
    check_engine,
    check_takes_deeper_contexts,
    deep_engine,
    words_of,
)
from vlprompt.text_engine.prompts import word_tokens

PUBLISHED_DEPTH = 9


@dataclass(frozen=True)
class MaPLeOptions:
    """Options of MaPLe.

    Attributes:
        context_length: M, the context vectors of a text layer, and the tokens of an image layer.
        context_init: words whose first M tokens the context starts from, and whose others stay; None for N(0, 0.02).
        depth: J, the layers with prompts in each tower; "auto" is 9, as published, or all layers where a tower has
            fewer.
        image_prompts: false leaves the image tower as it is; with depth 1 it is then CoOp.
        memory: bytes for the text tower's activations of a step, or "auto", a quarter of the machine's or the GPU's.
    """

    context_length: int = 2
    context_init: str | None = "a photo of a"
    depth: Literal["auto"] | int = "auto"
    image_prompts: bool = True
    memory: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        # A context of words is checked as every other.
        PromptOptions(context_length=self.context_length, context_init=self.context_init)
        object.__setattr__(self, "context_length", plain(self.context_length))
        object.__setattr__(self, "image_prompts", truth_value("image_prompts", self.image_prompts))
        object.__setattr__(self, "memory", plain(self.memory))
        if self.depth != "auto":
            object.__setattr__(self, "depth", whole_number("depth", self.depth, least=1, instead=" or 'auto'"))


class MaPLe(Method):
    """Coupled prompts in both towers."""

    name = "maple"
    title = "MaPLe"
    about = "coupled prompts in the layers of both towers; reads pixels"
    source = "MaPLe, Khattak et al. 2023, arXiv 2210.03117"
    recipes = (
        Recipe(
            "maple",
            TrainingSettings(epochs=5, batch_size=4, learning_rate=0.0035, views=None),
            source="vit_b16_c2_ep5_batch4_2ctx.yaml",
        ),
        # Both protocols train on ImageNet.
        Recipe(
            "maple-imagenet",
            TrainingSettings(epochs=2, batch_size=4, learning_rate=0.0026, views=None),
            {"depth": 3},
            "vit_b16_c2_ep5_batch4_2ctx_cross_datasets.yaml",
            protocols=("cross-dataset", "domain-shift"),
        ),
    )
    options_class = MaPLeOptions
    options: MaPLeOptions
    reads = "pixels"
    image_conditioned = False

    @classmethod
    def check_backbone(cls, backbone: Backbone, options: MaPLeOptions) -> None:
        """Raise where the text tower takes no deeper contexts, or the image tower no tokens and they are wanted."""
        check_takes_deeper_contexts(backbone)
        if not options.image_prompts:
            return
        try:
            backbone.image_prompt_places()
        except BackboneError as error:
            text_alone = "or image_prompts false for prompts in the text tower alone."
            raise BackboneError(f"{str(error)[:-1]}, {text_alone}") from error

    def prepare(self) -> None:
        backbone = self.backbone
        check_engine(backbone, "auto", self.options.memory)
        depth = self._depth()
        self.options = replace(self.options, depth=depth)  # so that a saved model says what "auto" was
        generator = torch.Generator().manual_seed(self.seed)
        first, kept_words = self._first_context(generator)
        self.context_vectors = nn.Parameter(first)
        deeper = [self._drawn(generator) for _ in range(depth - 1)]
        self.deep_vectors = nn.ParameterList([nn.Parameter(vectors) for vectors in deeper])
        self.projections = nn.ModuleList(self._initial_projections(generator) if self.options.image_prompts else [])
        self.prompts = build_prompts(backbone, self.class_names, self.options.context_length, before=kept_words)
        self._engine: SegmentsEngine | None = None

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        if self._engine is None:
            self._engine = deep_engine(self.backbone, self.prompts, self.options.memory)
        return self._engine(self.context_vectors[None, None], [vectors[None, None] for vectors in self.deep_vectors])

    def encode_images(self, inputs: Tensor) -> Tensor:
        """Pixels (B, 3, H, W), preprocessed -> (B, E), L2-normalised."""
        if not self.options.image_prompts:
            return self.normalised(self.backbone.encode_images(inputs))
        layers = [self.context_vectors, *self.deep_vectors]
        tokens = [project(vectors) for project, vectors in zip(self.projections, layers, strict=True)]
        return self.normalised(self.backbone.encode_prompted_images(inputs, tokens))

    def text_engine(self) -> EngineChoice:
        return EngineChoice("autograd", "contexts in deeper layers need it")

    def _depth(self) -> int:
        """J; "auto" is the published one, or all layers of a tower that has fewer."""
        depth, layers = self.options.depth, [len(self.backbone.text.blocks)]
        if self.options.image_prompts:
            layers.append(self.backbone.image_prompt_places()[0])
        if depth == "auto":
            return min(PUBLISHED_DEPTH, *layers)
        if depth > min(layers):
            raise SettingsError(
                f"depth is {depth}, and a tower of the backbone {self.backbone.name!r} has {min(layers)} layers; use "
                "at most that, or 'auto'."
            )
        return depth

    def _first_context(self, generator: torch.Generator) -> tuple[Tensor, str]:
        """P_1, (M, D), and the words that stay before the names."""
        length, words = self.options.context_length, self.options.context_init
        if words is None:
            return self._drawn(generator), ""
        parts = words_of(words).split()
        starts = [" ".join(parts[:end]) for end in range(len(parts) + 1)]
        tokens = word_tokens(self.backbone, starts)
        for end, ids in enumerate(tokens):
            if len(ids) == length:
                return self.backbone.embed_tokens(torch.tensor(ids)).clone(), " ".join(parts[end:])
        raise SettingsError(
            f"context_length is {length}, and no first words of context_init {words!r} have so many tokens (it has "
            f"{len(tokens[-1])} in all); choose other words, another length, or context_init=None for random vectors."
        )

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """(M, D) from N(0, 0.02)."""
        shape = (self.options.context_length, self.backbone.token_width)
        drawn = CONTEXT_STD * torch.randn(shape, generator=generator)
        return drawn.to(self.backbone.device, self.backbone.dtype)

    def _initial_projections(self, generator: torch.Generator) -> list[nn.Module]:
        """F_1 .. F_J with torch's default initial values, drawn from the seed."""
        backbone = self.backbone
        _, width = backbone.image_prompt_places()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            first, second = (nn.Linear(backbone.token_width, width) for _ in range(2))
        layers = [first, *(copy.deepcopy(second) for _ in self.deep_vectors)]
        return [layer.to(backbone.device, backbone.dtype) for layer in layers]
