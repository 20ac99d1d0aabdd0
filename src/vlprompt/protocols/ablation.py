"""Ablations: what of a prompt learner matters, each question as a list of method runs on base-to-new.

The questions are those of CoOp (arXiv 2109.01134, section 4.3) and CoCoOp (arXiv 2203.05557, appendix): initial values,
number and place of the context vectors, a context for each class, and whether CoCoOp is better than CoOp only for its
more parameters; and that of arXiv 2506.23856, whether the Meta-Net needs to see the image. Each run is trained and
tested as in base-to-new; class-specific contexts, which new classes have none of, are tested on the base classes. Other
vision backbones are the same command with another backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vlprompt.data.samples import Dataset
from vlprompt.data.splits import select_half
from vlprompt.experiments.method_run import MethodRun
from vlprompt.experiments.protocol import Question
from vlprompt.protocols.base_to_new import BaseToNew

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone

ROOM_FOR_NAMES = 17
"""Tokens that stay free for [SOS], a name, the full stop and [EOS]; on CLIP this leaves 60 for the context."""
REDUCTION = 16
"""Of CoCoOp's Meta-Net, whose own constant needs torch."""


def as_many_as_cocoop(backbone: Backbone) -> int:
    """Context vectors with which CoOp has as many parameters as CoCoOp with 4, or as many as fit."""
    width, token = backbone.feature_size, backbone.token_width
    hidden = width // REDUCTION
    parameters = 4 * token + (width * hidden + hidden) + (hidden * token + token)
    return min(round(parameters / token), backbone.text.context_length - ROOM_FOR_NAMES)


def _coop(label: str, **options: object) -> MethodRun:
    return MethodRun("coop", label, options)


def _cocoop(label: str, **options: object) -> MethodRun:
    return MethodRun("cocoop", label, options)


COOP, COCOOP = MethodRun("coop", "coop"), MethodRun("cocoop", "cocoop")
COOP_RANDOM, COCOOP_RANDOM = (_coop("coop random-4", context_init=None), _cocoop("cocoop random-4", context_init=None))
QUESTIONS = {
    "initialisation": Question("words or random vectors to start from", (COOP, COOP_RANDOM, COCOOP, COCOOP_RANDOM)),
    "length": Question(
        "number of context vectors",
        (
            COOP_RANDOM,
            *(_coop(f"coop random-{m}", context_init=None, context_length=m) for m in (8, 16)),
            COCOOP_RANDOM,
            *(_cocoop(f"cocoop random-{m}", context_init=None, context_length=m) for m in (8, 16)),
        ),
    ),
    "position": Question(
        "class name at the end, in the middle or in front",
        (COOP, *(_coop(f"coop {position}", position=position) for position in ("middle", "front"))),
    ),
    "class-specific": Question(
        "one context for all classes or one for each",
        (COOP_RANDOM, _coop("coop class-specific", context_init=None, class_specific=True)),
    ),
    "parameters": Question(
        "a CoOp with as many parameters as CoCoOp",
        (COOP, _coop("coop as large as cocoop", context_init=None, context_length=as_many_as_cocoop), COCOOP),
    ),
    "meta-net": Question(
        "what the Meta-Net is conditioned on",
        (COCOOP, *(_cocoop(f"cocoop {seen}", meta_net_input=seen) for seen in ("other", "noise", "nothing"))),
    ),
}


class Ablation(BaseToNew):
    """Trains as base-to-new does; a name of `questions` is its list of method runs."""

    name = "ablation"
    title = "what of a prompt learner matters, on base and new classes"
    paper = (
        "Learning to Prompt for Vision-Language Models (Zhou et al. 2021, arXiv 2109.01134), section 4.3; Conditional "
        "Prompt Learning for Vision-Language Models (Zhou et al. 2022, arXiv 2203.05557), appendix"
    )
    note = "H: harmonic mean of base and new. Class-specific contexts cannot name new classes."
    methods = "all"
    needs_open_names = False
    keeps_words = True
    questions = QUESTIONS

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        return {"base": select_half(dataset, "base"), "new": select_half(dataset, "new")}

    def columns(self, accuracies: Mapping[str, float]) -> dict[str, float]:
        if "new" not in accuracies:
            return dict(accuracies)
        base, new = accuracies["base"], accuracies["new"]
        return {**accuracies, "H": 2 * base * new / (base + new) if base + new else 0.0}

    def shots_of_untrained(self, shots: int) -> int:
        return 0


ABLATION = Ablation()
