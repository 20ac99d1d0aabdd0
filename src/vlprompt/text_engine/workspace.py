"""Memory that is asked for once: the buffers of a step, kept for the next one.

Fresh memory costs more than it seems: the system hands it out page by page, each filled with zeros at first touch,
which takes as long as a matrix product of these sizes. So a step's activations live in buffers that the next step
overwrites. A workspace serves one step at a time; who needs one takes it from a `WorkspacePool` and puts it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Shape and type of buffers by name."""

Buffers = dict[str, Tensor]


def bytes_of(shapes: Shapes) -> int:
    """Memory that buffers of these shapes take."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values())


class Workspace:
    """Named buffers that grow to the largest shape asked of each."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory: dict[tuple[str, torch.dtype], Tensor] = {}
        self._bound: dict[Hashable, Buffers] = {}

    def buffers(self, key: Hashable, shapes: Callable[[], Shapes]) -> Buffers:
        """Buffers of the shapes that belong to `key`; their content is whatever the last user left."""
        if key not in self._bound:
            self._bound[key] = self._bind(shapes())
        return self._bound[key]

    def _bind(self, shapes: Shapes) -> Buffers:
        for name, (shape, dtype) in shapes.items():
            memory = self._memory.get((name, dtype))
            if memory is None or memory.numel() < math.prod(shape):
                with torch.inference_mode(False):  # training may use it next
                    self._memory[name, dtype] = torch.empty(math.prod(shape), dtype=dtype, device=self._device)
                self._bound.clear()  # views of the smaller memory would keep it alive
        return {
            name: self._memory[name, dtype][: math.prod(shape)].view(shape) for name, (shape, dtype) in shapes.items()
        }


class WorkspacePool:
    """Workspaces that nobody uses at the moment; taking and giving back are safe between threads."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._idle: list[Workspace] = []

    def take(self) -> Workspace:
        """An idle workspace, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return Workspace(self._device)

    def give_back(self, workspace: Workspace) -> None:
        """Offer a workspace to the next user."""
        self._idle.append(workspace)

    def clear(self) -> None:
        """Free the memory of all idle workspaces."""
        self._idle.clear()
