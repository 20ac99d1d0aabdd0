"""MaPLe, Multi-modal Prompt Learning (Khattak et al. 2023, arXiv 2210.03117).

Prompts in both towers, in the first J layers of each, coupled so that they learn together:

    text   block j = 1 .. J gets context vectors P_j in the places of the context       (section 3.2.1)
    image  block j gets tokens F_j(P_j) behind the patches, F_j linear                  (section 3.2.2, 3.2.3)

As in the published code P_1 starts from the first words of "a photo of a", whose other words stay; P_2 .. P_J start
from N(0, 0.02). The image tower runs with gradients, so MaPLe reads pixels; whole prompts go through the text tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vlprompt.backbones.deep_prompts import check_takes_image_prompts, deep_text_prompts, image_prompts
from vlprompt.errors import SettingsError
from vlprompt.methods.method import Method, Output
from vlprompt.methods.prompt_learner import CONTEXT_STD
from vlprompt.prompting.plain import PlainEngine
from vlprompt.prompting.prompts import build_prompts, word_tokens, words_of


@dataclass(frozen=True)
class MaPLeOptions:
    """Options of MaPLe.

    Attributes:
        context_length: M, the context vectors of a layer, and the tokens of an image layer.
        context_init: words whose first M tokens the context starts from; the others stay words.
        depth: J, the layers with prompts, of each tower.
        image_prompts: whether the image tower has prompts; without them and at depth 1 it is CoOp.
    """

    context_length: int = 2
    context_init: str = "a photo of a"
    depth: int = 9
    image_prompts: bool = True

    def __post_init__(self) -> None:
        for name in ("context_length", "depth"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name} is {value!r}; it must be a whole number of at least 1.")
        if not self.context_init.strip():
            raise SettingsError("context_init is empty; give words such as 'a photo of a'.")


class MaPLe(Method):
    """Coupled prompts in both towers."""

    name = "maple"
    options_class = MaPLeOptions
    options: MaPLeOptions
    reads = "pixels"

    def prepare(self) -> None:
        backbone, options, generator = self.backbone, self.options, torch.Generator().manual_seed(self.seed)
        deepest = len(backbone.text.blocks)
        if options.image_prompts:
            visual = check_takes_image_prompts(backbone.model)
            deepest = min(deepest, len(visual.transformer.resblocks))
        if options.depth > deepest:
            raise SettingsError(f"depth is {options.depth}, and the towers have {deepest} layers; use at most that.")
        replaced, kept = self._split_words(words_of(options.context_init))
        (ids,) = word_tokens(backbone, [replaced])
        self.context_vectors = nn.Parameter(backbone.embed_tokens(torch.tensor(ids)).clone())
        shape = (options.context_length, backbone.token_width)
        drawn = [CONTEXT_STD * torch.randn(shape, generator=generator) for _ in range(options.depth - 1)]
        self.deep_vectors = nn.ParameterList([nn.Parameter(vectors.to(self.context_vectors)) for vectors in drawn])
        names = [f"{kept} {words_of(name)}".strip() for name in self.class_names]
        prompts = build_prompts(backbone, names, options.context_length)
        self.start, self.encode_prompts = prompts.start, PlainEngine(backbone, prompts)
        if options.image_prompts:
            width = backbone.model.visual.conv1.out_channels
            self.projections = nn.ModuleList([self._projection(width, generator) for _ in range(options.depth)])

    def _split_words(self, words: str) -> tuple[str, str]:
        """The words whose tokens the context vectors replace, and those that stay."""
        parts = words.split()
        firsts = [" ".join(parts[:end]) for end in range(len(parts) + 1)]
        counts = [len(ids) for ids in word_tokens(self.backbone, firsts)]
        if self.options.context_length not in counts:
            raise SettingsError(
                f"context_length is {self.options.context_length}, and no first words of context_init {words!r} have "
                f"so many tokens; it has {counts[-1]} in all."
            )
        end = counts.index(self.options.context_length)
        return " ".join(parts[:end]), " ".join(parts[end:])

    def _projection(self, width: int, generator: torch.Generator) -> nn.Linear:
        """F_j with torch's default initial values, drawn from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return nn.Linear(self.backbone.token_width, width).to(self.backbone.device, self.backbone.dtype)

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        with deep_text_prompts(self.backbone.text.blocks, self.start, list(self.deep_vectors)):
            return self.encode_prompts(self.context_vectors[None, None])

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), preprocessed -> (B, E), not normalised, with gradients."""
        with self._prompted_images(), self.backbone.autocast():
            return self.backbone.model.encode_image(pixels.to(self.backbone.dtype)).to(self.backbone.dtype)

    @contextmanager
    def _prompted_images(self) -> Iterator[None]:
        if not self.options.image_prompts:
            yield
            return
        vectors = [self.context_vectors, *self.deep_vectors]
        first, *deeper = [project(layer) for project, layer in zip(self.projections, vectors, strict=True)]
        with image_prompts(self.backbone.model, first, deeper):
            yield

    def forward(self, pixels: Tensor) -> Output:
        """Logits of preprocessed pixels (B, 3, H, W)."""
        images = self.normalised(self.encode_images(pixels.to(self.backbone.device)))
        return self._output(images, self.class_features(images))
