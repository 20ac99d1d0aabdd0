"""Tip-Adapter (Zhang et al. 2022, arXiv 2207.09519): the training pictures as a key-value cache.

    A = exp(-beta (1 - f F^T))                       affinity of a picture to the n training pictures (eq. 4)
    logits = exp(s) cos(f, t) + alpha A L            with their one-hot labels L (eq. 5)

Nothing is trained. The published code picks alpha and beta on the validation split; here they are picked by
cross-validation on the training pictures, and are the paper's values for ImageNet (1 and 5.5) where these are too few.

Tip-Adapter-F goes on from there and trains the keys F (section 3.2). The published code keeps the epoch that is best on
the test split and searches alpha and beta again; here the last epoch counts, with the alpha and beta of the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.errors import DataError
from vlprompt.methods.folds import choose
from vlprompt.methods.head import Head
from vlprompt.methods.method import TrainingSet
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import number

PUBLISHED = (1.0, 5.5)
"""alpha and beta (section 4.3)."""

GRID = ((0.5, 1.0, 2.0, 3.0, 5.0, 10.0), (1.0, 3.0, 5.5, 8.0, 12.0, 20.0))
"""Values of alpha and beta to choose among, in the range of the published configurations."""

MOST_PICTURES = 100_000
"""Of a cache; a linear head says more with so many pictures, and a model folder stays small."""


@dataclass(frozen=True)
class TipAdapterOptions:
    """Options of Tip-Adapter and Tip-Adapter-F.

    Attributes:
        alpha: weight of what the pictures say beside the words; None picks it by cross-validation on the training
            pictures.
        beta: how sharply a training picture's say falls with its distance; None picks it together with alpha.
    """

    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, value, least=0.0))


class TipAdapter(Head):
    """A cache of the training pictures' features, beside zero-shot CLIP."""

    name = "tip-adapter"
    title = "Tip-Adapter"
    about = "a cache of the training pictures, beside the words"
    source = "Tip-Adapter, Zhang et al. 2022, arXiv 2207.09519"
    recipes = (Recipe("tip-adapter", source="alpha and beta by cross-validation on the training pictures"),)
    options_class = TipAdapterOptions
    options: TipAdapterOptions

    keys: Tensor
    labels: Tensor
    weights: Tensor
    value: tuple[float, float]

    def prepare(self) -> None:
        super().prepare()
        like: dict[str, Any] = {"device": self.backbone.device, "dtype": self.backbone.dtype}
        self.register_buffer("keys", torch.zeros(0, self.backbone.feature_size, **like))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.long, device=self.backbone.device))
        self.register_buffer("weights", torch.tensor(PUBLISHED, **like))

    def setup(self, training_set: TrainingSet) -> None:
        if (count := len(training_set.labels)) > MOST_PICTURES:
            raise DataError(
                f"{self.name} keeps every training picture, and {count} are more than {MOST_PICTURES}; draw fewer with "
                "shots, or take gda, whose size does not depend on them."
            )
        given = (self.options.alpha, self.options.beta)
        pairs = list(product(*((grid if value is None else (value,)) for value, grid in zip(given, GRID, strict=True))))

        def logits_of(features: Tensor, labels: Tensor, held_out: Tensor) -> list[Tensor]:
            words = self.zero_shot_logits(held_out)
            return [words + self._cached(held_out, features, labels, *pair) for pair in pairs]

        default = tuple(value if value is not None else usual for value, usual in zip(given, PUBLISHED, strict=True))
        features, labels = training_set.features.to(self.keys), training_set.labels.to(self.labels)
        self.learn(training_set, self.chosen(choose(pairs, features, labels, self.seed, logits_of, default)))

    def learn(self, training_set: TrainingSet, value: tuple[float, float]) -> None:
        """Learn from pictures, with alpha and beta known and kept as `value`."""
        self._take(training_set.features, training_set.labels)
        self.weights.copy_(torch.tensor(value))
        self.value = value

    def logits(self, images: Tensor) -> Tensor:
        alpha, beta = self.weights.tolist()
        return self.zero_shot_logits(images) + self._cached(images, self.keys, self.labels, alpha, beta)

    def _cached(self, images: Tensor, keys: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
        """alpha A L: images (B, E), keys (n, E), labels (n,) -> (B, N)."""
        affinity = torch.exp(-beta * (1 - images @ keys.T))
        return alpha * affinity @ F.one_hot(labels, len(self.learned_names)).to(affinity)

    def expected_state(self, pictures: int) -> dict[str, Tensor]:
        count = min(pictures, MOST_PICTURES)
        cache = {"keys": self.keys.new_empty(count, self.backbone.feature_size), "labels": self.labels.new_empty(count)}
        return {**self.state_dict(), **cache}

    def _take(self, keys: Tensor, labels: Tensor) -> None:
        self.keys, self.labels = keys.to(self.keys), labels.to(self.labels)

    def load_learned(self, tensors: Mapping[str, Tensor]) -> None:
        labels = tensors.get("labels", self.labels)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.learned_names):
            raise RuntimeError(f"labels must be from 0 to {len(self.learned_names) - 1}")
        count = len(labels)
        self._take(self.keys.new_zeros(count, self.backbone.feature_size), self.labels.new_zeros(count))
        super().load_learned(tensors)


# As published the rate falls with every step; here with every epoch, which is one step up to 256 pictures.
_PUBLISHED_F = TrainingSettings(
    epochs=20, batch_size=256, optimizer="adamw", learning_rate=0.001, weight_decay=0.01, epsilon=1e-4, warmup_epochs=0
)


class TipAdapterF(TipAdapter):
    """Tip-Adapter whose keys are trained."""

    name = "tip-adapter-f"
    title = "Tip-Adapter-F"
    about = "tip-adapter whose cache is trained"
    recipes = (Recipe("tip-adapter-f", _PUBLISHED_F, source="main.py of Tip-Adapter, its last epoch"),)
    learns = True

    def _take(self, keys: Tensor, labels: Tensor) -> None:
        like = self.keys
        del self.keys  # a buffer until there are pictures
        self.keys = nn.Parameter(keys.to(like, copy=True))
        self.labels = labels.to(self.labels)
