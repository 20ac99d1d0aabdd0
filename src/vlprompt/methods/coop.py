"""CoOp, Context Optimization (Zhou et al. 2021, arXiv 2109.01134).

The words around the class name become vectors learned by cross-entropy, one context for all classes (eq. 2: unified) or
one for each (section 3.2: class-specific):

    t_i = [V]_1 [V]_2 ... [V]_M [CLASS]_i
    p(y = i | x) = exp(cos(g(t_i), f(x)) / tau) / sum_j exp(cos(g(t_j), f(x)) / tau)
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vlprompt.methods.prompt_learner import WORDS, PromptLearner, random_vectors
from vlprompt.recipes import Recipe, TrainingSettings

_EPOCHS_50, _EPOCHS_100, _EPOCHS_200 = (TrainingSettings(epochs=epochs, batch_size=32) for epochs in (50, 100, 200))


def _few_shot(shots: int, training: TrainingSettings, file: str) -> Recipe:
    return Recipe(f"coop-few-shot-{shots}", training, random_vectors(16), file, protocols=("few-shot",), shots=shots)


class CoOp(PromptLearner):
    """A learned context, the same for every image."""

    name = "coop"
    title = "CoOp"
    about = "one learned context for all pictures"
    source = "CoOp, Zhou et al. 2021, arXiv 2109.01134"
    # Few-shot CoOp was published on RN50, with the class name at the end and in the middle, with one context for all
    # classes and one a class: the recipe holds the first of each; `position` and `class_specific` have the others.
    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe("coop-base-to-new", _EPOCHS_200, WORDS, "vit_b16_ctxv1.yaml"),
        _few_shot(1, _EPOCHS_50, "rn50_ep50.yaml"),
        _few_shot(2, _EPOCHS_100, "rn50_ep100.yaml"),
        _few_shot(4, _EPOCHS_100, "rn50_ep100.yaml"),
        _few_shot(8, _EPOCHS_200, "rn50.yaml"),
        _few_shot(16, _EPOCHS_200, "rn50.yaml"),
        Recipe("coop-few-shot-imagenet", _EPOCHS_50, random_vectors(16), "rn50_ep50.yaml"),
        # Both protocols train on ImageNet.
        Recipe(
            "coop-imagenet",
            _EPOCHS_50,
            WORDS,
            "vit_b16_ep50_ctxv1.yaml",
            protocols=("cross-dataset", "domain-shift"),
        ),
    )
    image_conditioned = False

    def context(self, image_features: Tensor) -> Tensor:
        """(B, E) -> (1, 1, M, D), or (1, N, M, D) with class-specific contexts."""
        vectors = self.context_vectors
        return vectors[None] if vectors.ndim == 3 else vectors[None, None]
