"""What all methods that learn a context share: its initial values, the prompts, and the engine that encodes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from vlprompt.errors import SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.options import PromptOptions
from vlprompt.prompting import Prompts, TextEngine, build_prompts, check_engine, text_engine, words_of
from vlprompt.prompting.prompts import ROOM_FOR_NAME, token_counts

CONTEXT_STD = 0.02
"""Standard deviation of random initial context vectors (CoOp, section 3.2)."""


class PromptLearner(Method):
    """A method whose class features are g([SOS] context name . [EOS]); only the context differs between methods."""

    options_class = PromptOptions
    options: PromptOptions

    def prepare(self) -> None:
        check_engine(self.backbone, self.options.engine, self.options.memory)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.context_vectors = nn.Parameter(self._initial_context())
        self.prompts = self._prompts()

    @cached_property
    def encode_prompts(self) -> TextEngine:
        """Context -> class features; laid out at the first use, which a model with kept class features never makes."""
        return text_engine(
            self.backbone,
            self.prompts,
            context_of=range(len(self.class_names)) if self.context_vectors.ndim == 3 else None,
            engine=self.options.engine,
            memory=self.options.memory,
        )

    @abstractmethod
    def context(self, image_features: Tensor) -> Tensor:
        """The context: image features (B, E), L2-normalised -> (b, n, M, D), b of 1 or B, n of 1 or N."""

    def class_features(self, image_features: Tensor) -> Tensor:
        return self.encode_prompts(self.context(image_features))

    @torch.no_grad()
    def pair_features(self, image_features: Tensor, classes: Tensor) -> Tensor:
        """Features of some classes only, other ones for each image, exactly.

        Args:
            image_features: (B, E), L2-normalised.
            classes: (B, k) labels.

        Returns:
            (B, k, E), not normalised.
        """
        images, candidates = classes.shape
        context = self.context(image_features).expand(images, -1, -1, -1)
        # Every image's context is one of B contexts, shared by the prompts of its classes.
        encode = text_engine(
            self.backbone,
            self.prompts.select(classes.flatten().tolist()),
            context_of=[image for image in range(images) for _ in range(candidates)],
            engine=self.options.engine,
            memory=self.options.memory,
        )
        return encode(context.transpose(0, 1))[0].unflatten(0, (images, candidates))

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
        (length,) = token_counts(self.backbone, [words_of(words)])
        if not 1 <= length <= self.backbone.text.context_length - ROOM_FOR_NAME:
            raise SettingsError(
                f"context_init {words!r} has {length} tokens; it must have at least one and leave room for a name."
            )
        prompts = build_prompts(self.backbone, [words], context_length=0)
        ids = prompts.token_ids[0, prompts.start : prompts.start + prompts.name_lengths[0]]
        return self.backbone.embed_tokens(ids).clone()

    def with_class_names(self, class_names: Sequence[str]) -> Method:
        if self.context_vectors.ndim == 3:
            names = ", ".join(words_of(name) for name in self.class_names[:3])
            raise SettingsError(
                f"class-specific contexts were learned for {len(self.class_names)} classes ({names}, ...) and cannot "
                "serve other names; train with class_specific=False for that."
            )
        return super().with_class_names(class_names)
