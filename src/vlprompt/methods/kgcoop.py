"""KgCoOp, Knowledge-guided Context Optimization (Yao et al. 2023, arXiv 2303.13283).

CoOp whose learned class features must stay near those of the words, which is what new classes need:

    L = L_ce + lambda / N sum_i |w_i - w_i^clip|^2                                 (eq. 6)

with both features L2-normalised. As in the published code the distance is 1 - cos(w_i, w_i^clip), half of the square,
and lambda is 8; w_i^clip comes from the data set's own template.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.coop import CoOp
from vlprompt.methods.method import Output
from vlprompt.methods.prompt_learner import WORDS, PromptOptions
from vlprompt.methods.zero_shot import ZeroShot
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.settings_checks import number


@dataclass(frozen=True)
class KgCoOpOptions(PromptOptions):
    """Options of KgCoOp.

    Attributes:
        words_weight: lambda, of the distance to the words' features; 0 is CoOp.
    """

    words_weight: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "words_weight", number("words_weight", self.words_weight, least=0.0))
        if self.class_specific:
            raise SettingsError("class_specific is True; KgCoOp shares one context, only coop has class-specific ones.")


class KgCoOp(CoOp):
    """A learned context that is held near the words."""

    name = "kgcoop"
    title = "KgCoOp"
    about = "coop, held near the words of the template"
    source = "KgCoOp, Yao et al. 2023, arXiv 2303.13283"
    recipes = (Recipe("kgcoop", TrainingSettings(epochs=100, batch_size=128), WORDS, "vit_b16_ep100_ctxv1.yaml"),)
    options_class = KgCoOpOptions
    options: KgCoOpOptions

    @cached_property
    def words(self) -> Tensor:
        """(N, E), L2-normalised; only what needs them asks, and so a template that fits its names."""
        zero_shot = ZeroShot(
            self.backbone, self.class_names, template=self.template, one_prompt_allowed=self.one_prompt_allowed
        )
        with self.backbone.constants():
            return F.normalize(zero_shot.weights, dim=-1)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        assert output.class_features is not None
        distance = 1 - F.cosine_similarity(output.class_features[0], self.words, dim=1).mean()
        return super().loss(output, labels) + self.options.words_weight * distance
