"""CoCoOp, Conditional Context Optimization (Zhou et al. 2022, arXiv 2203.05557).

A small network, the Meta-Net, adds an image-conditioned token to every context vector, so that the prompt suits the
instance and keeps working for classes that were never trained on:

    pi = h(f(x)),   v_m(x) = v_m + pi                               (section 3.2)
    t_i(x) = {v_1(x), v_2(x), ..., v_M(x), c_i}
    p(y = i | x) = exp(cos(f(x), g(t_i(x))) / tau) / sum_j exp(cos(f(x), g(t_j(x))) / tau)          (eq. 3)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from vlprompt.errors import SettingsError
from vlprompt.methods.method import ScreenedPath
from vlprompt.methods.prompt_learner import WORDS, PromptLearner, random_vectors
from vlprompt.recipes import Recipe, TrainingSettings

REDUCTION = 16
"""How much narrower the Meta-Net's hidden layer is than an image feature (section 3.2)."""

_PUBLISHED = TrainingSettings(epochs=10, batch_size=1)
_FAST = TrainingSettings(epochs=10, batch_size=8, learning_rate=0.016)


class CoCoOp(PromptLearner):
    """A learned context and a Meta-Net h that shifts it for each image."""

    name = "cocoop"
    title = "CoCoOp"
    about = "a learned context that each picture shifts"
    source = "CoCoOp, Zhou et al. 2022, arXiv 2203.05557"
    # The accuracy of cocoop-fast stands beside the published recipe's in speed/RESULTS.md.
    recipes = (
        Recipe("cocoop", _PUBLISHED, WORDS, "vit_b16_c4_ep10_batch1_ctxv1.yaml"),
        Recipe("cocoop-fast", _FAST, WORDS, "ours: batches of 8, learning rate times 8"),
        Recipe("cocoop-random-4", _PUBLISHED, random_vectors(4), "vit_b16_c4_ep10_batch1.yaml"),
        Recipe("cocoop-random-8", _PUBLISHED, random_vectors(8), "vit_b16_c8_ep10_batch1.yaml"),
        Recipe("cocoop-random-16", _PUBLISHED, random_vectors(16), "vit_b16_c16_ep10_batch1.yaml"),
    )

    def prepare(self) -> None:
        if self.options.class_specific:
            raise SettingsError("class_specific is True; CoCoOp shares one context, only coop has class-specific ones.")
        super().prepare()
        self.meta_net = self._initial_meta_net()

    def context(self, image_features: Tensor) -> Tensor:
        """v_m + h(f(x)): (B, E), L2-normalised -> (B, 1, M, D)."""
        return self.context_of_hidden(self.hidden(image_features))

    def hidden(self, image_features: Tensor) -> Tensor:
        """The Meta-Net's hidden activation, the E/16 numbers through which an image acts: (B, E) -> (B, E/16)."""
        return self.meta_net.relu(self.meta_net.linear1(image_features))

    def context_of_hidden(self, hidden: Tensor) -> Tensor:
        """The context, which is linear in the hidden activation: (B, E/16) -> (B, 1, M, D)."""
        shift = self.meta_net.linear2(hidden)  # (B, D)
        return (self.context_vectors + shift[:, None])[:, None]

    def screening(self) -> ScreenedPath:
        return self.screened_path(self.meta_net.linear1.out_features, self.hidden, self.context_of_hidden)

    def _initial_meta_net(self) -> Any:
        """Linear(E, E/16) - ReLU - Linear(E/16, D), with torch's default initial values drawn from the seed."""
        width, hidden = self.backbone.feature_size, self.backbone.feature_size // REDUCTION
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
            layers = OrderedDict(
                linear1=nn.Linear(width, hidden), relu=nn.ReLU(), linear2=nn.Linear(hidden, self.backbone.token_width)
            )
        return nn.Sequential(layers).to(self.backbone.device, self.backbone.dtype)
