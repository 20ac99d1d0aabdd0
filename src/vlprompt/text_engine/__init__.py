"""Prompts, and the engine that turns them into text features."""

from vlprompt.text_engine.engine import (
    TextEngine,
    check_engine,
    check_takes_deeper_contexts,
    deep_engine,
    text_engine,
)
from vlprompt.text_engine.plain import PlainEngine
from vlprompt.text_engine.prompts import POSITIONS, Prompts, build_prompts, refuse_one_prompt, tokenize, words_of
from vlprompt.text_engine.segments import SegmentsEngine

__all__ = [
    "POSITIONS",
    "PlainEngine",
    "Prompts",
    "SegmentsEngine",
    "TextEngine",
    "build_prompts",
    "check_engine",
    "check_takes_deeper_contexts",
    "deep_engine",
    "refuse_one_prompt",
    "text_engine",
    "tokenize",
    "words_of",
]
