"""The linear probe: logistic regression on image features (CLIP, Radford et al. 2021, arXiv 2103.00020, section 3.2).

    logits = f W^T + b,   minimising   C sum_i CE(logits_i, y_i) + |W|^2 / 2

by L-BFGS, as scikit-learn does, with the words left out. CLIP picks C on validation pictures; here it is picked by
cross-validation on the training pictures, among powers of ten as CoOp's own probe has them (arXiv 2109.01134, section
4.1). The features are L2-normalised, so that C means the same for every backbone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlprompt.methods.folds import choose
from vlprompt.methods.head import LinearHead
from vlprompt.methods.method import TrainingSet
from vlprompt.recipes import Recipe
from vlprompt.settings_checks import number

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""Values of C to choose among."""

SINGLE_PICTURE_STRENGTH = 100.0
"""C where every class has a single picture, and so none can be held out."""

MOST_STEPS = 1000


@dataclass(frozen=True)
class LinearProbeOptions:
    """Options of the linear probe.

    Attributes:
        strength: C, how much the pictures count against small weights; None picks it by cross-validation on the
            training pictures.
    """

    strength: float | None = None

    def __post_init__(self) -> None:
        if self.strength is not None:
            object.__setattr__(self, "strength", number("strength", self.strength, above=0.0))


class LinearProbe(LinearHead):
    """Logistic regression on the image features."""

    name = "linear-probe"
    title = "linear probe"
    about = "logistic regression on the pictures' features, without the words"
    source = "CLIP, Radford et al. 2021, arXiv 2103.00020"
    recipes = (Recipe("linear-probe", source="C by cross-validation on the training pictures"),)
    options_class = LinearProbeOptions
    options: LinearProbeOptions

    value: float

    def setup(self, training_set: TrainingSet) -> None:
        features, labels = training_set.features, training_set.labels
        strengths = STRENGTHS if self.options.strength is None else (self.options.strength,)

        def logits_of(features: Tensor, labels: Tensor, held_out: Tensor) -> list[Tensor]:
            probes = [logistic_regression(features, labels, strength, len(self.class_names)) for strength in strengths]
            return [held_out.double() @ weight.T + bias for weight, bias in probes]

        default = SINGLE_PICTURE_STRENGTH if self.options.strength is None else self.options.strength
        strength = self.chosen(choose(strengths, features, labels, self.seed, logits_of, default))
        self.learn(training_set, strength)

    def learn(self, training_set: TrainingSet, value: float) -> None:
        """Learn from pictures, with C known and kept as `value`."""
        features, labels = training_set.features, training_set.labels
        self.keep(*logistic_regression(features, labels, value, len(self.class_names)))
        self.value = value

    def logits(self, images: Tensor) -> Tensor:
        return self.linear_logits(images)


def logistic_regression(features: Tensor, labels: Tensor, strength: float, classes: int) -> tuple[Tensor, Tensor]:
    """scikit-learn's weights (N, E) and biases (N,) for features (n, E) and labels (n,), in double precision."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    probe = LogisticRegression(C=strength, max_iter=MOST_STEPS)
    # Matrices this small gain nothing from threads, which beside other programs wait for one another: 112 s for 1.2 s.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a thousand steps are the published limit
        warnings.filterwarnings("ignore", "The number of unique classes")  # a class may have one picture
        probe.fit(features.double().cpu().numpy(), labels.cpu().numpy())
    weight, bias = probe.coef_, probe.intercept_
    if classes == 2:  # scikit-learn has one row for two classes: the second's logit against the first's
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return torch.from_numpy(weight).to(features.device), torch.from_numpy(bias).to(features.device)
