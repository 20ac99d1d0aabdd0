"""CLAP, class-adaptive linear probing (Silva-Rodriguez et al. 2024, arXiv 2312.12730).

A linear probe that starts as the zero-shot classifier and is held near it, so that it needs no validation pictures:

    logits_k = exp(s) cos(f, w_k),    w_k = t_k at first                           (section 3.1, ZS-LP)
    L = L_ce + 1/N sum_k lambda_k |w_k - t_k|^2                                    (section 4, eq. 8)

where lambda_k is the mean probability that zero-shot CLIP gives the right class on the pictures of class k: what the
words know well may move least. As in the published code the text features t_k are not normalised in the distance. There
lambda comes from augmented views; here from the pictures themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.methods.head import Head
from vlprompt.methods.method import Output, TrainingSet
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import truth_value


@dataclass(frozen=True)
class CLAPOptions:
    """Options of CLAP.

    Attributes:
        constraint: hold the weights near the words; false is the plain zero-shot initialised probe (ZS-LP).
    """

    constraint: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint", truth_value("constraint", self.constraint))


_PUBLISHED = TrainingSettings(epochs=300, batch_size=256, learning_rate=0.1, weight_decay=0.0, views=20)


class CLAP(Head):
    """A linear probe that starts from the words and stays near them."""

    name = "clap"
    title = "CLAP"
    about = "a linear probe that starts from the words and stays near them"
    source = "CLAP, Silva-Rodriguez et al. 2024, arXiv 2312.12730"
    recipes = (Recipe("clap", _PUBLISHED, source="SGD_lr1e-1_B256_ep300.yaml"),)
    options_class = CLAPOptions
    options: CLAPOptions
    learns = True

    multipliers: Tensor

    def prepare(self) -> None:
        super().prepare()
        self.weight = nn.Parameter(self.words.weights.clone())
        self.register_buffer("multipliers", torch.zeros_like(self.weight[:, 0]))

    def setup(self, training_set: TrainingSet) -> None:
        """lambda_k, from zero-shot CLIP's probabilities on the training pictures."""
        labels = training_set.labels
        shares = self.zero_shot_logits(training_set.features).softmax(1)
        of_right_class = shares.gather(1, labels[:, None])[:, 0]
        counts = labels.bincount(minlength=len(self.class_names))
        self.multipliers.zero_().index_add_(0, labels, of_right_class).div_(counts)

    def logits(self, images: Tensor) -> Tensor:
        return self.scaled(images @ F.normalize(self.weight, dim=-1).T)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        loss = super().loss(output, labels)
        if not self.options.constraint:
            return loss
        return loss + (self.multipliers * (self.weight - self.words.weights).square().sum(1)).mean()
