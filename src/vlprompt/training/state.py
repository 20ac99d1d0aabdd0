"""Everything that changes while a prompt is trained, so that it can be put aside and taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vlprompt.errors import SettingsError
from vlprompt.recipes import TrainingSettings
from vlprompt.training.descent import descent_of
from vlprompt.training.history import EpochResult
from vlprompt.training.precision import Precision, check_precision

LEARNED = "learned/"
MOMENTUM = "momentum/"
REMEMBERED = "remembered/"


@dataclass(frozen=True)
class Snapshot:
    """A run between two epochs.

    The order of an epoch's images, and whatever else is random in it, follow from the seed and the epoch's number, so
    there is no generator to remember.
    """

    tensors: dict[str, Tensor]
    scaling: dict[str, Any]
    epochs: tuple[EpochResult, ...]


class TrainingState:
    """The learned tensors of a method, its descent, and the epochs so far.

    Raises:
        SettingsError: the method has nothing to learn, or its device cannot compute in the settings' precision.
    """

    def __init__(self, method: Any, settings: TrainingSettings) -> None:
        self._method = method
        self.parameters = {name: tensor for name, tensor in method.named_parameters() if tensor.requires_grad}
        if not self.parameters:
            name = getattr(method, "name", type(method).__name__)
            raise SettingsError(f"method {name!r} learns nothing, so it cannot be trained; predict with it as it is.")
        self.device = next(iter(self.parameters.values())).device
        check_precision(settings.precision, self.device)
        self.precision = Precision(settings.precision, self.device)
        self.descent = descent_of(self.parameters, settings)
        self.epochs: tuple[EpochResult, ...] = ()

    def is_finite(self) -> bool:
        """Whether all learned parameters are finite numbers, and so are their squares, which normalising needs."""
        return all(bool(tensor.norm().isfinite()) for tensor in self.parameters.values())

    def snapshot(self) -> Snapshot:
        """A copy, on the CPU."""
        tensors = {LEARNED + name: tensor for name, tensor in self._method.state_dict().items()}
        tensors |= {MOMENTUM + name: tensor for name, tensor in self.descent.state().items()}
        tensors |= {REMEMBERED + name: tensor for name, tensor in self._method.training_tensors().items()}
        copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        return Snapshot(copies, self.precision.state(), self.epochs)

    def restore(self, snapshot: Snapshot) -> None:
        """Take up a snapshot of a run with the same method and settings."""
        self._method.load_state_dict(_with_prefix(LEARNED, snapshot.tensors))
        remembered = _with_prefix(REMEMBERED, snapshot.tensors)
        for name, tensor in self._method.training_tensors().items():
            tensor.copy_(remembered[name])
        self.descent.restore(_with_prefix(MOMENTUM, snapshot.tensors))
        self.precision.restore(snapshot.scaling)
        self.epochs = snapshot.epochs


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
