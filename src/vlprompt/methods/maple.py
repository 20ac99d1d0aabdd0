"""MaPLe, Multi-modal Prompt Learning (Khattak et al. 2023, arXiv 2210.03117).

Prompts in both towers, in the first J layers of each, coupled so that they learn together:

    text     layer j = 1 .. J has M context vectors P_j in the places of the context              (section 3.2.1)
    images   layer j has M tokens F_j(P_j) beside the patches, F_j a linear layer                 (section 3.2.2, 3.2.3)

How P_1 .. P_J start stands in `deep_prompts`; as in the published code F_2 .. F_J start alike.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vlprompt.methods.deep_prompts import DeepPromptOptions, DeepPrompts
from vlprompt.recipes import Recipe, TrainingSettings


@dataclass(frozen=True)
class MaPLeOptions(DeepPromptOptions):
    """Options of MaPLe; with depth 1 and without image prompts it is CoOp."""

    context_length: int = 2


class MaPLe(DeepPrompts):
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

    def prepare_image_tokens(self, generator: torch.Generator) -> None:
        """F_1 .. F_J with torch's default initial values, drawn from the seed."""
        if not self.options.image_prompts:
            self.projections = nn.ModuleList()
            return
        backbone = self.backbone
        _, width = backbone.image_prompt_places()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            first, second = (nn.Linear(backbone.token_width, width) for _ in range(2))
        layers = [first, *(copy.deepcopy(second) for _ in self.deep_vectors)]
        self.projections = nn.ModuleList(layer.to(backbone.device, backbone.dtype) for layer in layers)

    def image_tokens(self) -> Sequence[Tensor]:
        """F_j(P_j), (M, W) each."""
        layers = [self.context_vectors, *self.deep_vectors]
        return [project(vectors) for project, vectors in zip(self.projections, layers, strict=True)]
