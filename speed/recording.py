"""What a training step asks of the library: matrix products, to run them alone, and the bytes of all other passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PRODUCTS = ("mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_")

MOVE_NOTHING = ("_unsafe_view", "empty")


class Recording(TorchDispatchMode):
    """The operations of what runs inside `with`, forward and backward, in their order.

    Attributes:
        products: each matrix product with its operands, which keep their layout and are held.
        pass_bytes: what all other operations read and write; views move nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.pass_bytes = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, given: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        arguments, named = tuple(given), dict(options or {})
        result = operation(*arguments, **named)
        if operation.overloadpacket.__name__ in PRODUCTS:
            self.products.append((operation, arguments, named))
        elif not (operation.is_view or operation.overloadpacket.__name__ in MOVE_NOTHING):
            self.pass_bytes += bytes_moved(operation, arguments, named, result)
        return result

    def run_products(self) -> None:
        """All products again, forward and backward in the step's own order, and nothing between them."""
        with torch.no_grad():
            for operation, arguments, named in self.products:
                operation(*arguments, **named)


def recorded(step: Callable[[], Any]) -> Recording:
    """One run of a step, recorded, after one that prepares its buffers."""
    step()
    recording = Recording()
    with recording:
        step()
    return recording


def bytes_moved(operation: Any, arguments: Sequence[Any], named: Mapping[str, Any], result: Any) -> int:
    """Bytes that an operation must read and write, each distinct number once; what it only overwrites is not read."""
    read = [some for some in tree_leaves((arguments, named)) if isinstance(some, Tensor)]
    written = [some for some in tree_leaves(result) if isinstance(some, Tensor)]
    destinations = [named[name] for name in ("out", "grad_input") if name in named]
    if operation.overloadpacket.__name__ in ("copy_", "zero_"):
        destinations.append(arguments[0])
    only_written = {id(some) for some in destinations}
    return sum(own_bytes(some) for some in read if id(some) not in only_written) + sum(map(own_bytes, written))


def own_bytes(tensor: Tensor) -> int:
    """Bytes of the distinct numbers of a tensor: dimensions of stride 0 repeat them."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else min(size, 1)
    return count * tensor.element_size()
