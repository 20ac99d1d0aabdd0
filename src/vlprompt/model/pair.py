"""Two methods in one model: one for the classes that it was trained on, one for names without pictures.

A head names only the classes that it has pictures of. Beside it stands a method with open names, a learned prompt or
zero-shot CLIP, which answers as soon as one name is none of these: what the two say could not be compared, so that one
of them answers for all names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.data.checks import comparable_words
from vlprompt.errors import ModelFolderError
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.model.folder import DESCRIPTION_FILE, NEW_NAMES_FILE
from vlprompt.model.saved_tensors import check_kept, load_checked
from vlprompt.settings_checks import plain_all

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.model.description import SavedModel
    from vlprompt.model.fitted import FittedClassifier


@dataclass(frozen=True, eq=False)
class Pair:
    """The two classifiers of a model, each over the classes trained on and without a pair of its own.

    Attributes:
        for_trained: names the classes trained on.
        for_new: names all others.
    """

    for_trained: FittedClassifier
    for_new: FittedClassifier

    def with_class_names(self, names: Sequence[str] | Mapping[str, str]) -> FittedClassifier:
        """What serves these names, over them; see `FittedClassifier.with_class_names`."""
        trained, labels = self.for_trained, [names] if isinstance(names, str) else list(names)
        given = dict(names) if isinstance(names, Mapping) else {}
        known_words = {label: trained.class_words.get(label, label) for label in labels}
        words = {label: known_words[label] if given.get(label, label) == label else given[label] for label in labels}
        known = {comparable_words(name) for name in trained.method.class_names}
        if all(isinstance(said, str) and comparable_words(said) in known for said in words.values()):
            return trained.with_class_names(names)
        translated = any(words[label] != label for label in labels) and len(words) == len(labels)
        return self.for_new.with_class_names(words if translated else names)

    def saved(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a model folder holds of the second method: its description and its tensors."""
        new, common = self.for_new, self.for_trained.training
        description = {
            "method": new.method_name,
            "options": plain_all(asdict(new.method.options)),
            "training": {name: value for name, value in new.training.items() if common.get(name) != value},
        }
        calibration = {} if new.calibration is None else {"calibration": new.calibration}
        return description, {**new.method.state_dict(), **calibration}


def second_of(
    folder: Path, model: SavedModel, tensors: Mapping[str, Tensor], first: FittedClassifier
) -> FittedClassifier:
    """The classifier for names without pictures that a folder holds beside the first.

    Raises:
        ModelFolderError: it was changed.
    """
    saved = model.new_names
    assert saved is not None
    path = folder / DESCRIPTION_FILE
    name = saved["method"]
    if name not in METHODS or not method_class(name).open_names:
        raise ModelFolderError(f"{path} was changed: the method for new names is {name!r:.80}.")
    training = {**model.training, **saved["training"]}
    try:
        method = build_method(
            name,
            first.backbone,
            model.trained_class_names,
            options=saved["options"],
            template=model.template,
            seed=training.get("seed", 1),
            one_prompt_allowed=True,
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = str(error).rstrip(".")
        raise ModelFolderError(f"{path} was changed: no method for new names can be made of it ({reason}).") from error
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
