"""Stochastic gradient descent on a handful of small tensors.

The update is torch's own `torch.optim.sgd.sgd`. What is left out is the class around it: constructing the first
`torch.optim.Optimizer` imports the compiler, which takes as long as importing torch (0.9 s), and its bookkeeping takes
more time per step than the update (107 instead of 47 microseconds for CoCoOp's five tensors on one busy core).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from vlprompt.recipes import TrainingSettings


class Descent:
    """SGD with momentum and weight decay on named parameters, as `torch.optim.SGD`.

    Arguments:
        parameters: by name; all on one device.
        settings: of which momentum, dampening, nesterov and weight decay are used.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> None:
        self.learning_rate = settings.learning_rate
        self._names = list(parameters)
        self._parameters = list(parameters.values())
        self._momentum: list[Tensor | None] = [None] * len(self._names)
        self._options: dict[str, Any] = {
            "momentum": settings.momentum,
            "dampening": settings.dampening,
            "nesterov": settings.nesterov,
            "weight_decay": settings.weight_decay,
            "maximize": False,
            "foreach": False,
            # With a scaled loss, torch's fused SGD ruins the momentum in a step that an overflow ought to leave out.
            "fused": settings.precision != "fp16" and self._parameters[0].device.type in ("cpu", "cuda"),
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameters as torch's `GradScaler` looks for them."""
        return [{"params": self._parameters}]

    def clear_gradients(self) -> None:
        """Before the first backward pass of a step."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [place for place, parameter in enumerate(self._parameters) if parameter.grad is not None]
        momentum = [self._momentum[place] for place in moved]
        parameters = [self._parameters[place] for place in moved]
        gradients = [parameter.grad for parameter in parameters]
        sgd(parameters, gradients, momentum, lr=self.learning_rate, **self._options)  # type: ignore[arg-type]
        for place, tensor in zip(moved, momentum, strict=True):
            self._momentum[place] = tensor

    def momentum(self) -> dict[str, Tensor]:
        """The momentum by parameter name, where there is any yet."""
        return {name: tensor for name, tensor in zip(self._names, self._momentum, strict=True) if tensor is not None}

    def restore(self, momentum: Mapping[str, Tensor]) -> None:
        """Take up what `momentum` gave."""
        self._momentum = [
            momentum[name].to(parameter.device, copy=True) if name in momentum else None
            for name, parameter in zip(self._names, self._parameters, strict=True)
        ]
