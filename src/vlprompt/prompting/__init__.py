"""Prompts, and the engine that turns them into text features."""

from vlprompt.prompting.plain import PlainEngine
from vlprompt.prompting.prompts import POSITIONS, Prompts, build_prompts, refuse_one_prompt, tokenize, words_of
from vlprompt.prompting.segments import SegmentsEngine
from vlprompt.prompting.text_engine import TextEngine, check_engine, text_engine

__all__ = [
    "POSITIONS",
    "PlainEngine",
    "Prompts",
    "SegmentsEngine",
    "TextEngine",
    "build_prompts",
    "check_engine",
    "refuse_one_prompt",
    "text_engine",
    "tokenize",
    "words_of",
]
