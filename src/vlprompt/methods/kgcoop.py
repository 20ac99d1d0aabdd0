"""KgCoOp, Knowledge-guided Context Optimization (Yao et al. 2023, arXiv 2303.13283).

CoOp whose learned class features must stay near those of the words, which is what new classes need:

    L = L_ce + lambda / N sum_i |w_i - w_i^clip|^2                                 (eq. 6)

with both features L2-normalised. As in the published code the distance is 1 - cos(w_i, w_i^clip), half of the square,
and lambda is 8; w_i^clip comes from the data set's own template.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.coop import CoOp
from vlprompt.methods.method import Output
from vlprompt.methods.options import PromptOptions
from vlprompt.methods.zero_shot import ZeroShot


@dataclass(frozen=True)
class KgCoOpOptions(PromptOptions):
    """Options of KgCoOp.

    Attributes:
        weight: lambda, of the distance to the words' features; 0 is CoOp.
    """

    weight: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.weight < float("inf"):
            raise SettingsError(f"weight is {self.weight!r}; it must be a number of at least 0.")


class KgCoOp(CoOp):
    """A learned context that is held near the words."""

    name = "kgcoop"
    options_class = KgCoOpOptions
    options: KgCoOpOptions

    words: Tensor

    def prepare(self) -> None:
        super().prepare()
        zero_shot = ZeroShot(self.backbone, self.class_names, template=self.template)
        self.register_buffer("words", F.normalize(zero_shot.weights, dim=-1), persistent=False)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        assert output.class_features is not None
        distance = 1 - F.cosine_similarity(output.class_features[0], self.words, dim=1).mean()
        return super().loss(output, labels) + self.options.weight * distance
