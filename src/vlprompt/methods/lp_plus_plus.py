"""LP++ (Huang et al. 2024, arXiv 2404.02285): a linear probe whose classes blend pictures and words.

    logits_k = f . (w_k + alpha_k t_k)                                              (eq. 4)

Visual prototypes w and blending weights alpha minimise the mean cross-entropy by block coordinate descent. The step
sizes follow from Lipschitz constants of the gradients (section 3.3), so that nothing is tuned:

    step of w = 4 n / lambda_max(F^T F),    step of alpha = n / (4 max_k sum_i (f_i . t_k)^2)

w starts from the sums of the classes' features, every alpha from the mean over the classes of 250 mean_i(f_i . t_k). As
in the published code, 300 steps of w have momentum 0.9, and alpha takes a step after every tenth. The published code
keeps the step that is best on a validation split of as many pictures; here the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.methods.folds import choose
from vlprompt.methods.head import LinearHead
from vlprompt.methods.method import TrainingSet
from vlprompt.recipes import Recipe
from vlprompt.settings_checks import whole_number

ALPHA_SCALE = 250.0
MOMENTUM = 0.9
ALPHA_EVERY = 10


@dataclass(frozen=True)
class LPPlusPlusOptions:
    """Options of LP++.

    Attributes:
        steps: of the descent.
    """

    steps: int = 300

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number("steps", self.steps, least=1))


class LPPlusPlus(LinearHead):
    """A linear probe with learned class-wise weights of the words."""

    name = "lp++"
    title = "LP++"
    about = "a linear probe that blends pictures and words class by class"
    source = "LP++, Huang et al. 2024, arXiv 2404.02285"
    recipes = (Recipe("lp++", source="300 steps of the paper's sizes"),)
    options_class = LPPlusPlusOptions
    options: LPPlusPlusOptions

    def setup(self, training_set: TrainingSet) -> None:
        features, labels = training_set.features.double(), training_set.labels
        words = self.text_features.double()

        def logits_of(features: Tensor, labels: Tensor, held_out: Tensor) -> list[Tensor]:
            prototypes, bias, alpha = blended(features, labels, words, self.options.steps)
            return [held_out @ (prototypes + alpha[:, None] * words).T + bias]

        self.chosen(choose([None], features, labels, self.seed, logits_of, None))
        prototypes, bias, alpha = blended(features, labels, words, self.options.steps)
        self.keep(prototypes + alpha[:, None] * words, bias)

    def logits(self, images: Tensor) -> Tensor:
        return self.linear_logits(images)


def blended(features: Tensor, labels: Tensor, words: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes w (N, E), biases (N,) and blending weights alpha (N,).

    Args:
        features: (n, E), L2-normalised.
        labels: (n,); every class has at least one.
        words: t, (N, E), L2-normalised.
    """
    count, classes = len(features), len(words)
    truth = F.one_hot(labels, classes).to(features)  # (n, N)
    text_logits = features @ words.T
    own = (text_logits * truth).sum(0) / truth.sum(0)  # mean_i f_i . t_k over the pictures of class k
    alpha = (ALPHA_SCALE * own.mean()).expand(classes).clone()
    weight, bias = truth.T @ features, torch.zeros_like(alpha)
    weight_step = 4 * count / torch.linalg.eigvalsh(features.T @ features)[-1]
    alpha_step = count / (4 * text_logits.square().sum(0).max())
    weight_speed, bias_speed = torch.zeros_like(weight), torch.zeros_like(bias)
    for step in range(1, steps + 1):
        logits = features @ weight.T + bias + alpha * text_logits
        error = (logits.softmax(1) - truth) / count  # the gradient of the mean cross-entropy, (n, N)
        if step % ALPHA_EVERY == 0:
            alpha = alpha - alpha_step * (error * text_logits).sum(0)
        weight_speed = MOMENTUM * weight_speed + error.T @ features
        bias_speed = MOMENTUM * bias_speed + error.sum(0)
        weight, bias = weight - weight_step * weight_speed, bias - weight_step * bias_speed
    return weight, bias, alpha
