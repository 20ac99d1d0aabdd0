"""Zero-shot CLIP (Radford et al. 2021, arXiv 2103.00020, section 3.1).

Class names in a template, "a photo of a {}.", become the weights of a classifier. With several templates (section
3.1.4) the normalised features of each are averaged and normalised again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.templates import check_template
from vlprompt.recipes import Recipe
from vlprompt.settings_checks import plain_all, shown, truth_value
from vlprompt.text_engine import tokenize, words_of

ENSEMBLE_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven templates that CLIP's authors selected for ImageNet, as CoOp's zero-shot ensemble uses them."""


@dataclass(frozen=True)
class ZeroShotOptions:
    """Options of zero-shot CLIP.

    Attributes:
        templates: prompts with {} for the class name, averaged; None: the data set's own template.
        ensemble: use the seven selected templates and the data set's own.
    """

    templates: Sequence[str] | None = None
    ensemble: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ensemble", truth_value("ensemble", self.ensemble))
        if self.templates is None:
            return
        # JSON and YAML give lists.
        templates = plain_all(self.templates)
        if not isinstance(templates, list) or not templates:
            raise SettingsError(f"templates is {shown(self.templates)}; it must be a list of at least one template.")
        object.__setattr__(self, "templates", tuple(templates))
        if self.ensemble:
            raise SettingsError("templates and ensemble were both given; leave one of them out.")
        for template in self.templates:
            check_template(template)


class ZeroShot(Method):
    """A fixed classifier from words; nothing is learned."""

    name = "zero-shot"
    title = "zero-shot CLIP"
    about = "the words of a template; learns nothing"
    source = "CLIP, Radford et al. 2021, arXiv 2103.00020"
    options_class = ZeroShotOptions
    options: ZeroShotOptions
    recipes = (
        Recipe("zero-shot"),
        Recipe(
            "zero-shot-ensemble",
            options={"ensemble": True},
            source="the seven templates and the data set's own",
            title="zero-shot CLIP (ensemble)",
        ),
    )
    learns = False
    image_conditioned = False

    weights: Tensor

    def prepare(self) -> None:
        per_template = torch.stack([self._encode(text) for text in self.templates])  # (templates, N, E)
        # A single template keeps its features as they are: the logits normalise them anyway.
        weights = F.normalize(per_template, dim=-1).mean(0) if len(per_template) > 1 else per_template[0]
        self.register_buffer("weights", weights, persistent=False)

    @property
    def templates(self) -> list[str]:
        """The templates in use, each once."""
        if self.options.templates is not None:
            return list(self.options.templates)
        if self.options.ensemble:
            return list(dict.fromkeys([*ENSEMBLE_TEMPLATES, self.template]))
        return [check_template(self.template)]

    def class_features(self, image_features: Tensor) -> Tensor:
        """(1, N, E), the same for every image."""
        return self.weights[None]

    def _encode(self, template: str) -> Tensor:
        """Text features of all class names in one template: (N, E)."""
        texts = [template.replace("{}", words_of(name)) for name in self.class_names]
        return self.backbone.encode_texts(tokenize(self.backbone, texts, self.class_names))
