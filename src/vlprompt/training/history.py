"""What a training run records about itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EpochResult:
    """One pass over the training images.

    Attributes:
        number: of the epoch, from 1.
        learning_rate: of all its steps.
        loss: mean cross-entropy over its images, each at the parameters of its own step.
        accuracy: percent of its images that were right at their step.
        images: how many there were.
        seconds: of its steps.
        feature_seconds: of waiting for its image features.
    """

    number: int
    learning_rate: float
    loss: float
    accuracy: float
    images: int
    seconds: float
    feature_seconds: float


@dataclass(frozen=True)
class TrainingHistory:
    """All epochs of a run, those of the runs that it continues included.

    Attributes:
        epochs: in order.
        resumed_after: epochs that came from a checkpoint; 0 for a run in one go.
    """

    epochs: tuple[EpochResult, ...]
    resumed_after: int = 0

    @property
    def final_loss(self) -> float:
        """Loss of the last epoch."""
        return self.epochs[-1].loss

    @property
    def seconds(self) -> float:
        """Of all steps, without the waiting for features."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def feature_seconds(self) -> float:
        """Of all waiting for features."""
        return sum(epoch.feature_seconds for epoch in self.epochs)

    def as_dict(self) -> dict[str, Any]:
        """The history as plain JSON values."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "resumed_after": self.resumed_after}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingHistory:
        """The history that `as_dict` wrote."""
        return cls(epochs_from(values["epochs"]), int(values.get("resumed_after", 0)))


def epochs_from(rows: Iterable[Mapping[str, Any]]) -> tuple[EpochResult, ...]:
    """Epochs from their plain JSON values.

    Raises:
        TypeError, ValueError: they are not what epochs are made of.
    """
    epochs = tuple(EpochResult(**row) for row in rows)
    for epoch in epochs:
        for name, value in asdict(epoch).items():
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise ValueError(f"{name} of an epoch is {value!r:.40}")
    return epochs
