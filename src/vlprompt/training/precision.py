"""In which floating-point format the frozen towers compute while a prompt is trained.

Learned parameters, their gradients, the optimiser and the loss are always fp32; autocast lowers the matrix products.
The published code kept even the parameters in half precision and scaled no loss. In fp16 we scale it, as the same
code's "amp" choice does: a gradient passes a dozen frozen layers on its way to the context, and what falls below
6e-8 on it is lost. bf16 has fp32's range and needs no scaling.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from vlprompt.errors import SettingsError
from vlprompt.training.descent import Descent

_FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse fp16 and bf16 where they are not faster.

    Raises:
        SettingsError: `precision` is not "fp32" and the device is no CUDA GPU.
    """
    if precision != "fp32" and device.type != "cuda":
        raise SettingsError(
            f"precision is {precision!r}, which needs a CUDA GPU, and the method is on {device}; use precision 'fp32'."
        )


class Precision:
    """Autocast, and the loss scaling that belongs to it."""

    def __init__(self, precision: str, device: torch.device) -> None:
        self._device_type = device.type
        self._format = _FORMATS.get(precision)
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes."""
        if self._format is None:
            return nullcontext()
        return torch.autocast(self._device_type, dtype=self._format)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients."""
        self._scaler.scale(loss).backward()

    def step(self, descent: Descent) -> None:
        """One step down; in fp16 it is left out when a scaled gradient overflowed."""
        if not self._scaler.is_enabled():
            descent.step()
            return
        self._scaler.step(descent)  # type: ignore[arg-type]  # it asks for param_groups and step() only
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """Of the loss scaling, as plain values."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state)
