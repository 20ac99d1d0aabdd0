"""What all heads share: a classifier on image features that labelled pictures determine, beside the words' own.

A head sees the features of the training pictures once (`setup`) and is then fixed. Its logits usually add to those of
zero-shot CLIP, so that the words still count where pictures are few.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.data.checks import comparable_words
from vlprompt.errors import SettingsError
from vlprompt.methods.declarations import methods_with_open_names
from vlprompt.methods.folds import Chosen
from vlprompt.methods.method import Method, Output, TrainingSet
from vlprompt.methods.zero_shot import ZeroShot
from vlprompt.text_engine.prompts import refuse_one_prompt
from vlprompt.wording import some_of


class Head(Method):
    """A classifier over image features for the classes that there are pictures of.

    Attributes:
        learned_names: the classes that it has pictures of; its state is theirs, whatever names it serves.
        columns: which of them it serves, in the order of `class_names`; None for all.
        words: zero-shot CLIP over the learned classes.
        text_features: (N, E), L2-normalised: zero-shot CLIP's weights for the data set's template.
    """

    learns = False
    open_names = False
    image_conditioned = False

    text_features: Tensor

    def prepare(self) -> None:
        self.learned_names = list(self.class_names)
        self.columns: list[int] | None = None
        self.words = ZeroShot(
            self.backbone, self.class_names, template=self.template, one_prompt_allowed=self.one_prompt_allowed
        )
        self.register_buffer("text_features", F.normalize(self.words.weights, dim=-1), persistent=False)

    @abstractmethod
    def setup(self, training_set: TrainingSet) -> None: ...

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Images (B, E), L2-normalised -> (B, N), N learned classes."""

    def forward(self, image_features: Tensor) -> Output:
        """The head's logits: image features (B, E), normalised or not."""
        images = self.normalised(image_features)
        logits = self.logits(images)
        return Output(logits if self.columns is None else logits[:, self.columns], images)

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E): the words' part of the classifier."""
        return self.text_features[None] if self.columns is None else self.text_features[None, self.columns]

    def zero_shot_logits(self, images: Tensor) -> Tensor:
        """The words' logits: images (B, E), L2-normalised -> (B, N)."""
        return self.scaled(images @ self.text_features.T)

    def with_class_names(self, class_names: Sequence[str]) -> Method:
        """The same head over some of the classes that it learned, in any order.

        Raises:
            SettingsError: a name is none of these; what the head says of learned classes and the words of others could
                not be compared.
        """
        if not self.one_prompt_allowed:
            refuse_one_prompt(self.backbone, class_names)
        columns = {comparable_words(name): column for column, name in enumerate(self.learned_names)}
        columns |= {name: column for column, name in enumerate(self.learned_names)}
        found = [columns.get(name, columns.get(comparable_words(name))) for name in class_names]
        unknown = [name for name, column in zip(class_names, found, strict=True) if column is None]
        if unknown:
            raise SettingsError(
                f"{self.name} names only the {len(self.learned_names)} classes that it has pictures of, and "
                f"{some_of(unknown)} {'is' if len(unknown) == 1 else 'are'} none of them; for names without pictures "
                f"fit one of {', '.join(methods_with_open_names())}."
            )
        other = copy.copy(self)
        other.class_names, other.columns = list(class_names), [column for column in found if column is not None]
        return other

    def chosen(self, chosen: Chosen[Any]) -> Any:
        """The value that was chosen; how it did is kept in `held_out`."""
        self.held_out = chosen.held_out
        return chosen.value


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

    def keep(self, weight: Tensor, bias: Tensor) -> None:
        """Take a weight (N, E) and a bias (N,) of any type and device."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def linear_logits(self, images: Tensor) -> Tensor:
        """(B, E), L2-normalised -> (B, N)."""
        return images @ self.weight.T + self.bias
