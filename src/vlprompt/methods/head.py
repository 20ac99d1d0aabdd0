"""What all heads share: a classifier on image features that labelled pictures determine, beside the words' own.

A head sees the features of the training pictures once (`setup`) and is then fixed. Its logits usually add to those of
zero-shot CLIP, so that the words still count where pictures are few.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.methods.folds import Chosen
from vlprompt.methods.method import Method, Output, TrainingSet
from vlprompt.methods.zero_shot import ZeroShot


class Head(Method):
    """A classifier over image features for the classes that there are pictures of.

    Attributes:
        words: zero-shot CLIP over the same classes.
        cross_validated: pictures named right and all that were held out, where `setup` chose an option by
            cross-validation.
        text_features: (N, E), L2-normalised: zero-shot CLIP's weights for the data set's template.
    """

    learns = False
    uses_pictures = True
    open_names = False

    text_features: Tensor
    cross_validated: tuple[int, int] | None = None

    def prepare(self) -> None:
        self.words = ZeroShot(self.backbone, self.class_names, template=self.template)
        self.register_buffer("text_features", F.normalize(self.words.weights, dim=-1), persistent=False)

    @abstractmethod
    def setup(self, training_set: TrainingSet) -> None: ...

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Images (B, E), L2-normalised -> (B, N)."""

    def forward(self, image_features: Tensor) -> Output:
        """The head's logits: image features (B, E), normalised or not."""
        images = self.normalised(image_features)
        return Output(self.logits(images), images)

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E): the words' part of the classifier."""
        return self.text_features[None]

    def zero_shot_logits(self, images: Tensor) -> Tensor:
        """The words' logits: images (B, E), L2-normalised -> (B, N)."""
        return self.scaled(images @ self.text_features.T)

    def with_class_names(self, class_names: Sequence[str]) -> Method:
        """The head over some of its classes; over names that it has no pictures of, zero-shot CLIP for all of them.

        A head's logits for what it learned and the words' logits for what it did not would not be comparable.
        """
        if set(class_names) <= set(self.class_names):
            return self.over([self.class_names.index(name) for name in class_names])
        return self.words.with_class_names(class_names)

    def over(self, places: Sequence[int]) -> Self:
        """The head over the classes at some places among its own, with what it learned of them."""
        names = [self.class_names[place] for place in places]
        other = type(self)(self.backbone, names, self.options, template=self.template, seed=self.seed)
        other.load_learned(self.learned_of(places))
        return other

    def chosen(self, chosen: Chosen[Any]) -> Any:
        """The value that was chosen; how it did is kept."""
        self.cross_validated = (chosen.right, chosen.seen) if chosen.seen else None
        return chosen.value

    @abstractmethod
    def learned_of(self, places: Sequence[int]) -> dict[str, Tensor]:
        """The part of the state that belongs to some classes."""


class LinearHead(Head):
    """A head whose own logits are linear in the image features: f W^T + b, zero before `setup`.

    Attributes:
        weight: W, (N, E).
        bias: b, (N,).
    """

    weight: Tensor
    bias: Tensor

    def prepare(self) -> None:
        super().prepare()
        like: dict[str, Any] = {"device": self.backbone.device, "dtype": self.backbone.dtype}
        classes, width = len(self.class_names), self.backbone.feature_size
        self.register_buffer("weight", torch.zeros(classes, width, **like))
        self.register_buffer("bias", torch.zeros(classes, **like))

    def learned_of(self, places: Sequence[int]) -> dict[str, Tensor]:
        state, rows = dict(self.state_dict()), list(places)
        return state | {"weight": state["weight"][rows], "bias": state["bias"][rows]}

    def keep(self, weight: Tensor, bias: Tensor) -> None:
        """Take a weight (N, E) and a bias (N,) of any type and device."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def linear_logits(self, images: Tensor) -> Tensor:
        """(B, E), L2-normalised -> (B, N)."""
        return images @ self.weight.T + self.bias
