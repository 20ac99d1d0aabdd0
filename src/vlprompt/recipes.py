"""How a method is trained: one settings class, and the recipes that the papers published, by name.

The figures are those of the published configuration files (of the papers that the methods' own files name); each
recipe names its file, or what is chosen on the training pictures. One is ours, for haste: cocoop-fast. Nothing here
imports torch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from vlprompt.errors import SettingsError, SettingsWarning, UnknownNameError
from vlprompt.settings_checks import choice, number, seed_number, truth_value, whole_number

SCHEDULES = ("cosine", "constant")
PRECISIONS = ("fp32", "fp16", "bf16")
OPTIMIZERS = ("sgd", "adamw")
PROTOCOLS = ("base-to-new", "cross-dataset", "domain-shift", "few-shot")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides what training does to a prompt; the defaults are the published values.

    Attributes:
        epochs: passes over the training images. 200 for CoOp, 10 for CoCoOp (see `RECIPES`).
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
        optimizer: "sgd", as published for prompts, or "adamw".
        epsilon: of AdamW, added to the root of the second moment.
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

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            name: whole_number(name, getattr(self, name), least=1) for name in ("epochs", "batch_size", "accumulate")
        }
        checked["warmup_epochs"] = whole_number("warmup_epochs", self.warmup_epochs, least=0)
        checked["seed"] = seed_number(self.seed)
        if self.views is not None:
            fresh = " or None (fresh views every epoch)"
            checked["views"] = whole_number("views", self.views, least=1, instead=fresh)
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
        if self.warmup_epochs >= self.epochs:
            raise SettingsError(
                f"warmup_epochs is {self.warmup_epochs}, which leaves no epoch at learning_rate when epochs is "
                f"{self.epochs}; use at least {self.warmup_epochs + 1} epochs, or warmup_epochs 0."
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


_ADDED_LATER = {"optimizer": "sgd", "epsilon": 1e-8}


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
    """A way to train one method.

    Attributes:
        method: name of the method.
        training: its settings; None for a method that is not trained step by step.
        prompt: options of the prompt that differ from `PromptOptions`' own defaults.
        backbone: the backbone that the paper used with it.
        source: the published configuration file, or that it is ours.
    """

    method: str
    training: TrainingSettings | None
    prompt: dict[str, Any] = field(default_factory=dict)
    backbone: str = "ViT-B-16/openai"
    source: str = ""

    def with_training(self, **changes: Any) -> Recipe:
        """The same recipe with some training options changed.

        With so few epochs that the recipe's warm-up would leave none after it, the warm-up is shortened, unless its
        length is among the changes; everything else stays as published.

        Warns:
            SettingsWarning: the warm-up was shortened.
        """
        if self.training is None:
            raise SettingsError(f"{self.method} has no training settings, so {', '.join(changes)} cannot be set.")
        values = {**self.training.as_dict(), **changes}
        if "warmup_epochs" not in changes:
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


_COOP_200 = TrainingSettings(epochs=200, batch_size=32)
_COOP_100 = TrainingSettings(epochs=100, batch_size=32)
_COOP_50 = TrainingSettings(epochs=50, batch_size=32)
_COCOOP = TrainingSettings(epochs=10, batch_size=1)
_KGCOOP = TrainingSettings(epochs=100, batch_size=128)
_MAPLE = TrainingSettings(epochs=5, batch_size=4, learning_rate=0.0035, views=None)
_CLAP = TrainingSettings(epochs=300, batch_size=256, learning_rate=0.1, weight_decay=0.0, views=20)
# As published the rate falls with every step; here with every epoch, which is one step up to 256 pictures.
_TIP_ADAPTER_F = TrainingSettings(
    epochs=20, batch_size=256, optimizer="adamw", learning_rate=0.001, weight_decay=0.01, epsilon=1e-4, warmup_epochs=0
)
_COCOOP_FAST = TrainingSettings(epochs=10, batch_size=8, learning_rate=0.016)
_WORDS = {"context_length": 4, "context_init": "a photo of a"}


def _random(context_length: int) -> dict[str, Any]:
    return {"context_length": context_length, "context_init": None}


# All are published but cocoop-fast, whose accuracy stands beside the published recipe's in speed/RESULTS.md, and
# what heads choose on the training pictures. Few-shot CoOp was published with the class name at the end and in the
# middle, with one context for all classes and with one per class: the recipe holds the first of each; the others are
# `PromptOptions`' position and class_specific.
RECIPES: dict[str, Recipe] = {
    "zero-shot": Recipe("zero-shot", None),
    "coop-few-shot-1": Recipe("coop", _COOP_50, _random(16), "RN50/openai", "rn50_ep50.yaml"),
    "coop-few-shot-2": Recipe("coop", _COOP_100, _random(16), "RN50/openai", "rn50_ep100.yaml"),
    "coop-few-shot-4": Recipe("coop", _COOP_100, _random(16), "RN50/openai", "rn50_ep100.yaml"),
    "coop-few-shot-8": Recipe("coop", _COOP_200, _random(16), "RN50/openai", "rn50.yaml"),
    "coop-few-shot-16": Recipe("coop", _COOP_200, _random(16), "RN50/openai", "rn50.yaml"),
    "coop-few-shot-imagenet": Recipe("coop", _COOP_50, _random(16), "RN50/openai", "rn50_ep50.yaml"),
    "coop-base-to-new": Recipe("coop", _COOP_200, _WORDS, source="vit_b16_ctxv1.yaml"),
    "coop-imagenet": Recipe("coop", _COOP_50, _WORDS, source="vit_b16_ep50_ctxv1.yaml"),
    "cocoop": Recipe("cocoop", _COCOOP, _WORDS, source="vit_b16_c4_ep10_batch1_ctxv1.yaml"),
    "cocoop-fast": Recipe("cocoop", _COCOOP_FAST, _WORDS, source="ours: batches of 8, learning rate times 8"),
    "cocoop-random-4": Recipe("cocoop", _COCOOP, _random(4), source="vit_b16_c4_ep10_batch1.yaml"),
    "cocoop-random-8": Recipe("cocoop", _COCOOP, _random(8), source="vit_b16_c8_ep10_batch1.yaml"),
    "cocoop-random-16": Recipe("cocoop", _COCOOP, _random(16), source="vit_b16_c16_ep10_batch1.yaml"),
    "kgcoop": Recipe("kgcoop", _KGCOOP, _WORDS, source="vit_b16_ep100_ctxv1.yaml"),
    "maple": Recipe("maple", _MAPLE, source="vit_b16_c2_ep5_batch4_2ctx.yaml"),
    "linear-probe": Recipe("linear-probe", None, source="C by cross-validation on the training pictures"),
    "clap": Recipe("clap", _CLAP, source="SGD_lr1e-1_B256_ep300.yaml"),
    "lp++": Recipe("lp++", None, source="300 steps of the paper's sizes"),
    "gda": Recipe("gda", None, source="alpha by cross-validation on the training pictures"),
    "tip-adapter": Recipe("tip-adapter", None, source="alpha and beta by cross-validation on the training pictures"),
    "tip-adapter-f": Recipe("tip-adapter-f", _TIP_ADAPTER_F, source="main.py of Tip-Adapter, its last epoch"),
}


def recipe_for(method: str, protocol: str = "base-to-new", shots: int | None = 16, *, imagenet: bool = False) -> Recipe:
    """The published recipe of a method under a protocol.

    Arguments:
        method: a name of `vlprompt.methods.METHODS`.
        protocol: one of `PROTOCOLS`.
        shots: training images per class; None means all of them. CoOp's few-shot recipes depend on it: a number that
            was not published takes the recipe of the next published one above.
        imagenet: whether the training set is ImageNet, for which CoOp was trained 50 epochs.

    Raises:
        UnknownNameError: no recipe was published for this method, or there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    if shots is not None:
        shots = whole_number("shots", shots, least=1, instead=" or None (all images)")
    if method in RECIPES and RECIPES[method].method == method:
        return RECIPES[method]
    if method != "coop":
        raise UnknownNameError("recipe for a method", method, {recipe.method: None for recipe in RECIPES.values()})
    if protocol == "few-shot":
        return RECIPES[f"coop-few-shot-{'imagenet' if imagenet else _published_shots(shots)}"]
    if imagenet or protocol in ("cross-dataset", "domain-shift"):  # both train on ImageNet
        return RECIPES["coop-imagenet"]
    return RECIPES["coop-base-to-new"]


def _published_shots(shots: int | None) -> int:
    published = (1, 2, 4, 8, 16)
    return next((number for number in published if shots is not None and shots <= number), published[-1])
