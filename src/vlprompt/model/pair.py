"""Two methods in one model: one for the classes that it was trained on, one for names without pictures.

A head names only the classes that it has pictures of. Beside it stands a method with open names, a learned prompt or
zero-shot CLIP, which answers as soon as one name is none of these: what the two say could not be compared, so that one
of them answers for all names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlprompt.data.checks import comparable_words
from vlprompt.settings_checks import plain_all

if TYPE_CHECKING:
    from torch import Tensor

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
