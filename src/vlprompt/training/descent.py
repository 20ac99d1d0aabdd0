"""Gradient descent on a handful of small tensors: SGD as published for prompts, AdamW and Adam.

The updates are torch's own functions. What is left out is the class around them: constructing the first
`torch.optim.Optimizer` imports the compiler, which takes as long as importing torch (0.9 s), and its bookkeeping takes
more time per step than the update (107 instead of 47 microseconds for CoCoOp's five tensors on one busy core).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from vlprompt.recipes import TrainingSettings


class Descent(ABC):
    """An optimiser over named parameters.

    Arguments:
        parameters: by name; all on one device.
        settings: the optimiser's own are used.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> None:
        self.learning_rate = settings.learning_rate
        self._parameters = dict(parameters)
        first = next(iter(parameters.values()))
        self._options: dict[str, Any] = {
            "weight_decay": settings.weight_decay,
            "maximize": False,
            "foreach": False,
            # With a scaled loss, torch's fused update ruins the state in a step that an overflow ought to leave out.
            "fused": settings.precision != "fp16" and first.device.type in ("cpu", "cuda"),
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameters as torch's `GradScaler` looks for them."""
        return [{"params": list(self._parameters.values())}]

    def clear_gradients(self) -> None:
        """Before the first backward pass of a step."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [name for name, parameter in self._parameters.items() if parameter.grad is not None]
        self._update(moved, [self._parameters[name] for name in moved], [self._parameters[name].grad for name in moved])

    @abstractmethod
    def _update(self, names: list[str], parameters: list[Any], gradients: list[Any]) -> None: ...

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers, by a name that begins with the parameter's, where there is any yet."""

    @abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave."""


class SGD(Descent):
    """Momentum and weight decay, as `torch.optim.SGD`."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> None:
        super().__init__(parameters, settings)
        self._momentum: dict[str, Tensor | None] = dict.fromkeys(self._parameters)
        self._options |= {
            "momentum": settings.momentum,
            "dampening": settings.dampening,
            "nesterov": settings.nesterov,
        }

    def _update(self, names: list[str], parameters: list[Any], gradients: list[Any]) -> None:
        momentum = [self._momentum[name] for name in names]
        sgd(parameters, gradients, momentum, lr=self.learning_rate, **self._options)
        self._momentum |= dict(zip(names, momentum, strict=True))

    def state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self._momentum.items() if tensor is not None}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            self._momentum[name] = state[name].to(parameter.device, copy=True) if name in state else None


class AdamW(Descent):
    """Adam with decoupled weight decay and torch's decay rates, as `torch.optim.AdamW`."""

    UPDATE: Any = staticmethod(adamw)
    BETAS = (0.9, 0.999)
    PARTS = ("first", "second", "steps")

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> None:
        super().__init__(parameters, settings)
        self._options |= {"beta1": self.BETAS[0], "beta2": self.BETAS[1], "eps": settings.epsilon, "amsgrad": False}
        self._moments: dict[str, dict[str, Tensor]] = {
            name: {
                "first": torch.zeros_like(parameter, requires_grad=False),
                "second": torch.zeros_like(parameter, requires_grad=False),
                "steps": torch.zeros((), device=parameter.device),
            }
            for name, parameter in self._parameters.items()
        }

    def _update(self, names: list[str], parameters: list[Any], gradients: list[Any]) -> None:
        first, second, steps = ([self._moments[name][part] for name in names] for part in self.PARTS)
        self.UPDATE(parameters, gradients, first, second, [], steps, lr=self.learning_rate, **self._options)

    def state(self) -> dict[str, Tensor]:
        return {f"{name}/{part}": tensor for name, parts in self._moments.items() for part, tensor in parts.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, parts in self._moments.items():
            for part, tensor in parts.items():
                tensor.copy_(state.get(f"{name}/{part}", torch.zeros_like(tensor)))


class Adam(AdamW):
    """Adam with weight decay as part of the gradient, as `torch.optim.Adam`."""

    UPDATE = staticmethod(adam)


def descent_of(parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> Descent:
    """The optimiser that the settings name."""
    kinds: dict[str, type[SGD | AdamW]] = {"sgd": SGD, "adamw": AdamW, "adam": Adam}
    return kinds[settings.optimizer](parameters, settings)
