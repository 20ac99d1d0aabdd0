"""A fitted classifier from its folder: each part of it checked, and what it needs found or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.errors import BackboneError, ModelFolderError, quoted
from vlprompt.methods import METHODS, build_method, installed_method, method_class
from vlprompt.model.description import SavedModel
from vlprompt.model.fitted import FittedClassifier
from vlprompt.model.folder import (
    DESCRIPTION_FILE,
    KEPT_FILE,
    NEW_NAMES_FILE,
    TENSORS_FILE,
    method_file_hash,
    read_model_folder,
)
from vlprompt.model.pair import Pair
from vlprompt.model.saved_tensors import check_kept, load_checked

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method


def load_fitted(
    folder: str | Path,
    backbone: str | Path | Backbone | None = None,
    device: str = "auto",
    *,
    method: str | None = None,
) -> FittedClassifier:
    """The classifier that `FittedClassifier.save` wrote.

    Args:
        backbone: where the same weights are, if not under the name that the model was trained with.
        method: "path/to/file.py:ClassName", needed where the model was trained with a method of the user's own: a model
            folder alone never decides which code is run.

    Raises:
        ModelFolderError: a file is missing, damaged or foreign, or the method's file is not named or not the same.
        BackboneError: the backbone is not the one that the model was trained on; both fingerprints are named.
    """
    folder = Path(folder)
    model, tensors = read_model_folder(folder)
    name = _trusted_method(folder, model, method)
    frozen = _same_backbone(folder, model, backbone, device)
    built = _rebuilt(folder, model, frozen, name, model.options, model.training, "method")
    load_checked(folder / TENSORS_FILE, built, tensors.learned, pictures=model.training.get("images", 0))
    check_kept(folder / KEPT_FILE, tensors.kept, frozen.dtype)
    classifier = FittedClassifier(frozen, built, name, model.trained_class_names, model.training)
    if model.new_names is not None:
        pair = Pair(classifier, _second_of(folder, model, tensors.new_names, classifier))
        classifier = replace(classifier, pair=pair)
    return _over_saved_names(folder, classifier, model, tensors.kept)


def _over_saved_names(
    folder: Path, classifier: FittedClassifier, model: SavedModel, kept: dict[str, Tensor]
) -> FittedClassifier:
    """The classifier over the names that it was saved with, with what was kept for these."""
    from vlprompt.model.prediction import Predictor

    words = [model.class_words.get(name, name) for name in model.class_names]
    method, serving = classifier.method, classifier
    if words != model.trained_class_names:
        try:
            if classifier.pair is not None:
                serving = classifier.with_class_names(words)
            method = serving.method if classifier.pair is not None else method.with_class_names(words)
        except ValueError as error:
            raise ModelFolderError(f"{folder / DESCRIPTION_FILE} was changed: {error}") from error
    elif classifier.pair is not None:  # its trained classes by the names that the person gave them
        trained = replace(classifier.pair.for_trained, labels=model.class_names, label_kind=model.label_kind)
        new = replace(classifier.pair.for_new, labels=model.class_names, label_kind=model.label_kind)
        serving = replace(classifier, pair=replace(classifier.pair, for_trained=trained, for_new=new))
    try:
        predictor = Predictor.restored(method, kept, model.screening)
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{folder / KEPT_FILE} does not fit the model: {error}.") from error
    if predictor.screener.calibration is None:
        predictor.screener.calibration = serving.calibration
    found = replace(
        serving,
        method=method,
        evaluation=model.evaluation,
        calibration=predictor.screener.calibration,
        labels=model.class_names,
        label_kind=model.label_kind,
    )
    found.__dict__["predictor"] = predictor
    return found


def _second_of(
    folder: Path, model: SavedModel, tensors: Mapping[str, Tensor], first: FittedClassifier
) -> FittedClassifier:
    """The classifier for names without pictures that a folder holds beside the first.

    Raises:
        ModelFolderError: it was changed.
    """
    saved = model.new_names
    assert saved is not None
    name = saved["method"]
    if name not in METHODS or not method_class(name).open_names:
        raise ModelFolderError(f"{folder / DESCRIPTION_FILE} was changed: the method for new names is {name!r:.80}.")
    training = {**model.training, **saved["training"]}
    method = _rebuilt(folder, model, first.backbone, name, saved["options"], training, "method for new names")
    learned = dict(tensors)
    kept = {"calibration": learned.pop("calibration")} if "calibration" in learned else {}
    load_checked(folder / NEW_NAMES_FILE, method, learned, pictures=training.get("images", 0))
    check_kept(folder / NEW_NAMES_FILE, kept, first.backbone.dtype)
    from vlprompt.model.prediction import Predictor

    try:
        calibration = Predictor.restored(method, kept, None).screener.calibration
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{folder / NEW_NAMES_FILE} does not fit the model: {error}.") from error
    return replace(first, method=method, method_name=name, training=training, evaluation={}, calibration=calibration)


def _rebuilt(
    folder: Path,
    model: SavedModel,
    backbone: Backbone,
    name: str,
    options: Mapping[str, Any],
    training: Mapping[str, Any],
    called: str,
) -> Method:
    """A method as it was before training; values that it cannot be built from are the file's fault."""
    method_class(name)
    try:
        return build_method(
            name,
            backbone,
            model.trained_class_names,
            options=options,
            template=model.template,
            seed=training.get("seed", 1),
            one_prompt_allowed=True,  # earlier releases saved such models
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = str(error).rstrip(".")
        raise ModelFolderError(
            f"{folder / DESCRIPTION_FILE} was changed: no {called} can be made of it ({reason})."
        ) from error


def _trusted_method(folder: Path, model: SavedModel, named: str | None) -> str:
    """The method to build; a user's own only from a file that the user names, and only if it is the same code."""
    if model.method_file_hash is None:
        if model.method not in METHODS and installed_method(model.method) is None:
            raise ModelFolderError(
                f"{folder} was trained with the method {quoted(model.method)}, which neither vlprompt nor an installed "
                "package has."
            )
        return model.method
    if named is None:
        raise ModelFolderError(
            f"{folder} was trained with a method in a file, {quoted(model.method)}, which is not run unasked; "
            'name it as method="path/to/file.py:ClassName".'
        )
    if method_file_hash(named) != model.method_file_hash:
        raise ModelFolderError(f"{named} is not the code that {folder} was trained with; put back what it was then.")
    return named


def _same_backbone(folder: Path, model: SavedModel, backbone: str | Path | Backbone | None, device: str) -> Backbone:
    """The backbone that the model was trained on."""
    from vlprompt.backbones import Backbone, installed_backbone, is_fingerprint_of, list_backbones, load_backbone

    if backbone is None and model.backbone not in list_backbones() and installed_backbone(model.backbone) is None:
        raise ModelFolderError(
            f"{folder} was trained on the backbone {quoted(model.backbone)}, which is none of `vlprompt list "
            "backbones`, and a model folder alone never decides which files are opened; name the backbone yourself, as "
            'backbone="PATH".'
        )
    named = model.backbone if backbone is None else backbone
    frozen = named if isinstance(named, Backbone) else load_backbone(named, device=device)
    if not is_fingerprint_of(frozen, model.fingerprint):
        raise BackboneError(
            f"{folder} was trained on {model.backbone:.80} with the fingerprint {model.fingerprint:.80}, and "
            f"{frozen.name} has the fingerprint {frozen.fingerprint}; name the backbone that it was trained on."
        )
    return frozen
