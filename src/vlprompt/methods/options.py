"""Options of the methods; typed dataclasses that check themselves, free of torch so that a command line can read them.

Defaults are the published values of the base-to-new experiments (CoCoOp, section 4: M = 4, "a photo of a").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vlprompt.errors import SettingsError, UnknownNameError, quoted
from vlprompt.files.text_files import is_unicode
from vlprompt.settings_checks import number, plain, plain_all, shown, truth_value, whole_number

DEFAULT_TEMPLATE = "a photo of a {}."

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


def check_template(template: str) -> str:
    """The template, if it has exactly one place for the class name.

    Raises:
        SettingsError: it has none or several, or is no Unicode text.
    """
    if not isinstance(template, str):
        raise SettingsError(f"template is {shown(template)}; it must be text with {{}} for the class name.")
    if not is_unicode(template):
        raise SettingsError(f"template {quoted(template)} is not valid Unicode text.")
    if template.count("{}") != 1:
        raise SettingsError(f"template {quoted(template)} must have exactly one {{}} for the class name.")
    return template


@dataclass(frozen=True)
class PromptOptions:
    """Options of the methods that learn a context (CoOp, section 3.2; CoCoOp, section 3.2).

    Attributes:
        context_length: M, the number of context vectors; ignored where context_init gives words.
        context_init: words that the context starts from ("a photo of a"), or None for N(0, 0.02).
        class_specific: a context of its own for each class (CoOp only); it then starts from N(0, 0.02).
        position: class token position: "end", "middle" or "front".
        engine: "segments", "plain", or "auto", which takes segments wherever the text tower is causal; "autograd" are
            segments as autograd writes them, the reference.
        memory: bytes for the activations of a step, or "auto", a quarter of the machine's or the GPU's memory.
    """

    context_length: int = 4
    context_init: str | None = "a photo of a"
    class_specific: bool = False
    position: Literal["end", "middle", "front"] = "end"
    engine: Literal["auto", "plain", "segments", "autograd"] = "auto"
    memory: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "context_length", whole_number("context_length", self.context_length, least=1))
        object.__setattr__(self, "class_specific", truth_value("class_specific", self.class_specific))
        object.__setattr__(self, "memory", plain(self.memory))
        if self.context_init is not None and not isinstance(self.context_init, str):
            raise SettingsError(f"context_init is {shown(self.context_init)}; it must be words, or None.")
        if self.context_init is not None and not self.context_init.strip():
            raise SettingsError(
                "context_init is empty; give words such as 'a photo of a', or context_init=None for random vectors."
            )
        if self.context_init is not None and "{}" in self.context_init:
            raise SettingsError(
                f"context_init is {quoted(self.context_init)}; it takes no {{}}: the class name stands where position "
                "says."
            )
        if self.context_init is not None and not is_unicode(self.context_init):
            raise SettingsError(f"context_init is {quoted(self.context_init)}, which is not valid Unicode text.")
        for option, value, known in (
            ("class token position", self.position, ("end", "middle", "front")),
            ("text engine", self.engine, ("auto", "plain", "segments", "autograd")),
        ):
            if value not in known:
                raise UnknownNameError(option, value, known)


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


@dataclass(frozen=True)
class GDAOptions:
    """Options of GDA.

    Attributes:
        alpha: weight of what the pictures say beside the words; None picks it by cross-validation on the training
            pictures.
    """

    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None:
            object.__setattr__(self, "alpha", number("alpha", self.alpha, least=0.0))


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


@dataclass(frozen=True)
class LPPlusPlusOptions:
    """Options of LP++.

    Attributes:
        steps: of the descent.
    """

    steps: int = 300

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number("steps", self.steps, least=1))


@dataclass(frozen=True)
class CLAPOptions:
    """Options of CLAP.

    Attributes:
        constraint: hold the weights near the words; false is the plain zero-shot initialised probe (ZS-LP).
    """

    constraint: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint", truth_value("constraint", self.constraint))


@dataclass(frozen=True)
class TipAdapterOptions:
    """Options of Tip-Adapter and Tip-Adapter-F.

    Attributes:
        alpha: weight of what the pictures say beside the words; None picks it by cross-validation on the training
            pictures.
        beta: how sharply a training picture's say falls with its distance; None picks it together with alpha.
    """

    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, value, least=0.0))


@dataclass(frozen=True)
class MaPLeOptions:
    """Options of MaPLe.

    Attributes:
        context_length: M, the context vectors of a text layer, and the tokens of an image layer.
        context_init: words whose first M tokens the context starts from, and whose others stay; None for N(0, 0.02).
        depth: J, the layers with prompts in each tower; "auto" is 9, as published, or all layers where a tower has
            fewer.
        image_prompts: false leaves the image tower as it is; with depth 1 it is then CoOp.
        memory: bytes for the text tower's activations of a step, or "auto", a quarter of the machine's or the GPU's.
    """

    context_length: int = 2
    context_init: str | None = "a photo of a"
    depth: Literal["auto"] | int = "auto"
    image_prompts: bool = True
    memory: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        # A context of words is checked as every other.
        PromptOptions(context_length=self.context_length, context_init=self.context_init)
        object.__setattr__(self, "context_length", plain(self.context_length))
        object.__setattr__(self, "image_prompts", truth_value("image_prompts", self.image_prompts))
        object.__setattr__(self, "memory", plain(self.memory))
        if self.depth != "auto":
            object.__setattr__(self, "depth", whole_number("depth", self.depth, least=1, instead=" or 'auto'"))


METHOD_OPTIONS: dict[str, type] = {
    "zero-shot": ZeroShotOptions,
    "coop": PromptOptions,
    "cocoop": PromptOptions,
    "kgcoop": KgCoOpOptions,
    "maple": MaPLeOptions,
    "linear-probe": LinearProbeOptions,
    "clap": CLAPOptions,
    "lp++": LPPlusPlusOptions,
    "gda": GDAOptions,
    "tip-adapter": TipAdapterOptions,
    "tip-adapter-f": TipAdapterOptions,
}
"""The options of every method in `METHODS`, for a command line that starts without torch."""
