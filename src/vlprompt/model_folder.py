"""A fitted classifier as a folder: model.json, prompts.safetensors and README.md, without any backbone weights.

The folder is built beside its place and moved there when it is complete, so that an interrupted save leaves the old
model as it was. Reading checks everything that could have gone wrong with files: missing, cut short, changed, foreign.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.errors import ModelFolderError, OutputError
from vlprompt.files import TEMPORARY_PREFIX

if TYPE_CHECKING:
    import torch

FORMAT = "vlprompt-model"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
TENSORS_FILE = "prompts.safetensors"
CARD_FILE = "README.md"


@dataclass(frozen=True)
class SavedModel:
    """What a fitted classifier is, apart from its learned tensors and the backbone that it needs.

    Attributes:
        method: a method's name, or "file.py:ClassName".
        method_file_hash: SHA-256 of that file, None for the package's own methods.
        options: the method's options by name.
        template: the zero-shot prompt with {} for the class name.
        class_names: the names that it tells apart, by label.
        trained_class_names: the names that it was trained on; others when `set_class_names` was called since.
        backbone: the backbone's name, as given to `load_backbone`.
        fingerprint: the backbone's fingerprint; the prompts mean something to these weights only.
        training: what repeats the training: data, shots, seed, recipe, settings, versions, losses, times.
        evaluation: accuracies by the name of what was evaluated, if anything was.
    """

    method: str
    method_file_hash: str | None
    options: dict[str, Any]
    template: str
    class_names: list[str]
    trained_class_names: list[str]
    backbone: str
    fingerprint: str
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)


def write_model_folder(folder: Path, model: SavedModel, tensors: dict[str, torch.Tensor], card: str) -> None:
    """Write the model, replacing an older model there only when the new one is complete.

    Raises OutputError when the place cannot be written or holds something that is not a model of ours.
    """
    check_replaceable(folder)
    staged = folder.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{folder.name}")
    try:
        staged.mkdir(parents=True)
        _write_parts(staged, model, tensors, card)
        _swap(staged, folder)
    except OSError as error:
        raise OutputError(f"the model cannot be written to {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def read_model_folder(folder: Path) -> tuple[SavedModel, dict[str, torch.Tensor]]:
    """The model and its learned tensors.

    Raises ModelFolderError naming the file that is missing, damaged or not ours.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"there is no model folder {folder}; `vlprompt fit DATA --out {folder}` makes one.")
    description = _read_description(folder / DESCRIPTION_FILE)
    tensors = _read_tensors(folder / TENSORS_FILE, description["tensors_sha256"])
    return _model_from(description, folder / DESCRIPTION_FILE), tensors


def _model_from(description: dict[str, Any], path: Path) -> SavedModel:
    """The model that a description describes, each of its values of the right kind."""
    values = {}
    for name, kind in _KINDS.items():
        if name not in description:
            raise ModelFolderError(f"{path} is incomplete: {name} is missing.")
        if not isinstance(description[name], kind):
            raise ModelFolderError(f"{path} was changed: {name} is {description[name]!r}.")
        values[name] = description[name]
    for name in ("class_names", "trained_class_names"):
        if not all(isinstance(entry, str) for entry in values[name]):
            raise ModelFolderError(f"{path} was changed: {name} must be a list of text.")
    return SavedModel(**values)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "method": str,
    "method_file_hash": (str, type(None)),
    "options": dict,
    "template": str,
    "class_names": list,
    "trained_class_names": list,
    "backbone": str,
    "fingerprint": str,
    "training": dict,
    "evaluation": dict,
}


def check_replaceable(folder: Path) -> None:
    """Raise OutputError when `folder` is something that a model must not replace."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, and a model is a folder; choose another --out.")
    entries = {entry.name for entry in folder.iterdir()}
    if entries and (DESCRIPTION_FILE not in entries or entries - {DESCRIPTION_FILE, TENSORS_FILE, CARD_FILE}):
        raise OutputError(f"{folder} holds other files, and saving a model replaces its folder; choose another --out.")


def method_file_hash(method: str) -> str | None:
    """SHA-256 of the file of a method "file.py:ClassName"; None for the package's own methods.

    Raises:
        ModelFolderError: there is no such file.
    """
    path, _, _ = method.rpartition(":")
    if not path.endswith(".py"):
        return None
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ModelFolderError(f"the method file {path} cannot be read: {error.strerror}.") from error


def _write_parts(folder: Path, model: SavedModel, tensors: dict[str, torch.Tensor], card: str) -> None:
    from safetensors.torch import save

    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    description = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(model)}
    description["tensors_sha256"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    parts = {TENSORS_FILE: data, CARD_FILE: card.encode(), DESCRIPTION_FILE: text.encode()}
    for name, content in parts.items():
        with open(folder / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _swap(staged: Path, folder: Path) -> None:
    """Move the finished folder to its place; what was there goes last."""
    if not folder.exists():
        staged.rename(folder)
        return
    old = folder.with_name(f"{staged.name}-old")
    folder.rename(old)
    try:
        staged.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is missing; {path.parent} is not a complete model folder.") from error
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ModelFolderError(f"{path} is damaged or not a model of vlprompt: it is not valid JSON.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFolderError(f'{path} was not written by vlprompt: it has no "format": "{FORMAT}".')
    if description.get("format_version") != FORMAT_VERSION:
        version = description.get("format_version")
        raise ModelFolderError(f"{path} has format version {version}; this vlprompt reads version {FORMAT_VERSION}.")
    if not isinstance(description.get("tensors_sha256"), str):
        raise ModelFolderError(f"{path} is incomplete: tensors_sha256 is missing.")
    return description


def _read_tensors(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is missing; {path.parent} is not a complete model folder.") from error
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFolderError(
            f"{path} is truncated, changed or another model's: its SHA-256 is not the one in {DESCRIPTION_FILE}."
        )
    try:
        return load(data)
    except SafetensorError as error:
        raise ModelFolderError(f"{path} is not a safetensors file: {error}.") from error
