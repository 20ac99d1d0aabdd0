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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.errors import ModelFolderError, OutputError
from vlprompt.escaping import as_json
from vlprompt.files import check_name, read_bounded, staged_folder
from vlprompt.files.checkpoint_files import checkpoint_in, how_to_convert
from vlprompt.files.json_files import NotJsonError, read_json
from vlprompt.files.locks import lock_beside
from vlprompt.files.text_files import is_unicode
from vlprompt.model.choosing import is_choice
from vlprompt.model.evaluation import Evaluation

if TYPE_CHECKING:
    import torch

FORMAT = "vlprompt-model"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
TENSORS_FILE = "prompts.safetensors"
KEPT_FILE = "prediction.safetensors"
NEW_NAMES_FILE = "new_names.safetensors"
CARD_FILE = "README.md"

LABEL_KINDS = ("str", "int", "float", "bool")

DESCRIPTION_BYTES = 64_000_000
"""Of model.json, with the content keys of a million training pictures."""
TENSOR_BYTES, CLASS_BYTES = 64_000_000, 500_000
"""Of a file of tensors, and more of it for each class: a context of 77 vectors, or an expansion, of width 1280."""
PICTURE_BYTES, MOST_PICTURES = 5_200, 100_000
"""More of it for each training picture, and how many count: a cache's feature of width 1280, and its label."""
LONGEST_MODEL_NAME = 230
"""Bytes of a model's name, so that the names of its unfinished and its old folder also fit."""


