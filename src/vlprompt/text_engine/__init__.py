"""Prompts, and the engine that turns them into text features.

The words of this room, as docs/how-it-works.md draws them (`segments.svg`):

    segment       a part of a prompt, computed at the smallest shape that it allows: [SOS], lead, trunk, tail
    trunk         the context where it comes before every name: once an image
    tail          what follows the trunk of one prompt, up to [EOS]: once an image and class
    lead          a name that comes before any context: constant, so it gives keys and values but no rows
    tree          tails that begin alike, each shared row once
    tile          trees whose rows attend together, padded to one length
    group         the classes whose tiles are computed in one pass; the memory decides how many groups there are
    packed rows   the rows of all tiles of a group behind one another: one matrix for the norms, projections and MLPs

The plain path knows none of these: it encodes whole sequences.
"""

from vlprompt.text_engine.engine import (
    EngineChoice,
    TextEngine,
    check_engine,
    check_takes_deeper_contexts,
    chosen_engine,
    deep_engine,
    text_engine,
)
from vlprompt.text_engine.plain import PlainEngine
from vlprompt.text_engine.prompts import POSITIONS, Prompts, build_prompts, refuse_one_prompt, tokenize, words_of
from vlprompt.text_engine.segments import SegmentsEngine

__all__ = [
    "POSITIONS",
    "EngineChoice",
    "PlainEngine",
    "Prompts",
    "SegmentsEngine",
    "TextEngine",
    "build_prompts",
    "check_engine",
    "check_takes_deeper_contexts",
    "chosen_engine",
    "deep_engine",
    "refuse_one_prompt",
    "text_engine",
    "tokenize",
    "words_of",
]
