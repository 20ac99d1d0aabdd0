"""A method of one's own, complete: CoOp that is trained towards soft labels, so that it is never too sure.

vlprompt fit PICTURES --method my_method.py:SoftCoOp --softness 0.2 --out model
vlprompt predict model PICTURES --method my_method.py:SoftCoOp
vlprompt benchmark few-shot emoji-food --methods zero-shot,coop,my_method.py:SoftCoOp --out runs
vlprompt report runs
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.method import Output
from vlprompt.methods.prompt_learner import PromptLearner, PromptOptions
from vlprompt.recipes import Recipe, TrainingSettings


@dataclass(frozen=True)
class SoftCoOpOptions(PromptOptions):
    """Options of SoftCoOp; each is an option of the command line, too.

    Attributes:
        softness: share of the target that goes to all classes alike, from 0 (CoOp) to 1.
    """

    softness: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.softness < 1:
            raise SettingsError(f"softness is {self.softness}; it must be from 0 to below 1.")


class SoftCoOp(PromptLearner):
    """One learned context for all pictures, and a loss with soft labels."""

    name = "soft-coop"
    title = "SoftCoOp"
    about = "coop with soft labels"
    source = "an example of vlprompt"
    recipes = (Recipe("soft-coop", TrainingSettings(epochs=50, batch_size=32), source="ours, not tuned"),)
    options_class = SoftCoOpOptions
    options: SoftCoOpOptions
    image_conditioned = False  # so that prediction computes the class features once

    def context(self, image_features: Tensor) -> Tensor:
        """What stands before the class names: (1, 1, M, D), the same for all images and classes."""
        return self.context_vectors[None, None]

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """What training minimises, for logits (B, N) and labels (B,)."""
        return F.cross_entropy(output.logits, labels, label_smoothing=self.options.softness)
