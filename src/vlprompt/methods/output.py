"""What a method's forward must give."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vlprompt.errors import MethodError


def checked_logits(method: Any, logits: Any, images: int) -> Tensor:
    """What a method's forward gave, if it is a logit for each image and class: (B, N).

    Raises:
        MethodError: it is something else.
    """
    wanted = (images, len(method.class_names))
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise MethodError(f"the forward of the method {type(method).__name__} gives {got}; it must be {wanted}.")
    return logits
