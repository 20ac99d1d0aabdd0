"""Prompts as token sequences with slots for the context.

A prompt is [SOS] v_1 ... v_M name . [EOS] (CoOp, section 3.2), where the context v may also stand around the name
("middle") or behind it ("front"). The text is tokenised as the published code does it, whole, with an X for every
context vector, so that every name meets the full stop as it would in a sentence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from vlprompt.backbones import Backbone
from vlprompt.errors import BackboneError, DataError, MethodError, SettingsError, UnknownNameError

Position = Literal["end", "middle", "front"]
POSITIONS: tuple[str, ...] = get_args(Position)


FILLERS = ("X", "x", "a", "the", "of")
"""Words of which one stands for a context vector when a prompt is tokenised; X, as published, wherever it can."""

ROOM_FOR_NAME = 4
"""Tokens that the shortest name takes with [SOS], full stop and [EOS]."""


def words_of(class_name: str) -> str:
    """A class name as it stands in a prompt: "giant_panda" becomes "giant panda"."""
    return class_name.replace("_", " ").strip()


@dataclass(frozen=True, eq=False)
class Prompts:
    """The tokens of N prompts with M context slots each.

    Attributes:
        class_names: N names.
        token_ids: (N, L) ids of "X ... X name.", padded; for masks, pooling and the looked-up embeddings.
        context_length: M.
        position: where the class name stands among the context.
        start: index of the first token after [SOS] (0 for tokenizers without one).
        name_lengths: tokens of each name.
        ends: for each prompt the index after its pooled token; what follows is padding.
        token_width: D.
    """

    class_names: tuple[str, ...]
    token_ids: Tensor
    context_length: int
    position: str
    start: int
    name_lengths: tuple[int, ...]
    ends: tuple[int, ...]
    token_width: int

    @property
    def context_before(self) -> int:
        """Context vectors before the class name: M at the end, M // 2 in the middle, 0 at the front."""
        return {"end": self.context_length, "middle": self.context_length // 2, "front": 0}[self.position]

    def name_tokens(self, index: int) -> list[int]:
        """The ids of one class name."""
        first = self.start + self.context_length
        return self.token_ids[index, first : first + self.name_lengths[index]].tolist()

    def closing_tokens(self, index: int) -> list[int]:
        """The ids after one class name, up to the pooled token: full stop and [EOS]."""
        first = self.start + self.context_length + self.name_lengths[index]
        return self.token_ids[index, first : self.ends[index]].tolist()

    def select(self, classes: Sequence[int]) -> Prompts:
        """The prompts of some classes, in this order; a class may come more than once."""
        return replace(
            self,
            class_names=tuple(self.class_names[index] for index in classes),
            token_ids=self.token_ids[list(classes)],
            name_lengths=tuple(self.name_lengths[index] for index in classes),
            ends=tuple(self.ends[index] for index in classes),
        )

    @cached_property
    def sources(self) -> Tensor:
        """Where each token's embedding comes from, (N, L): m < M for context vector m, M + j for token j of token_ids.

        Gathering [context, embed(token_ids)] with it gives the embeddings of the whole sequences.
        """
        length, before, context = self.token_ids.shape[1], self.context_before, self.context_length
        rows = []
        for name_length in self.name_lengths:
            name = self.start + context
            order = [
                *range(context, context + self.start),
                *range(before),
                *range(context + name, context + name + name_length),
                *range(before, context),
                *range(context + name + name_length, context + length),
            ]
            rows.append(order)
        return torch.tensor(rows)


def build_prompts(
    backbone: Backbone,
    class_names: Sequence[str],
    context_length: int,
    position: str = "end",
    *,
    before: str = "",
    after: str = ".",
) -> Prompts:
    """Tokenise the prompts of some classes.

    Args:
        backbone: whose tokenizer and context length to use.
        class_names: N names; underscores become spaces.
        context_length: M, the number of context vectors.
        position: "end", "middle" or "front", the class token position.
        before: words that stay before every name, and move with it.
        after: what closes every prompt, behind name and context.

    Raises:
        SettingsError: the context alone leaves no room for a name.
        DataError: a prompt is longer than the text tower's context; the message names the class.
        UnknownNameError: no such position.
    """
    if position not in POSITIONS:
        raise UnknownNameError("class token position", position, POSITIONS)
    names = [f"{before} {words_of(name)}".strip() for name in class_names]
    if context_length + ROOM_FOR_NAME > backbone.text.context_length:
        raise SettingsError(
            f"context_length is {context_length}, which leaves no room for a name; this backbone takes "
            f"{backbone.text.context_length} tokens in all."
        )
    filler = " ".join([_filler(backbone)] * context_length)
    token_ids = tokenize(backbone, [f"{filler} {name}{after}".strip() for name in names], class_names)
    start = _first_text_token(backbone)
    return Prompts(
        class_names=tuple(class_names),
        token_ids=token_ids,
        context_length=context_length,
        position=position,
        start=start,
        name_lengths=tuple(len(tokens) for tokens in word_tokens(backbone, names)),
        ends=tuple((backbone.text.pooled_positions(token_ids) + 1).tolist()),
        token_width=backbone.token_width,
    )


def check_context(context: Tensor, prompts: Prompts, contexts: int) -> None:
    """Raise a `MethodError` unless a context has the shape (b, n, M, D) that some prompts were laid out for.

    Args:
        contexts: n, the number of contexts that the prompts take theirs from.
    """
    shape, wanted = tuple(context.shape), (contexts, prompts.context_length, prompts.token_width)
    if len(shape) != 4 or shape[1:] != wanted:
        raise MethodError(
            f"the method gives a context of the shape {shape}, and its prompts take {('b', *wanted)!s}: b images, "
            f"{contexts} context{'s' if contexts > 1 else ''}, {wanted[1]} vectors, width {wanted[2]}.".replace("'", "")
        )


def refuse_one_prompt(backbone: Backbone, class_names: Sequence[str]) -> None:
    """Raise a `DataError` when two different names are one prompt to this backbone's tokenizer, or one is none at all.

    Only the tokenizer knows: CLIP's reads typographic apostrophes and HTML entities as plain text, SigLIP's drops case
    and punctuation. Names that are equal letter by letter pass: published data sets have such, and whoever must not
    have them checks the text (`vlprompt.data.checks`).
    """
    seen: dict[tuple[int, ...], str] = {}
    words = [words_of(name) for name in class_names]
    # With the full stop of a prompt, which joins the punctuation before it into one token.
    sentences = word_tokens(backbone, [f"{text}." for text in words])
    for name, alone, sentence in zip(class_names, word_tokens(backbone, words), sentences, strict=True):
        if not alone:
            raise DataError(
                f"the class name {_shown(name)} has no words that the backbone {backbone.name!r} can read: its "
                "tokenizer leaves nothing of it; give the class words."
            )
        other = seen.setdefault(tuple(sentence), name)
        if other != name:
            raise DataError(
                f"the class names {_shown(other)} and {_shown(name)} are one prompt to the backbone "
                f"{backbone.name!r}: its tokenizer gives both the same tokens; rename or merge one of them."
            )


def _shown(name: str) -> str:
    """A class name in a message: short, and with combining characters escaped, which one cannot tell apart by eye."""
    text = name if len(name) <= 60 else f"{name[:57]}..."
    return ascii(text) if any(map(unicodedata.combining, text)) else repr(text)


def tokenize(backbone: Backbone, texts: Sequence[str], class_names: Sequence[str]) -> Tensor:
    """Token ids (n, context length) of texts; a text that would be cut is refused with its class name.

    Raises:
        DataError: a text has more tokens than the tower takes, or has in it what the tokenizer ends a text with
            ("<end_of_text>"), at which the model would stop reading.
    """
    limit = backbone.text.context_length
    # Room for twice the limit shows what the tokenizer, asked for the limit only, would silently cut.
    roomy = backbone.tokenizer(list(texts), context_length=2 * limit)
    lengths = (roomy != roomy[:, -1:]).int().cumsum(1).argmax(1) + 1
    for name, length in zip(class_names, lengths.tolist(), strict=True):
        if length > limit:
            least = "at least " if length >= 2 * limit - 1 else ""
            raise DataError(
                f"the prompt of class {_shown(name)} has {least}{length} tokens, and this backbone takes {limit}; "
                "shorten the name, or what the template says around it."
            )
    token_ids = roomy[:, :limit]
    for name, length, pooled in zip(
        class_names, lengths.tolist(), backbone.text.pooled_positions(token_ids).tolist(), strict=True
    ):
        if 0 < pooled < length - 1:
            raise DataError(
                f"the prompt of class {_shown(name)} has a sign in it with which this backbone's tokenizer ends a "
                "text, so that the model would not read the rest; take it out of the name or the template."
            )
    return token_ids


def _filler(backbone: Backbone) -> str:
    """A word that is one token, as the published X is to CLIP's tokenizer; it stands where the context will be."""
    for word in FILLERS:
        alone, twice = word_tokens(backbone, [word, f"{word} {word}"])
        if 2 * len(alone) == len(twice) == 2:
            return word
    raise BackboneError(
        f"the tokenizer of the backbone {backbone.name!r} has no word of one token among {', '.join(FILLERS)}, and one "
        "must stand in the place of each context vector."
    )


def _first_text_token(backbone: Backbone) -> int:
    """1 where the tokenizer begins with [SOS], else 0: the first place at which a text differs from none."""
    text, nothing = backbone.tokenizer(["X", ""])
    return int((text != nothing).int().argmax())


def word_tokens(backbone: Backbone, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text alone, as the published code counts them: without [SOS], [EOS] and padding.

    Of a text beyond twice the tower's limit they may be the first ones only.
    """
    encode = getattr(backbone.tokenizer, "encode", None)
    if encode is not None:
        return [list(encode(text)) for text in texts]
    rows = backbone.tokenizer([*texts, ""], context_length=2 * backbone.text.context_length)
    counts = (rows != rows[-1, -1]).sum(1)
    lengths = (counts - counts[-1]).tolist()  # what is left of no text are the special tokens
    start = _first_text_token(backbone)
    return [rows[place, start : start + lengths[place]].tolist() for place in range(len(texts))]
