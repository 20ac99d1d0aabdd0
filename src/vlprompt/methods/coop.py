"""CoOp, Context Optimization (Zhou et al. 2021, arXiv 2109.01134).

The words around the class name become vectors learned by cross-entropy, one context for all classes (eq. 2: unified) or
one for each (section 3.2: class-specific):

    t_i = [V]_1 [V]_2 ... [V]_M [CLASS]_i
    p(y = i | x) = exp(cos(g(t_i), f(x)) / tau) / sum_j exp(cos(g(t_j), f(x)) / tau)
"""

from __future__ import annotations

from torch import Tensor

from vlprompt.methods.prompt_learner import PromptLearner


class CoOp(PromptLearner):
    """A learned context, the same for every image."""

    name = "coop"
    about = "one learned context for all pictures"
    source = "CoOp, Zhou et al. 2021, arXiv 2109.01134"
    image_conditioned = False

    def context(self, image_features: Tensor) -> Tensor:
        """(B, E) -> (1, 1, M, D), or (1, N, M, D) with class-specific contexts."""
        vectors = self.context_vectors
        return vectors[None] if vectors.ndim == 3 else vectors[None, None]
