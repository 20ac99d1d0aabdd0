"""A fitted classifier as a folder: model.json, prompts.safetensors and README.md, without any backbone weights.

prediction.safetensors holds what can be computed again but need not be: the class features of a fixed context, or what
screened inference needs. new_names.safetensors holds what a second method, for names without pictures, has learned.

The folder is built beside its place and moved there when it is complete, so that an interrupted save leaves the old
model as it was. A folder cannot be replaced in one step: the old model steps aside as `.NAME.old-*`, and a process that
is killed at that very moment leaves it there, where the next reading finds it and the next saving puts it back.
Reading checks everything that could have gone wrong with files: missing, cut short, changed, foreign.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.errors import ModelFolderError, OutputError
from vlprompt.escaping import as_json
from vlprompt.files import check_name, read_bounded, staged_folder
from vlprompt.files.checkpoint_files import checkpoint_in, how_to_convert
from vlprompt.files.json_files import NotJsonError, read_json
from vlprompt.files.locks import lock_beside
from vlprompt.model.description import SavedModel, is_count, model_from

if TYPE_CHECKING:
    import torch

FORMAT = "vlprompt-model"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
TENSORS_FILE = "prompts.safetensors"
KEPT_FILE = "prediction.safetensors"
NEW_NAMES_FILE = "new_names.safetensors"
CARD_FILE = "README.md"

DESCRIPTION_BYTES = 64_000_000
"""Of model.json, with the content keys of a million training pictures."""
TENSOR_BYTES, CLASS_BYTES = 64_000_000, 500_000
"""Of a file of tensors, and more of it for each class: a context of 77 vectors, or an expansion, of width 1280."""
PICTURE_BYTES, MOST_PICTURES = 5_200, 100_000
"""More of it for each training picture, and how many count: a cache's feature of width 1280, and its label."""
LONGEST_MODEL_NAME = 230
"""Bytes of a model's name, so that the names of its unfinished and its old folder also fit."""


