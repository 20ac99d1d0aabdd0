"""CoCoOp, Conditional Context Optimization (Zhou et al. 2022, arXiv 2203.05557).

A small network, the Meta-Net, adds an image-conditioned token to every context vector, so that the prompt suits the
instance and keeps working for classes that were never trained on:

    pi = h(f(x)),   v_m(x) = v_m + pi                               (section 3.2)
    t_i(x) = {v_1(x), v_2(x), ..., v_M(x), c_i}
    p(y = i | x) = exp(cos(f(x), g(t_i(x))) / tau) / sum_j exp(cos(f(x), g(t_j(x))) / tau)          (eq. 3)
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vlprompt.errors import SettingsError
from vlprompt.methods.method import ScreenedPath
from vlprompt.methods.prompt_learner import WORDS, PromptLearner, PromptOptions, random_vectors
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import choice

REDUCTION = 16
"""How much narrower the Meta-Net's hidden layer is than an image feature (section 3.2)."""

INPUTS = ("image", "other", "noise", "nothing")
KEPT_IMAGES = 32
"""Training images by which the Meta-Net shifts the prompts of a test image where it gets another image than this."""

_PUBLISHED = TrainingSettings(epochs=10, batch_size=1)
_FAST = TrainingSettings(epochs=10, batch_size=8, learning_rate=0.016)


@dataclass(frozen=True)
class CoCoOpOptions(PromptOptions):
    """Options of CoCoOp.

    Attributes:
        meta_net_input: what the Meta-Net is conditioned on: the "image", as published; for ablations an "other" image
            (in training the one before it, in prediction one of the last training images), "noise" of the same length,
            or "nothing".
    """

    meta_net_input: Literal["image", "other", "noise", "nothing"] = field(
        default="image", metadata={"added_later": True}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "meta_net_input", choice("meta_net_input", self.meta_net_input, INPUTS))


class CoCoOp(PromptLearner):
    """A learned context and a Meta-Net h that shifts it for each image."""

    name = "cocoop"
    title = "CoCoOp"
    about = "a learned context that each picture shifts"
    source = "CoCoOp, Zhou et al. 2022, arXiv 2203.05557"
    options_class = CoCoOpOptions
    kept: Tensor
    drawn: Tensor
    # The accuracy of cocoop-fast stands beside the published recipe's in speed/RESULTS.md.
    recipes = (
        Recipe("cocoop", _PUBLISHED, WORDS, "vit_b16_c4_ep10_batch1_ctxv1.yaml"),
        Recipe("cocoop-fast", _FAST, WORDS, "ours: batches of 8, learning rate times 8"),
        Recipe("cocoop-random-4", _PUBLISHED, random_vectors(4), "vit_b16_c4_ep10_batch1.yaml"),
        Recipe("cocoop-random-8", _PUBLISHED, random_vectors(8), "vit_b16_c8_ep10_batch1.yaml"),
        Recipe("cocoop-random-16", _PUBLISHED, random_vectors(16), "vit_b16_c16_ep10_batch1.yaml"),
    )

    def prepare(self) -> None:
        if self.options.class_specific:
            raise SettingsError("class_specific is True; CoCoOp shares one context, only coop has class-specific ones.")
        super().prepare()
        self.meta_net = self._initial_meta_net()
        # Plain prompt options are as published.
        self.input = self.options.meta_net_input if isinstance(self.options, CoCoOpOptions) else "image"
        where: dict[str, Any] = {"device": self.backbone.device, "dtype": torch.float32}
        # Saved, so that a training that was stopped goes on as it would have.
        if self.input == "other":
            self.register_buffer("kept", torch.zeros(KEPT_IMAGES, self.backbone.feature_size, **where))
        if self.input == "noise":
            self.register_buffer("drawn", torch.zeros((), **where))

    def context(self, image_features: Tensor) -> Tensor:
        """v_m + h(f(x)): (B, E), L2-normalised -> (B, 1, M, D)."""
        return self.context_of_hidden(self.hidden(self.conditioned_on(image_features)))

    def conditioned_on(self, image_features: Tensor) -> Tensor:
        """What the Meta-Net gets of images: (B, E), L2-normalised -> (B, E), or (1, E) of zeros for nothing."""
        if self.input == "image":
            return image_features
        if self.input == "nothing":
            return torch.zeros_like(image_features[:1])
        other = self._others(image_features) if self.input == "other" else self._noise(image_features)
        return other.to(image_features)

    def _others(self, images: Tensor) -> Tensor:
        """Another image for each: in training the one before it, else one of the last training images: (B, E)."""
        if not self.training:
            known = self.kept[self.kept.any(dim=1)]
            places = [number % max(1, len(known)) for number in _numbers(images, self.seed)]
            return known[places] if len(known) else torch.zeros_like(images)
        stream = torch.cat([self.kept, images.detach().to(self.kept)])
        self.kept = stream[-KEPT_IMAGES:].clone()
        return stream[-len(images) - 1 : -1]

    def _noise(self, images: Tensor) -> Tensor:
        """Random directions: in training other ones at every step, else always the same for an image: (B, E)."""
        numbers = _numbers(images, self.seed)
        if self.training:
            first = int(self.drawn)
            numbers = [(self.seed << 32) + first + place for place in range(len(images))]
            self.drawn = self.drawn + len(images)
        drawn = [torch.randn(images.shape[1], generator=torch.Generator().manual_seed(n)) for n in numbers]
        return self.normalised(torch.stack(drawn))

    def hidden(self, image_features: Tensor) -> Tensor:
        """The Meta-Net's hidden activation, the E/16 numbers through which an image acts: (B, E) -> (B, E/16)."""
        return self.meta_net.relu(self.meta_net.linear1(image_features))

    def context_of_hidden(self, hidden: Tensor) -> Tensor:
        """The context, which is linear in the hidden activation: (B, E/16) -> (B, 1, M, D)."""
        shift = self.meta_net.linear2(hidden)  # (B, D)
        return (self.context_vectors + shift[:, None])[:, None]

    @property
    def has_fixed_class_features(self) -> bool:
        return self.input == "nothing" or super().has_fixed_class_features

    def screening(self) -> ScreenedPath | None:
        if self.input != "image":
            return None
        return self.screened_path(self.meta_net.linear1.out_features, self.hidden, self.context_of_hidden)

    def _initial_meta_net(self) -> Any:
        """Linear(E, E/16) - ReLU - Linear(E/16, D), with torch's default initial values drawn from the seed."""
        width, hidden = self.backbone.feature_size, self.backbone.feature_size // REDUCTION
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
            layers = OrderedDict(
                linear1=nn.Linear(width, hidden), relu=nn.ReLU(), linear2=nn.Linear(hidden, self.backbone.token_width)
            )
        return nn.Sequential(layers).to(self.backbone.device, self.backbone.dtype)


def _numbers(images: Tensor, seed: int) -> list[int]:
    """A number for each image (B, E) that says nothing of what it shows, the same whenever it is named."""
    # Rounded, so that the last digits of another machine seldom make another number.
    rows = (1000 * images.detach().float().cpu()).round().to(torch.int16).numpy()
    return [
        int.from_bytes(blake2b(row.tobytes(), digest_size=7, salt=(seed % 2**64).to_bytes(8)).digest()) for row in rows
    ]
