"""Tensors of a model folder, held against what the method has: the same names, types and shapes, and real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vlprompt.errors import ModelFolderError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vlprompt.methods.method import Method

KEPT_TENSORS = ("calibration", "class_features", "center", "expansion")
"""Names that prediction.safetensors may hold; see `vlprompt.model.prediction.Predictor.tensors`."""


def check_learned(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ModelFolderError unless the file holds what the method learns.

    Args:
        expected: the tensors of the method before they are loaded, by name.
    """
    missing, surplus = [*(expected.keys() - tensors.keys())], [*(tensors.keys() - expected.keys())]
    if missing or surplus:
        what = f"lacks the tensor {min(missing)!r}" if missing else f"has the unknown tensor {min(surplus)!r:.80}"
        raise ModelFolderError(f"{path} does not hold the tensors of its method: it {what}.")
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.dtype != wanted.dtype or tensor.shape != wanted.shape:
            raise ModelFolderError(
                f"{path} does not hold the tensors of its method: {name} is {_described(tensor)}, and must be "
                f"{_described(wanted)}."
            )
        _check_numbers(path, name, tensor)


def load_checked(path: Path, method: Method, tensors: Mapping[str, Tensor], pictures: int) -> None:
    """Have the method take what the file holds.

    Args:
        pictures: how many it was trained on; what some methods keep is as many.

    Raises:
        ModelFolderError: it is not what the method learns.
    """
    check_learned(path, tensors, method.expected_state(pictures))
    try:
        method.load_learned(tensors)
    except RuntimeError as error:
        raise ModelFolderError(f"{path} was changed: {error!s:.200}.") from error


def check_kept(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Raise ModelFolderError unless the file holds what prediction keeps, in the backbone's type."""
    for name, tensor in tensors.items():
        if name not in KEPT_TENSORS:
            raise ModelFolderError(f"{path} has the unknown tensor {name!r:.80}.")
        if tensor.dtype != dtype:
            raise ModelFolderError(f"{path} was changed: {name} is {_described(tensor)}, and must be of {dtype}.")
        _check_numbers(path, name, tensor)
    if "class_features" in tensors and not bool(tensors["class_features"].norm(dim=-1).all()):
        raise ModelFolderError(f"{path} was changed: class_features has a class of zeros.")


def _check_numbers(path: Path, name: str, tensor: Tensor) -> None:
    # The norm is infinite too where squares are too large for the type, as in every normalisation that would follow.
    if tensor.is_floating_point() and not bool(tensor.norm().isfinite()):
        raise ModelFolderError(f"{path} is damaged: {name} has numbers that are not finite, or far too large.")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
