"""What all methods that learn a context share: its initial values, the prompts, and the engine that encodes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vlprompt.backbones import Backbone
from vlprompt.errors import MethodError, SettingsError, UnknownNameError, quoted
from vlprompt.files.text_files import is_unicode
from vlprompt.methods.method import Method, ScreenedPath
from vlprompt.settings_checks import plain, shown, truth_value, whole_number
from vlprompt.text_engine import (
    EngineChoice,
    Prompts,
    TextEngine,
    build_prompts,
    check_engine,
    chosen_engine,
    text_engine,
    words_of,
)
from vlprompt.text_engine.prompts import ROOM_FOR_NAME, word_tokens

CONTEXT_STD = 0.02
"""Standard deviation of random initial context vectors (CoOp, section 3.2)."""

WORDS: Mapping[str, Any] = {"context_length": 4, "context_init": "a photo of a"}
"""Options of the recipes that start from these words."""


def random_vectors(context_length: int) -> Mapping[str, Any]:
    """Options of the recipes that start from so many random vectors."""
    return {"context_length": context_length, "context_init": None}


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


class PromptLearner(Method):
    """A method whose class features are g([SOS] context name . [EOS]); only the context differs between methods."""

    options_class = PromptOptions
    options: PromptOptions

    def prepare(self) -> None:
        check_engine(self.backbone, self.options.engine, self.options.memory)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.context_vectors = nn.Parameter(self._initial_context())
        self.prompts = self._prompts()
        self._engines: dict[bool, TextEngine] = {}

    def encode_prompts(self, context: Tensor) -> Tensor:
        """Context (b, n, M, D) -> class features (b, N, E), not normalised; n is 1, or N for a context a class.

        Raises:
            MethodError: the context has another shape.
        """
        return self.engine_for(per_class=self._is_per_class(context))(context)

    def engine_for(self, *, per_class: bool) -> TextEngine:
        """The engine for one context, or one a class; laid out at its first use.

        A model whose class features were saved never makes one.
        """
        if per_class not in self._engines:
            self._engines[per_class] = text_engine(
                self.backbone,
                self.prompts,
                context_of=range(len(self.class_names)) if per_class else None,
                engine=self.options.engine,
                memory=self.options.memory,
            )
        return self._engines[per_class]

    def text_engine(self) -> EngineChoice:
        return chosen_engine(self.backbone, self.prompts, self.options.engine)

    @abstractmethod
    def context(self, image_features: Tensor) -> Tensor:
        """The context: image features (B, E), L2-normalised -> (b, n, M, D), b of 1 or B, n of 1 or N."""

    def class_features(self, image_features: Tensor) -> Tensor:
        return self.encode_prompts(self._checked_context(self.context(image_features), len(image_features)))

    def _is_per_class(self, context: Tensor) -> bool:
        return context.ndim == 4 and 1 < context.shape[1] == len(self.class_names)

    def _checked_context(self, context: Tensor, images: int) -> Tensor:
        """The context of so many images, (b, n, M, D) with b of 1 or B and n of 1 or N; other shapes are refused."""
        classes, prompts = len(self.class_names), self.prompts
        shape = tuple(context.shape)
        vectors = (prompts.context_length, prompts.token_width)
        if len(shape) != 4 or shape[0] not in (1, images) or shape[1] not in (1, classes) or shape[2:] != vectors:
            raise MethodError(
                f"the method {type(self).__name__} gives a context of the shape {shape} for {images} images and "
                f"{classes} classes; its prompts take (b, n, {vectors[0]}, {vectors[1]}), with b of 1 or {images} and "
                f"n of 1 or {classes}."
            )
        return context

    def screened_path(
        self, size: int, activation: Callable[[Tensor], Tensor], context_of: Callable[[Tensor], Tensor]
    ) -> ScreenedPath:
        """The path of a method whose context depends on the image through a few numbers, for its `screening`.

        Args:
            size: H, how many numbers.
            activation: images (B, E), L2-normalised -> (B, H).
            context_of: (b, H) -> context (b, n, M, D), what `context` gives for the images.
        """
        return ScreenedPath(
            size,
            activation,
            lambda numbers: self.encode_prompts(context_of(numbers)),
            lambda numbers, classes: self.encode_pairs(context_of(numbers), classes),
        )

    @torch.no_grad()
    def encode_pairs(self, context: Tensor, classes: Tensor) -> Tensor:
        """Features of some classes only, other ones for each image, exactly.

        Args:
            context: (b, n, M, D), b of 1 or B.
            classes: (B, k) labels.

        Returns:
            (B, k, E), not normalised.
        """
        images, candidates = classes.shape
        context = self._checked_context(context, images).expand(images, -1, -1, -1)
        chosen = classes.flatten().tolist()
        image_of = [image for image in range(images) for _ in range(candidates)]
        # Every image's context is one of B, shared by the prompts of its classes, unless each class has its own.
        per_class = self._is_per_class(context)
        encode = text_engine(
            self.backbone,
            self.prompts.select(chosen),
            context_of=range(len(chosen)) if per_class else image_of,
            engine=self.options.engine,
            memory=self.options.memory,
        )
        contexts = context[image_of, chosen][None] if per_class else context.transpose(0, 1)
        return encode(contexts)[0].unflatten(0, (images, candidates))

    def _prompts(self) -> Prompts:
        return build_prompts(
            self.backbone, self.class_names, self.context_vectors.shape[-2], position=self.options.position
        )

    def _initial_context(self) -> Tensor:
        """(M, D) from words or N(0, 0.02), or (N, M, D) for class-specific contexts."""
        options, backbone = self.options, self.backbone
        if options.context_init is not None and not options.class_specific:
            return self._context_of_words(options.context_init)
        contexts = [len(self.class_names)] if options.class_specific else []
        shape = [*contexts, options.context_length, backbone.token_width]
        drawn = CONTEXT_STD * torch.randn(shape, generator=self.generator)
        return drawn.to(backbone.device, backbone.dtype)

    def _context_of_words(self, words: str) -> Tensor:
        """Embeddings of the words, as many vectors as they have tokens."""
        (ids,) = word_tokens(self.backbone, [words_of(words)])
        if not 1 <= len(ids) <= self.backbone.text.context_length - ROOM_FOR_NAME:
            shown = words if len(words) <= 60 else f"{words[:57]}..."
            raise SettingsError(
                f"context_init {shown!r} has {len(ids)} tokens; it must have at least one and leave room for a name."
            )
        return self.backbone.embed_tokens(torch.tensor(ids)).clone()

    @torch.no_grad()
    def nearest_words(self) -> list[tuple[str, float]]:
        """For each vector of a context (M, D) the token with the nearest embedding, and the Euclidean distance.

        As CoOp looks for the meaning of what was learned (section 4.3); tokens are spelled as the tokenizer has them.
        """
        vocabulary = self.backbone.text.token_embedding.weight.float()
        distances, ids = torch.cdist(self.context_vectors.float()[None], vocabulary[None])[0].min(dim=1)
        return [(_spelled(self.backbone, int(i)), float(d)) for i, d in zip(ids, distances, strict=True)]

    @property
    def takes_other_names(self) -> bool:
        return self.open_names and self.context_vectors.ndim == 2

    def with_class_names(self, class_names: Sequence[str]) -> Method:
        if self.context_vectors.ndim == 3:
            names = ", ".join(words_of(name) for name in self.class_names[:3])
            raise SettingsError(
                f"class-specific contexts were learned for {len(self.class_names)} classes ({names}, ...) and cannot "
                "serve other names; train with class_specific=False for that."
            )
        return super().with_class_names(class_names)


def _spelled(backbone: Backbone, token: int) -> str:
    """A token as the backbone's tokenizer spells it; its number where it does not tell."""
    tokenizer: Any = backbone.tokenizer
    if spelled := getattr(tokenizer, "decoder", {}).get(token):
        return str(spelled)
    convert = getattr(getattr(tokenizer, "tokenizer", None), "convert_ids_to_tokens", None)
    return str(convert(token)) if convert else str(token)
