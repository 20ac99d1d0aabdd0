"""How a method is trained: one settings class, and what a recipe is.

Each method's file has its recipes, with the figures of the published configuration files. Nothing here imports torch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from vlprompt.errors import SettingsError, SettingsWarning, UnknownNameError
from vlprompt.settings_checks import choice, number, seed_number, truth_value, whole_number

SCHEDULES = ("cosine", "constant")
PRECISIONS = ("fp32", "fp16", "bf16")
OPTIMIZERS = ("sgd", "adamw", "adam")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides what training does to a prompt; the defaults are the published values.

    Attributes:
        epochs: passes over the training images. 200 for CoOp, 10 for CoCoOp.
        batch_size: images per forward pass. 32 for CoOp, 1 for CoCoOp.
        accumulate: batches whose gradients are joined into one step; the gradient is that of one batch of
            `batch_size * accumulate` images.
        learning_rate: reached after the warm-up.
        momentum: of SGD.
        dampening: of SGD's momentum.
        nesterov: Nesterov's momentum; needs `momentum` above 0 and `dampening` 0.
        weight_decay: on every learned parameter.
        schedule: "cosine" (falls over `epochs`, set once per epoch) or "constant".
        warmup_epochs: first epochs, at the constant `warmup_learning_rate`.
        warmup_learning_rate: see `warmup_epochs`; ignored when that is 0.
        views: augmented views kept per image, used in turn, epoch by epoch; None augments afresh every epoch, as
            published.
        precision: of the frozen text tower on a GPU: "fp32", or "fp16"/"bf16" by autocast. Learned parameters, their
            gradients and the loss stay fp32. A CPU takes "fp32" only.
        seed: decides the order of the images and the augmented views.
        optimizer: "sgd", as published for prompts, "adamw", or "adam", whose weight decay is part of the gradient.
        epsilon: of Adam and AdamW, added to the root of the second moment.
        iterations: batches in all, as some papers count; training then has as many epochs as hold them, the last one
            whole, in place of `epochs`.
    """

    epochs: int = 200
    batch_size: int = 32
    accumulate: int = 1
    learning_rate: float = 0.002
    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup_epochs: int = 1
    warmup_learning_rate: float = 1e-5
    views: int | None = 10
    precision: str = "fp32"
    seed: int = 1
    optimizer: str = "sgd"
    epsilon: float = 1e-8
    iterations: int | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            name: whole_number(name, getattr(self, name), least=1) for name in ("epochs", "batch_size", "accumulate")
        }
        checked["warmup_epochs"] = whole_number("warmup_epochs", self.warmup_epochs, least=0)
        checked["seed"] = seed_number(self.seed)
        if self.views is not None:
            fresh = " or None (fresh views every epoch)"
            checked["views"] = whole_number("views", self.views, least=1, instead=fresh)
        if self.iterations is not None:
            instead = " or None (epochs says how long)"
            checked["iterations"] = whole_number("iterations", self.iterations, least=1, instead=instead)
        for name in ("learning_rate", "warmup_learning_rate", "epsilon"):
            checked[name] = number(name, getattr(self, name), above=0.0)
        checked["weight_decay"] = number("weight_decay", self.weight_decay, least=0.0)
        for name in ("momentum", "dampening"):
            checked[name] = number(name, getattr(self, name), least=0.0, below=1.0)
        checked["nesterov"] = truth_value("nesterov", self.nesterov)
        checked["optimizer"] = choice("optimizer", self.optimizer, OPTIMIZERS)
        checked["schedule"] = choice("schedule", self.schedule, SCHEDULES)
        checked["precision"] = choice("precision", self.precision, PRECISIONS)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise SettingsError(
                f"nesterov needs momentum above 0 and dampening 0, but momentum is {self.momentum} and dampening "
                f"{self.dampening}."
            )
        if self.iterations is None and self.warmup_epochs >= self.epochs:
            raise SettingsError(
                f"warmup_epochs is {self.warmup_epochs}, which leaves no epoch at learning_rate when epochs is "
                f"{self.epochs}; use at least {self.warmup_epochs + 1} epochs, or warmup_epochs 0."
            )

    def for_images(self, images: int) -> TrainingSettings:
        """The settings for so many images: with `epochs` in place of `iterations`, where these are given."""
        if self.iterations is None:
            return self
        batches = -(-images // self.batch_size)
        return replace(
            self, epochs=max(-(-self.iterations // max(1, batches)), self.warmup_epochs + 1), iterations=None
        )

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, in the order of the fields.

        What an earlier release did not have is left out at its default, so that results of then still count.
        """
        values = asdict(self)
        added = {name for name, default in _ADDED_LATER.items() if values[name] == default}
        return {name: value for name, value in values.items() if name not in added}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """The settings that `as_dict` wrote; options left out take their defaults, unknown ones are refused."""
        known = [option.name for option in fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError("training option", name, known)
        return cls(**values)


_ADDED_LATER = {"optimizer": "sgd", "epsilon": 1e-8, "iterations": None}


def learning_rate_at(settings: TrainingSettings, epoch: int) -> float:
    """Learning rate of an epoch, counted from 0.

    As published, the warm-up stays at one low value, and the cosine starts over after it with the number of all epochs
    as its length, so that it never comes down to 0: with learning rate r, T epochs and W warm-up epochs,
    r / 2 * (1 + cos(pi * (epoch - W) / T)).
    """
    if not 0 <= epoch < settings.epochs:
        raise SettingsError(f"epoch is {epoch}; it must be from 0 to {settings.epochs - 1}.")
    if epoch < settings.warmup_epochs:
        return settings.warmup_learning_rate
    if settings.schedule == "constant":
        return settings.learning_rate
    turn = math.pi * (epoch - settings.warmup_epochs) / settings.epochs
    return settings.learning_rate * (1 + math.cos(turn)) / 2


@dataclass(frozen=True)
class Recipe:
    """A way to train a method, which the method's class declares (`Method.recipes`).

    Attributes:
        name: as it is asked for; the method's own name for its only or usual recipe.
        training: its settings; None for a method that is not trained step by step.
        options: of the method, that differ from their defaults.
        source: the published configuration file, what is chosen on the training pictures, or that it is ours.
        title: as tables write the method with it, where that is not the name.
        protocols: for which it was published beside the usual recipe.
        shots: pictures a class that it was published for; None for any number.
    """

    name: str
    training: TrainingSettings | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    title: str = ""
    protocols: tuple[str, ...] = ()
    shots: int | None = None

    def with_training(self, **changes: Any) -> Recipe:
        """The same recipe with some training options changed.

        With so few epochs that the recipe's warm-up would leave none after it, the warm-up is shortened, unless its
        length is among the changes; everything else stays as published. `epochs` take the place of the recipe's
        `iterations`.

        Warns:
            SettingsWarning: the warm-up was shortened.
        """
        if self.training is None:
            raise SettingsError(f"{self.name} has no training settings, so {', '.join(changes)} cannot be set.")
        values = {**self.training.as_dict(), **changes}
        if "epochs" in changes and "iterations" not in changes:
            values["iterations"] = None
        if "warmup_epochs" not in changes and values.get("iterations") is None:
            epochs = whole_number("epochs", values["epochs"], least=1)
            if values["warmup_epochs"] >= epochs:
                values["warmup_epochs"] = epochs - 1
                warnings.warn(
                    f"epochs is {epochs}, so the recipe's warm-up of {self.training.warmup_epochs} is shortened to "
                    f"{epochs - 1}.",
                    SettingsWarning,
                    stacklevel=2,
                )
        return replace(self, training=TrainingSettings.from_dict(values))


def published_for(recipes: Sequence[Recipe], protocol: str = "base-to-new", shots: int | None = 16) -> Recipe:
    """The one of a method's recipes that was published for a protocol; the first of them where none names it.

    Args:
        recipes: of one method, the usual one first.
        protocol: by name.
        shots: training images per class; None means all of them. Of recipes that depend on it, a number that was not
            published takes that of the next published one above, or else the largest.

    Raises:
        SettingsError: shots is no number of pictures.
    """
    if shots is not None:
        shots = whole_number("shots", shots, least=1, instead=" or None (all images)")
    named = [recipe for recipe in recipes if protocol in recipe.protocols] or list(recipes[:1])
    enough = [recipe for recipe in named if recipe.shots is None or (shots is not None and shots <= recipe.shots)]
    return (enough or named[-1:])[0]
