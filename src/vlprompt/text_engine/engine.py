"""Which path encodes the prompts, and how much memory it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor

from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.text_engine.plain import PlainEngine
from vlprompt.text_engine.prompts import Prompts
from vlprompt.text_engine.segments import SegmentsEngine, why_whole_sequences

TextEngine = Callable[[Tensor], Tensor]
"""context (b, n, M, D) -> text features (b, N, E), not normalised."""

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")

ENGINES = ("auto", "plain", "segments", "autograd")


@dataclass(frozen=True)
class EngineChoice:
    """Which engine encodes some prompts, and why.

    Attributes:
        name: "segments", "autograd" (segments as autograd writes them) or "plain" (whole sequences).
        reason: in words.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def chosen_engine(backbone: Backbone, prompts: Prompts, engine: str = "auto") -> EngineChoice:
    """Which engine `text_engine` takes for some prompts, and why."""
    if reason := why_whole_sequences(backbone, prompts):
        return EngineChoice("plain", reason)
    if engine != "auto":
        return EngineChoice(engine, "asked for")
    return EngineChoice("segments", "the text tower is causal, and the prompts need no whole sequences")


def text_engine(
    backbone: Backbone,
    prompts: Prompts,
    *,
    context_of: Sequence[int] | None = None,
    engine: str = "auto",
    memory: str | int = "auto",
) -> TextEngine:
    """Choose and prepare the engine for some prompts.

    Args:
        context_of: which of n contexts each prompt takes (class-specific contexts: 0 to N - 1); None: all take the only
            one.
        engine: "segments", "plain", or "auto": segments wherever the tower allows it. "autograd": segments as autograd
            writes them, the reference, which also takes deeper contexts.
        memory: bytes that the activations of a step may take, or "auto": a quarter of the machine's or the GPU's. Only
            the segments path heeds it; it splits and recomputes as far as needed.

    Raises:
        SettingsError: segments (or "autograd") were asked for, and the tower is not causal or pools otherwise.
        UnknownNameError: no such engine.
    """
    check_engine(backbone, engine, memory)
    chosen = chosen_engine(backbone, prompts, engine).name
    if chosen == "plain":
        return PlainEngine(backbone, prompts, context_of=context_of)
    budget = _budget(memory, backbone)
    return SegmentsEngine(backbone, prompts, context_of=context_of, memory=budget, autograd=chosen == "autograd")


def deep_engine(
    backbone: Backbone, prompts: Prompts, memory: str | int = "auto", *, context_of: Sequence[int] | None = None
) -> SegmentsEngine:
    """The engine for prompts in which other contexts follow in deeper layers; see `SegmentsEngine`.

    Args:
        context_of: which of n contexts each prompt takes (0 to N - 1 where deeper ones are the classes' own); None: all
            take the only one.

    Raises:
        SettingsError: the text tower, or a prompt to it, needs whole sequences, which take no deeper contexts.
    """
    check_takes_deeper_contexts(backbone, why_whole_sequences(backbone, prompts))
    budget = _budget(memory, backbone)
    return SegmentsEngine(backbone, prompts, context_of=context_of, memory=budget, autograd=True)


def check_takes_deeper_contexts(backbone: Backbone, reason: str | None = None) -> None:
    """Raise a `SettingsError` where a text tower needs whole sequences, or there is another reason."""
    if reason := reason or backbone.text.whole_sequence_only:
        raise SettingsError(
            f"the text tower of the backbone {backbone.name!r} takes no contexts in deeper layers: {reason}."
        )


def check_engine(backbone: Backbone, engine: str, memory: str | int) -> None:
    """Raise what `text_engine` would raise, without preparing anything."""
    if engine not in ENGINES:
        raise UnknownNameError("text engine", engine, ENGINES)
    reason = backbone.text.whole_sequence_only
    if engine in ("segments", "autograd") and reason:
        raise SettingsError(f"engine {engine!r} cannot serve backbone {backbone.name!r}: {reason}; use 'auto'.")
    if memory != "auto" and (not isinstance(memory, int) or isinstance(memory, bool) or memory <= 0):
        raise SettingsError(f"memory is {memory!r}; it must be 'auto' or a number of bytes above 0.")


def _machine_memory() -> int:
    """Bytes that the machine has, or the container that this runs in."""
    total = psutil.virtual_memory().total
    try:
        limit = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _budget(memory: str | int, backbone: Backbone) -> int:
    """Bytes of a memory that `check_engine` has let through."""
    if isinstance(memory, int):
        return memory
    # Of all memory, not of what happens to be free: how the work is split shows in a gradient's last bits.
    if backbone.device.type == "cuda":
        return torch.cuda.get_device_properties(backbone.device).total_memory // 4
    return _machine_memory() // 4