@dataclass(frozen=True)
class SavedModel:
    """What a fitted classifier is, apart from its learned tensors and the backbone that it needs.

    Attributes:
        method: a method's name, or "file.py:ClassName".
        method_file_hash: SHA-256 of that file, None for the package's own methods.
        options: the method's options by name.
        template: the zero-shot prompt with {} for the class name.
        class_names: the person's own names of the classes that it tells apart, by label.
        trained_class_names: the words of the classes that it was trained on; others when `set_class_names` was called
            since.
        backbone: the backbone's name, as given to `load_backbone`.
        fingerprint: the backbone's fingerprint; the prompts mean something to these weights only.
        training: what repeats the training: data, shots, seed, recipe, settings, versions, losses, times.
        evaluation: accuracies by the name of what was evaluated, if anything was.
        screening: candidates (k), the agreement that they reached and on how many training images; None where screened
            inference was not calibrated.
        class_words: what prompts say for a class, by its name, where that is not the name itself.
        label_kind: what Python has as labels, whose text the names are: one of `LABEL_KINDS`.
        new_names: the method that serves names without pictures, where it is another one: its name, its options, and
            what its training has that `training` has not.
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
    screening: dict[str, Any] | None = None
    class_words: dict[str, str] = field(default_factory=dict)
    label_kind: str = "str"
    new_names: dict[str, Any] | None = None


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
    return _model_from(description, folder / DESCRIPTION_FILE), SavedTensors(tensors, kept, new_names)


def _kept_for(description: dict[str, Any]) -> str:
    """SHA-256 of what the tensors in `KEPT_FILE` were computed from."""
    names = ("method", "method_file_hash", "options", "template", "class_names", "fingerprint", "tensors_sha256")
    values = [description.get(name) for name in names]
    values += [description["class_words"]] if description.get("class_words") else []  # older folders have none
    if description.get("new_names"):
        values += [description["new_names"], description.get("new_names_sha256")]
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _model_from(description: dict[str, Any], path: Path) -> SavedModel:
    """The model that a description describes, each of its values of the right kind."""
    values = {}
    for name, kind in _KINDS.items():
        if name in ("screening", "class_words", "label_kind", "new_names") and name not in description:
            continue  # written before there was such a thing
        if name not in description:
            raise ModelFolderError(f"{path} is incomplete: {name} is missing.")
        if not isinstance(description[name], kind):
            raise ModelFolderError(f"{path} was changed: {name} is {description[name]!r:.80}.")
        values[name] = description[name]
    for name in ("class_names", "trained_class_names"):
        if not all(isinstance(entry, str) and entry.strip(" _") and is_unicode(entry) for entry in values[name]):
            raise ModelFolderError(f"{path} was changed: {name} must be a list of text, none of it empty.")
        # Published classes may share their words, but not their own names.
        shared = name == "trained_class_names" and values[name] == _words_of(values)
        if len(set(values[name])) < len(values[name]) and not shared:
            raise ModelFolderError(f"{path} was changed: {name} has one name twice.")
        if len(values[name]) < 2:
            raise ModelFolderError(
                f"{path} was changed: {name} is {values[name]!r:.80}; a model has at least two classes."
            )
    if values["template"].count("{}") != 1 or not is_unicode(values["template"]):
        raise ModelFolderError(f"{path} was changed: template is {values['template']!r:.80}; it needs one {{}}.")
    if not re.fullmatch("[0-9a-f]{64}", values["fingerprint"]):
        raise ModelFolderError(f"{path} was changed: fingerprint is {values['fingerprint']!r:.80}.")
    if values.get("label_kind", "str") not in LABEL_KINDS:
        raise ModelFolderError(f"{path} was changed: label_kind is {values['label_kind']!r:.80}.")
    _check_class_words(values.get("class_words", {}), values["class_names"], path)
    _check_training(values["training"], path)
    _check_new_names(values.get("new_names"), values["training"], path)
    _check_evaluation(values["evaluation"], path)
    _check_screening(values.get("screening"), len(values["class_names"]), path)
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
    "screening": (dict, type(None)),
    "class_words": dict,
    "label_kind": str,
    "new_names": (dict, type(None)),
}


def _words_of(values: dict[str, Any]) -> list[Any]:
    """What prompts say for the classes of a model."""
    words = values.get("class_words", {})
    return [words.get(name, name) for name in values["class_names"]]


def _check_class_words(class_words: dict[str, Any], class_names: list[str], path: Path) -> None:
    for name, words in class_words.items():
        if name not in class_names:
            raise ModelFolderError(f"{path} was changed: class_words has {name!r:.80}, which is none of class_names.")
        if not isinstance(words, str) or not words.strip(" _"):
            raise ModelFolderError(f"{path} was changed: class_words of {name!r:.80} is {words!r:.80}.")


def _check_training(training: dict[str, Any], path: Path) -> None:
    """What is read again of the record of the training; the rest is only shown."""
    seed, shots = training.get("seed", 1), training.get("shots")
    keys, losses = training.get("image_keys", []), training.get("losses", [])
    wrong = {
        "seed": not _is_count(seed),
        "images": not _is_count(training.get("images", 0)),
        "shots": shots is not None and not _is_count(shots),
        "data": not isinstance(training.get("data", {}), dict),
        "image_keys": not isinstance(keys, list) or not all(isinstance(key, str) for key in keys),
        "losses": not isinstance(losses, list) or not all(isinstance(loss, int | float) for loss in losses),
        "choice": not is_choice(training.get("choice", {})),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ModelFolderError(f"{path} was changed: training.{name} is {training[name]!r:.80}.")


def _check_new_names(new_names: dict[str, Any] | None, training: dict[str, Any], path: Path) -> None:
    if new_names is None:
        return
    for name, kind in (("method", str), ("options", dict), ("training", dict)):
        if not isinstance(new_names.get(name), kind):
            raise ModelFolderError(f"{path} was changed: new_names.{name} is {new_names.get(name)!r:.80}.")
    _check_training({**training, **new_names["training"]}, path)


def _check_evaluation(evaluation: dict[str, Any], path: Path) -> None:
    for name, result in evaluation.items():
        try:
            Evaluation.from_dict(result)
        except ValueError as error:
            raise ModelFolderError(
                f"{path} was changed: evaluation of {name!r:.80}: {error} ({result!r:.80})."
            ) from error


def _check_screening(screening: dict[str, Any] | None, classes: int, path: Path) -> None:
    if screening is None:
        return
    candidates, images, agreement = (screening.get(name, -1) for name in ("candidates", "images", "agreement"))
    counted = _is_count(candidates) and 1 <= candidates <= classes and _is_count(images)
    shared = isinstance(agreement, int | float) and 0 <= agreement <= 1
    if len(screening) != 3 or not counted or not shared:
        raise ModelFolderError(f"{path} was changed: screening is {screening!r:.80}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


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
    counted = min(pictures, MOST_PICTURES) if _is_count(pictures) else 0
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
