"""A method small enough to train in milliseconds, and features that it can learn."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from vlprompt.methods.method import Method, Output


@dataclass(frozen=True)
class SmallOptions:
    hidden: int = 6
    dropout: float = 0.0


class SmallMethod(nn.Module):
    """Two layers and a logit scale of 10; with `dropout`, it draws random numbers while it trains."""

    name = "small"
    learns = True

    def __init__(self, class_names=("ant", "bee", "cat", "dog"), dropout=0.0, seed=1):
        super().__init__()
        self.class_names = list(class_names)
        self.options = SmallOptions(dropout=dropout)
        generator = torch.Generator().manual_seed(seed)
        self.context = nn.Parameter(torch.randn(8, self.options.hidden, generator=generator) * 0.3)
        self.scale = nn.Parameter(torch.ones(self.options.hidden))
        self.frozen = [torch.randn(self.options.hidden, len(self.class_names), generator=generator)]

    def forward(self, image_features: Tensor) -> Output:
        hidden = torch.tanh(image_features @ self.context) * self.scale
        hidden = nn.functional.dropout(hidden, self.options.dropout, self.training)
        return Output(10 * hidden @ self.frozen[0], image_features)

    loss = Method.loss
    after_epoch = Method.after_epoch
    training_tensors = Method.training_tensors


class Views:
    """A fixed stream of features: each epoch's views are noise around the images."""

    def __init__(self, count=20, size=8, classes=4, views=3):
        generator = torch.Generator().manual_seed(7)
        self.labels = torch.arange(count) % classes
        centres = torch.randn(classes, size, generator=generator)
        self.views = centres[self.labels] + 0.3 * torch.randn(views, count, size, generator=generator)
        self.asked = []

    def epoch(self, epoch: int) -> Tensor:
        self.asked.append(epoch)
        return self.views[epoch % len(self.views)]


@pytest.fixture
def small_method():
    return SmallMethod


@pytest.fixture
def views():
    return Views()


@pytest.fixture
def make_views():
    return Views


def parameters_of(method):
    return {name: tensor.detach().clone() for name, tensor in method.state_dict().items()}


def _same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def learned():
    """The learned tensors of a method, copied."""
    return parameters_of


@pytest.fixture
def same_bits():
    """Whether two sets of tensors are equal to the last bit."""
    return _same_bits
