"""What the methods share that put prompts into the layers of both towers (MaPLe, PromptSRC).

    text     layer j = 1 .. J has M context vectors P_j in the places of the context
    images   layer j has tokens of its own beside the patches; where they come from is the method's

As in the published code P_1 starts from the first words of "a photo of a", whose other words stay before the name, and
P_2 .. P_J from N(0, 0.02). The image tower runs with gradients, so these methods read pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from vlprompt.backbones import Backbone
from vlprompt.errors import BackboneError, SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.prompt_learner import CONTEXT_STD, PromptOptions
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
class DeepPromptOptions:
    """Options of the methods with prompts in the layers of both towers.

    Attributes:
        context_length: M, the context vectors of a text layer, and the tokens of an image layer.
        context_init: words whose first M tokens the context starts from, and whose others stay; None for N(0, 0.02).
        depth: J, the layers with prompts in each tower; "auto" is 9, as published, or all layers where a tower has
            fewer.
        image_prompts: false leaves the image tower as it is.
        memory: bytes for the text tower's activations of a step, or "auto", a quarter of the machine's or the GPU's.
    """

    context_length: int = 4
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


class DeepPrompts(Method):
    """A method with prompts in both towers; only the image tower's differ between methods."""

    options_class = DeepPromptOptions
    options: DeepPromptOptions
    reads = "pixels"
    image_conditioned = False

    @classmethod
    def check_backbone(cls, backbone: Backbone, options: DeepPromptOptions) -> None:
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
        deeper = [self._drawn(generator, backbone.token_width) for _ in range(depth - 1)]
        self.deep_vectors = nn.ParameterList([nn.Parameter(vectors) for vectors in deeper])
        self.prepare_image_tokens(generator)
        self.prompts = build_prompts(backbone, self.class_names, self.options.context_length, before=kept_words)
        self._engine: SegmentsEngine | None = None

    @abstractmethod
    def prepare_image_tokens(self, generator: torch.Generator) -> None:
        """Make what `image_tokens` needs, with initial values from the generator; nothing without `image_prompts`."""

    @abstractmethod
    def image_tokens(self) -> Sequence[Tensor]:
        """Tokens (M, W) of the image tower's layers 1 .. J."""

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        if self._engine is None:
            self._engine = deep_engine(self.backbone, self.prompts, self.options.memory)
        return self._engine(self.context_vectors[None, None], [vectors[None, None] for vectors in self.deep_vectors])

    def encode_images(self, inputs: Tensor) -> Tensor:
        """Pixels (B, 3, H, W), preprocessed -> (B, E), L2-normalised."""
        if not self.options.image_prompts:
            return self.normalised(self.backbone.encode_images(inputs))
        return self.normalised(self.backbone.encode_prompted_images(inputs, self.image_tokens()))

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
            return self._drawn(generator, self.backbone.token_width), ""
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

    def _drawn(self, generator: torch.Generator, width: int) -> Tensor:
        """(M, width) from N(0, 0.02)."""
        drawn = CONTEXT_STD * torch.randn(self.options.context_length, width, generator=generator)
        return drawn.to(self.backbone.device, self.backbone.dtype)
