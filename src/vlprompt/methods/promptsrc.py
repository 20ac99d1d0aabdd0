"""PromptSRC, Self-regulating Prompts (Khattak et al. 2023, arXiv 2307.06948).

Independent prompts in the first J layers of both towers, which three things keep near the frozen model:

    L = L_ce + lambda_1 |g~ - g| + lambda_2 |f~ - f| + KL(p~ | p)      (section 3.2: mutual agreement)
    the prompts of epoch t count with a Gaussian weight of t           (section 3.3: self-ensembling)
    g is the mean over sixty templates                                 (section 3.4: textual diversity)

f~, g~ and p~ are the prompted features, L2-normalised, and logits; f, g and p those of the frozen model. As in the
published code | | is the mean over all numbers, the divergence is divided by the number of logits, and the templates
are the first sixty of CLIP's for ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from open_clip import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.methods.deep_prompts import DeepPromptOptions, DeepPrompts
from vlprompt.methods.method import Output
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import number
from vlprompt.text_engine import tokenize, words_of

TEMPLATES = tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES[:60])


@dataclass(frozen=True)
class PromptSRCOptions(DeepPromptOptions):
    """Options of PromptSRC.

    Attributes:
        text_weight: lambda_1, of the class features' distance to the frozen ones.
        image_weight: lambda_2, of the image features' distance to the frozen ones.
        logits_weight: of the divergence of the logits from the frozen ones; 1 as published.
        averaging_mean: epoch, counted from 1, whose prompts weigh most in the average that training ends with; None
            keeps the last epoch's.
        averaging_std: standard deviation of that weight, in epochs.
    """

    text_weight: float = 25.0
    image_weight: float = 10.0
    logits_weight: float = 1.0
    averaging_mean: float | None = 15.0
    averaging_std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("text_weight", "image_weight", "logits_weight"):
            object.__setattr__(self, name, number(name, getattr(self, name), least=0.0))
        if self.averaging_mean is not None:
            object.__setattr__(self, "averaging_mean", number("averaging_mean", self.averaging_mean, above=0.0))
        object.__setattr__(self, "averaging_std", number("averaging_std", self.averaging_std, above=0.0))


def _settings(epochs: int) -> TrainingSettings:
    return TrainingSettings(epochs=epochs, batch_size=4, learning_rate=0.0025, views=None)


class PromptSRC(DeepPrompts):
    """Prompts in both towers that are held near the frozen model."""

    name = "promptsrc"
    title = "PromptSRC"
    about = "prompts in the layers of both towers, held near the frozen model and averaged over epochs; reads pixels"
    source = "PromptSRC, Khattak et al. 2023, arXiv 2307.06948"
    recipes = (
        Recipe("promptsrc", _settings(20), source="vit_b16_c2_ep20_batch4_4+4ctx.yaml"),
        # As published for six of the data sets; the other five (StanfordCars, Flowers102, FGVCAircraft, DTD, EuroSAT)
        # have averaging_mean 45 and averaging_std 5.
        Recipe(
            "promptsrc-few-shot",
            _settings(50),
            {"averaging_mean": 30.0, "averaging_std": 30.0},
            "vit_b16_c2_ep50_batch4_4+4ctx_few_shot.yaml",
            protocols=("few-shot",),
        ),
        # Both protocols train on ImageNet.
        Recipe(
            "promptsrc-imagenet",
            _settings(20),
            {"depth": 3, "averaging_mean": 6.0, "averaging_std": 10.0},
            "vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets.yaml",
            protocols=("cross-dataset", "domain-shift"),
        ),
    )
    options_class = PromptSRCOptions
    options: PromptSRCOptions

    def prepare(self) -> None:
        super().prepare()
        self._average = {name: torch.zeros_like(value) for name, value in self.named_parameters()}

    def prepare_image_tokens(self, generator: torch.Generator) -> None:
        """Tokens of the image tower's layers from N(0, 0.02), as the deeper contexts."""
        self.image_vectors = nn.ParameterList()
        if self.options.image_prompts:
            _, width = self.backbone.image_prompt_places()
            for _ in range(1 + len(self.deep_vectors)):
                self.image_vectors.append(nn.Parameter(self._drawn(generator, width)))

    def image_tokens(self) -> Sequence[Tensor]:
        return list(self.image_vectors)

    @cached_property
    def words(self) -> Tensor:
        """g, (N, E), L2-normalised; only training needs them."""
        per_template = [self._encoded(template) for template in TEMPLATES]
        return F.normalize(torch.stack(per_template).mean(0), dim=-1)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        assert output.class_features is not None
        assert output.inputs is not None
        options = self.options
        frozen = self.normalised(self.backbone.encode_images(output.inputs))
        zero_shot = self.scaled(frozen @ self.words.T).log_softmax(1)
        divergence = F.kl_div(output.logits.log_softmax(1), zero_shot, reduction="sum", log_target=True)
        return (
            super().loss(output, labels)
            + options.text_weight * F.l1_loss(output.class_features[0], self.words)
            + options.image_weight * F.l1_loss(output.image_features, frozen)
            + options.logits_weight * divergence / output.logits.numel()
        )

    @torch.no_grad()
    def after_epoch(self, epoch: int, epochs: int) -> None:
        """Add the epoch's prompts to their average, and end with it."""
        if self.options.averaging_mean is None:
            return
        weight = self.epoch_weights(epochs)[epoch - 1]
        for name, prompts in self.named_parameters():
            average = self._average[name]
            average.copy_(weight * prompts + (average if epoch > 1 else 0))
            if epoch == epochs:
                prompts.copy_(average)

    def epoch_weights(self, epochs: int) -> list[float]:
        """Of each epoch in the average: a Gaussian's values at 1, 2, ..., which sum to 1."""
        assert self.options.averaging_mean is not None
        distances = torch.arange(1, epochs + 1, dtype=torch.float64) - self.options.averaging_mean
        # As a softmax, because far from the mean all values are 0.
        return (-0.5 * (distances / self.options.averaging_std) ** 2).softmax(0).tolist()

    def training_tensors(self) -> Mapping[str, Tensor]:
        """The average so far."""
        return self._average

    def _encoded(self, template: str) -> Tensor:
        """Text features of all class names in one template: (N, E)."""
        texts = [template.replace("{}", words_of(name)) for name in self.class_names]
        return self.backbone.encode_texts(tokenize(self.backbone, texts, self.class_names))
