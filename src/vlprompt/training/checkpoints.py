"""Checkpoints of a training run: small files that are whole, and of this run, or are not used.

A folder holds the last two epochs that were put aside, each one safetensors file with tensors as its body and
everything else as JSON in its header; nothing is pickled. A file takes its name in one step once it is written whole,
so a run that is killed at any moment leaves a good one, and a digest over both parts tells damage that came later.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vlprompt.errors import CheckpointError
from vlprompt.files import open_regular, remove_leftovers, write_atomically
from vlprompt.files.json_files import parse_json
from vlprompt.training.history import epochs_from
from vlprompt.training.state import LEARNED, MOMENTUM, Snapshot
from vlprompt.wording import others

FORMAT = 1
KEPT = 2
_HEADER_BYTES = 64_000_000
_LISTED = 8


class DamagedCheckpointWarning(UserWarning):
    """A checkpoint cannot be read and is passed over."""


class OtherMachineWarning(UserWarning):
    """A checkpoint was written under other circumstances, under which the last bits of the result may differ."""


class CheckpointFolder:
    """The checkpoints of one run.

    Arguments:
        folder: made when the first checkpoint is written.
        identity: what the run is, as JSON values by name; a checkpoint of another identity is refused.
        circumstances: what does not decide the result but may its last bits, such as the number of threads.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], circumstances: Mapping[str, Any]) -> None:
        self.folder = folder
        self._identity = json.loads(json.dumps({"format": FORMAT, **identity}))
        self._circumstances = json.loads(json.dumps(dict(circumstances)))

    def write(self, snapshot: Snapshot) -> None:
        """Put a run aside after its last epoch.

        Raises:
            OutputError: the folder cannot be written or its disk is full.
        """
        state = {
            "identity": self._identity,
            "circumstances": self._circumstances,
            "scaling": snapshot.scaling,
            "epochs": [asdict(epoch) for epoch in snapshot.epochs],
        }
        text = json.dumps(state, allow_nan=False)
        header = {"state": text, "digest": _digest(text, snapshot.tensors)}
        write_atomically(self._path(len(snapshot.epochs)), save(snapshot.tensors, header))
        self._remove_old()

    def latest(self, like: Mapping[str, Tensor]) -> Snapshot | None:
        """The newest checkpoint that is whole, or None. Files that are damaged cause a `DamagedCheckpointWarning`.

        Args:
            like: the tensors of a snapshot of this run before its first epoch, whose shapes those of every later one
                have.

        Raises:
            CheckpointError: the checkpoint is of another run.
        """
        remove_leftovers(self.folder)
        for path in self._newest_first():
            try:
                state, tensors = _read(path, _most_bytes(like))
                snapshot = Snapshot(tensors, dict(state["scaling"]), epochs_from(state["epochs"]))
                identity, circumstances = dict(state["identity"]), dict(state["circumstances"])
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
                self._pass_over(path, error)
                continue
            self._check_identity(identity)
            if (unfit := _unfit(snapshot, like)) is not None:
                self._pass_over(path, unfit)
                continue
            self._compare_circumstances(circumstances)
            self._remove_old()
            return snapshot
        return None

    def _pass_over(self, path: Path, reason: object) -> None:
        said = getattr(reason, "strerror", None) or reason
        message = f"checkpoint {path} is damaged ({said!s:.200}); going on from the one before it, or from the start."
        warnings.warn(message, DamagedCheckpointWarning, stacklevel=3)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05}.safetensors"

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.safetensors"), reverse=True)

    def _remove_old(self) -> None:
        for path in self._newest_first()[KEPT:]:
            with suppress(OSError):  # gone, or a folder that somebody made
                path.unlink()

    def _check_identity(self, there: dict[str, Any]) -> None:
        differences = _differences(there, self._identity)
        if differences:
            raise CheckpointError(
                f"the checkpoint in {self.folder} is of another run: {_some(differences)}. Train with what it was "
                "begun with, name another folder, or remove this one to start over."
            )

    def _compare_circumstances(self, there: dict[str, Any]) -> None:
        differences = _differences(there, self._circumstances)
        if differences:
            message = f"going on from {self.folder}, though {_some(differences)}: the last bits may differ."
            warnings.warn(message, OtherMachineWarning, stacklevel=3)


def _read(path: Path, most_bytes: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with open_regular(path) as regular:
        if os.fstat(regular.fileno()).st_size > most_bytes:
            raise ValueError(f"it has more than {most_bytes} bytes")
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
    text = header["state"]
    if header["digest"] != _digest(text, tensors):
        raise ValueError("its digest is wrong")
    return parse_json(text), tensors


def _most_bytes(like: Mapping[str, Tensor]) -> int:
    """What a checkpoint takes at most: the learned tensors, as much momentum, and the text of its header."""
    return _HEADER_BYTES + 2 * sum(tensor.nbytes for tensor in like.values())


def _unfit(snapshot: Snapshot, like: Mapping[str, Tensor]) -> str | None:
    """Why a run cannot go on from this snapshot, whose file is whole; None where it can."""
    if [epoch.number for epoch in snapshot.epochs] != list(range(1, len(snapshot.epochs) + 1)):
        return "its epochs are not numbered from 1"
    if missing := sorted(like.keys() - snapshot.tensors.keys()):
        return f"it lacks the tensor {missing[0]}"
    for name, tensor in snapshot.tensors.items():
        wanted = like.get(name, like.get(name.replace(MOMENTUM, LEARNED, 1)))
        if wanted is None or (tensor.dtype, tensor.shape) != (wanted.dtype, wanted.shape):
            return f"its tensor {name!r:.80} is none of this run's"
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return f"its tensor {name} has numbers that are not finite"
    return None


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    digest.update(digest_of(tensors).encode())
    return digest.hexdigest()


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, formats, shapes and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"blake2b:{digest.hexdigest()}"


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], within: str = "") -> list[str]:
    found = []
    for name in [*there, *(name for name in here if name not in there)]:
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        called = f"{within}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{called}.")
        elif isinstance(old, list) and isinstance(new, list):
            found.append(_list_difference(called, old, new))
        elif isinstance(old, str) and old.startswith("blake2b:"):
            found.append(f"{called} differ")
        else:
            found.append(f"{called} is {old!r:.60} there and {new!r:.60} here")
    return found


def _some(differences: list[str]) -> str:
    more = len(differences) - _LISTED
    return "; ".join(differences[:_LISTED]) + (f"; and {others(more)}" if more > 0 else "")


def _list_difference(called: str, old: list[Any], new: list[Any]) -> str:
    if len(old) != len(new):
        return f"{called} are {len(old)} there and {len(new)} here"
    place = next(index for index, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1])
    return f"{called}[{place}] is {old[place]!r:.60} there and {new[place]!r:.60} here"
