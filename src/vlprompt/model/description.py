"""What model.json says of a saved model, and the checks that each of its values must pass."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlprompt.errors import ModelFolderError
from vlprompt.files.text_files import is_unicode
from vlprompt.model.choosing import is_choice
from vlprompt.model.evaluation import Evaluation

LABEL_KINDS = ("str", "int", "float", "bool")


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


def model_from(description: dict[str, Any], path: Path) -> SavedModel:
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
        "seed": not is_count(seed),
        "images": not is_count(training.get("images", 0)),
        "shots": shots is not None and not is_count(shots),
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
    counted = is_count(candidates) and 1 <= candidates <= classes and is_count(images)
    shared = isinstance(agreement, int | float) and 0 <= agreement <= 1
    if len(screening) != 3 or not counted or not shared:
        raise ModelFolderError(f"{path} was changed: screening is {screening!r:.80}.")


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 that any machine has."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
