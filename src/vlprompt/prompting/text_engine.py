"""Which path encodes the prompts, and how much memory it may take."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch
from torch import Tensor

from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.prompting.plain import PlainEngine
from vlprompt.prompting.prompts import Prompts
from vlprompt.prompting.segments import SegmentsEngine

TextEngine = Callable[[Tensor], Tensor]
"""context (b, n, M, D) -> text features (b, N, E), not normalised."""

ENGINES = ("auto", "plain", "segments")


def text_engine(
    backbone: Backbone,
    prompts: Prompts,
    *,
    class_specific: bool = False,
    engine: str = "auto",
    memory: str | int = "auto",
) -> TextEngine:
    """Choose and prepare the engine for some prompts.

    Args:
        class_specific: whether contexts differ between classes.
        engine: "segments", "plain", or "auto": segments wherever the tower allows it.
        memory: bytes that the activations of a step may take, or "auto": a quarter of the machine's or the GPU's. Only
            the segments path heeds it; it splits and recomputes as far as needed.

    Raises:
        SettingsError: segments were asked for, and the tower is not causal or pools otherwise.
        UnknownNameError: no such engine.
    """
    if engine not in ENGINES:
        raise UnknownNameError("text engine", engine, ENGINES)
    reason = backbone.text.whole_sequence_only
    if engine == "segments" and reason:
        raise SettingsError(f"engine 'segments' cannot serve backbone {backbone.name!r}: {reason}; use 'auto'.")
    if engine == "plain" or reason:
        return PlainEngine(backbone, prompts)
    rows = max(1, _budget(memory, backbone) // bytes_per_row(backbone))
    return SegmentsEngine(backbone, prompts, class_specific=class_specific, rows_at_once=rows)


def bytes_per_row(backbone: Backbone) -> int:
    """Memory that one (image, class, token) row holds between forward and backward pass.

    Per layer: the inputs of both norms and of attention (queries, keys, values, output), and the MLP's hidden layer
    before and after its activation: about 18 D numbers.
    """
    text = backbone.text
    return 18 * text.token_width * len(text.blocks) * text.token_embedding.weight.element_size()


def _budget(memory: str | int, backbone: Backbone) -> int:
    if memory == "auto":
        # Of all memory, not of what happens to be free: how the work is split shows in a gradient's last bits.
        if backbone.device.type == "cuda":
            return torch.cuda.get_device_properties(backbone.device).total_memory // 4
        return psutil.virtual_memory().total // 4
    if not isinstance(memory, int) or memory <= 0:
        raise SettingsError(f"memory is {memory!r}; it must be 'auto' or a number of bytes above 0.")
    return memory