def write_model_folder(
    folder: Path,
    model: SavedModel,
    tensors: dict[str, torch.Tensor],
    kept: dict[str, torch.Tensor],
    card: str,
    new_names: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write the model, replacing an older model there only when the new one is complete.

    `tensors` are the learned ones, `kept` those that only save time, `new_names` the second method's.
    Raises OutputError when the place cannot be written or holds something that is not a model of ours.
    """
    check_replaceable(folder)
    # Links are followed: what a link leads to is replaced, and the link stays.
    folder = Path(os.path.realpath(folder))
    try:
        with lock_beside(folder), staged_folder(folder) as staged:
            _write_parts(staged, model, tensors, kept, card, new_names or {})
            _swap(staged, folder)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"the model cannot be written to {folder}: {error.strerror or error}.") from error


@dataclass(frozen=True)
class SavedTensors:
    """The tensors of a model folder by name.

    Attributes:
        learned: the method's.
        kept: those that only save time; none in folders of older versions.
        new_names: those of the second method, where there is one that has learned something.
    """

    learned: dict[str, torch.Tensor]
    kept: dict[str, torch.Tensor]
    new_names: dict[str, torch.Tensor]


def read_model_folder(folder: Path) -> tuple[SavedModel, SavedTensors]:
    """The model and its tensors.

    Raises ModelFolderError naming the file that is missing, damaged or not ours.
    """
    if not os.path.lexists(folder):
        folder = _left_aside(folder) or folder
    if os.path.isfile(folder):
        raise ModelFolderError(f"{folder} is a file, and a model is a folder; {how_to_convert(folder)}.")
    if not os.path.isdir(folder):
        raise ModelFolderError(f"there is no model folder {folder}; fit a classifier and save it there.")
    description = _read_description(folder / DESCRIPTION_FILE)
    most = _most_tensor_bytes(description)
    tensors = _read_tensors(folder / TENSORS_FILE, description["tensors_sha256"], most)
    kept_sha256 = description.get("kept_sha256")
    kept = _read_tensors(folder / KEPT_FILE, str(kept_sha256), most) if kept_sha256 is not None else {}
    new_names_sha256 = description.get("new_names_sha256")
    new_names = {}
    if new_names_sha256 is not None:
        new_names = _read_tensors(folder / NEW_NAMES_FILE, str(new_names_sha256), most)
    if description.get("kept_for") != _kept_for(description):
        # Somebody has edited the class names, say: what was computed from the old ones must not answer for them.
        kept = {name: tensor for name, tensor in kept.items() if name == "calibration"}
        description["screening"] = None
    return model_from(description, folder / DESCRIPTION_FILE), SavedTensors(tensors, kept, new_names)


def _kept_for(description: dict[str, Any]) -> str:
    """SHA-256 of what the tensors in `KEPT_FILE` were computed from."""
    names = ("method", "method_file_hash", "options", "template", "class_names", "fingerprint", "tensors_sha256")
    values = [description.get(name) for name in names]
    values += [description["class_words"]] if description.get("class_words") else []  # older folders have none
    if description.get("new_names"):
        values += [description["new_names"], description.get("new_names_sha256")]
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_replaceable(folder: Path, called: str = "folder") -> None:
    """Raise OutputError when `folder` is something that a model must not replace, or no name for a folder.

    Args:
        called: what the person calls the argument.
    """
    check_name(folder, called)
    place = os.path.realpath(folder)
    if place in (os.path.realpath(os.curdir), os.path.realpath(os.sep)):
        raise OutputError(
            f"{folder} is {'the current folder' if place != os.sep else 'the root of all folders'}, and saving a model "
            f"replaces its folder; choose another {called}."
        )
    name = os.path.basename(place)
    if len(os.fsencode(name)) > LONGEST_MODEL_NAME:
        raise OutputError(f"{folder} is too long a name for a folder; choose another {called}.")
    if not os.path.exists(folder):
        return
    if not os.path.isdir(folder):
        raise OutputError(f"{folder} is a file, and a model is a folder; choose another {called}.")
    try:
        entries = set(os.listdir(folder))
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror}; choose another {called}.") from error
    if entries and (
        DESCRIPTION_FILE not in entries
        or entries - {DESCRIPTION_FILE, TENSORS_FILE, KEPT_FILE, NEW_NAMES_FILE, CARD_FILE}
    ):
        raise OutputError(
            f"{folder} holds other files, and saving a model replaces its folder; choose another {called}."
        )


def method_file_hash(method: str) -> str | None:
    """SHA-256 of the file of a method "file.py:ClassName"; None for the package's own methods.

    Raises:
        ModelFolderError: there is no such file.
    """
    path, _, _ = method.rpartition(":")
    if not path.endswith(".py"):
        return None
    try:
        return hashlib.sha256(read_bounded(path, DESCRIPTION_BYTES)).hexdigest()
    except OSError as error:
        raise ModelFolderError(f"the method file {path} cannot be read: {error.strerror}.") from error


def _write_parts(
    folder: Path,
    model: SavedModel,
    tensors: dict[str, torch.Tensor],
    kept: dict[str, torch.Tensor],
    card: str,
    new_names: dict[str, torch.Tensor],
) -> None:
    data = _as_bytes(tensors)
    description = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(model)}
    if model.new_names is None:
        del description["new_names"]
    description["tensors_sha256"] = hashlib.sha256(data).hexdigest()
    parts = {TENSORS_FILE: data, CARD_FILE: card.encode()}
    if new_names:
        parts[NEW_NAMES_FILE] = _as_bytes(new_names)
        description["new_names_sha256"] = hashlib.sha256(parts[NEW_NAMES_FILE]).hexdigest()
    if kept:
        parts[KEPT_FILE] = _as_bytes(kept)
        description["kept_sha256"] = hashlib.sha256(parts[KEPT_FILE]).hexdigest()
        description["kept_for"] = _kept_for(description)
    parts[DESCRIPTION_FILE] = f"{as_json(description)}\n".encode()
    for name, content in parts.items():
        with open(folder / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _as_bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def _swap(staged: Path, folder: Path) -> None:
    """Move the finished folder to its place; what was there goes last, and comes back whatever stops this."""
    aside = _left_aside(folder)
    if aside is not None and not os.path.lexists(folder):
        aside.rename(folder)
    old = folder.with_name(f"{_aside_prefix(folder)}{secrets.token_hex(4)}")
    try:
        if os.path.lexists(folder):
            folder.rename(old)
        staged.rename(folder)
    except BaseException:  # Ctrl-C too must not cost the old model
        if os.path.lexists(old) and not os.path.lexists(folder):
            old.rename(folder)
        raise
    for entry in _all_aside(folder):
        shutil.rmtree(entry, ignore_errors=True)


def _left_aside(folder: Path) -> Path | None:
    """The whole old model that a save which was killed left beside `folder`, the newest if there are several."""
    parts = (DESCRIPTION_FILE, TENSORS_FILE)
    whole = [entry for entry in _all_aside(folder) if all(os.path.isfile(entry / part) for part in parts)]
    return max(whole, key=lambda entry: entry.stat().st_mtime, default=None)


def _all_aside(folder: Path) -> list[Path]:
    folder = Path(os.path.abspath(folder))
    try:
        names = os.listdir(folder.parent)
    except OSError:
        return []
    ours = re.compile(re.escape(_aside_prefix(folder)) + "[0-9a-f]{8}")
    return [folder.parent / name for name in names if ours.fullmatch(name)]


def _aside_prefix(folder: Path) -> str:
    return f".{folder.name}.old-"


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = read_json(path, DESCRIPTION_BYTES)
    except FileNotFoundError as error:
        checkpoint = checkpoint_in(path.parent)
        hint = f"; {how_to_convert(checkpoint)}" if checkpoint else ""
        raise ModelFolderError(f"{path} is missing; {path.parent} is not a complete model folder{hint}.") from error
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error.strerror}.") from error
    except NotJsonError as error:
        raise ModelFolderError(f"{path} is damaged or not a model of vlprompt: {error}.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFolderError(f'{path} was not written by vlprompt: it has no "format": "{FORMAT}".')
    if description.get("format_version") != FORMAT_VERSION:
        version = description.get("format_version")
        raise ModelFolderError(
            f"{path} has format version {version!r:.40}; this vlprompt reads version {FORMAT_VERSION}."
        )
    if not isinstance(description.get("tensors_sha256"), str):
        raise ModelFolderError(f"{path} is incomplete: tensors_sha256 is missing.")
    return description


def _most_tensor_bytes(description: dict[str, Any]) -> int:
    """What the tensors of so many classes and pictures take at most, so that no file is read that cannot be right."""
    names = description.get("trained_class_names"), description.get("class_names")
    classes = max(len(entry) if isinstance(entry, list) else 0 for entry in names)
    training = description.get("training")
    pictures: Any = training.get("images") if isinstance(training, dict) else 0
    counted = min(pictures, MOST_PICTURES) if is_count(pictures) else 0
    return TENSOR_BYTES + CLASS_BYTES * classes + PICTURE_BYTES * counted


def _read_tensors(path: Path, sha256: str, most_bytes: int) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = read_bounded(path, most_bytes)
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
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelFolderError(f"{path} is not a safetensors file: {error!s:.200}.") from error
