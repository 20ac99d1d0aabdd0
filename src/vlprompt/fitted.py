"""A fitted classifier: a method with its learned parameters over a frozen backbone, which names pictures.

It knows nothing of training; `PromptClassifier` makes one, and `vlprompt predict` and whatever serves a model load one
without importing scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlprompt.data.checks import check_class_names
from vlprompt.data.image_lists import image_list
from vlprompt.data.images import describe, image_key
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import Sample
from vlprompt.errors import BackboneError, DataError, ModelFolderError, UnreadableImageError
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.model_card import model_card
from vlprompt.model_folder import (
    DESCRIPTION_FILE,
    KEPT_FILE,
    TENSORS_FILE,
    SavedModel,
    method_file_hash,
    read_model_folder,
    write_model_folder,
)
from vlprompt.progress import Counting, progress_bars

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method
    from vlprompt.prediction import Predictor


@dataclass(frozen=True)
class Evaluation:
    """How well labelled pictures are named.

    Attributes:
        accuracy: correct in percent of all pictures.
        macro_f1: mean over the classes of their F1 scores, in percent.
        correct, total: numbers of pictures.
        per_class: accuracy in percent by class name.
    """

    accuracy: float
    macro_f1: float
    correct: int
    total: int
    per_class: dict[str, float]


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """Names pictures.

    Attributes:
        backbone: the frozen model.
        method: prompts over `class_names`, with what was learned.
        method_name: as the method was asked for.
        trained_class_names: the names that it was trained on.
        training: what repeats the training, as plain values.
        evaluation: results of `evaluate` by name, saved with the model.
        calibration: features of some training images, (n, E), for screening; None where it would not serve.
    """

    backbone: Backbone
    method: Method
    method_name: str
    trained_class_names: list[str]
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    calibration: Tensor | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """Logits from features, with what is kept to give them quickly."""
        from vlprompt.prediction import Predictor

        return Predictor(self.method, self.calibration)

    @property
    def class_names(self) -> list[str]:
        """The classes, by column of the logits."""
        return list(self.method.class_names)

    def logits(
        self,
        images: Sequence[Any],
        *,
        screening: str | int = "off",
        on_unreadable: str = "fail",
        max_pixels: int = MAX_PIXELS,
        cache: str | Path | None = "default",
        progress: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """exp(s) cos(f(x), g(t_i(x))) of k images and N classes: (k, N), and the images' places (k,) among `images`.

        Args:
            images: whatever `data.image_lists.image_list` takes: paths, Pillow images, arrays, tensors, bytes...
            screening: "off" for exact logits, "auto", or the number of classes that are exact for each image; see
                `vlprompt.prediction.Predictor.logits`.
            on_unreadable: "fail" names all that cannot be read, "skip" leaves them out.
            max_pixels: pictures that take more memory than 8 bytes for each of so many are unreadable.

        Raises:
            UnreadableImagesError: some images cannot be read; all of them are listed.
        """
        import torch

        from vlprompt.features import FeatureExtractor
        from vlprompt.prediction import check_screening

        check_screening(screening)
        extractor = FeatureExtractor(
            self.backbone, cache=cache, on_unreadable=on_unreadable, max_pixels=max_pixels, progress=progress
        )
        extracted = extractor.extract(image_list(images))
        logits = self.predictor.logits(torch.from_numpy(extracted.values), screening)
        return logits.float().cpu().numpy(), extracted.kept

    def evaluate(self, samples: Sequence[Sample], name: str | None = None, **options: Any) -> Evaluation:
        """Accuracy and macro F1 on labelled images, whose class names must be among the model's.

        Args:
            name: under which the result is kept in `evaluation`, and so in the saved model's card.
            options: of `logits`.
        """
        known = {class_name: label for label, class_name in enumerate(self.class_names)}
        for sample in samples:
            if sample.class_name not in known:
                raise DataError(f"the class {sample.class_name!r} of {describe(sample.image)} is none of the model's.")
        logits, kept = self.logits([sample.image for sample in samples], **options)
        truth = np.array([known[samples[place].class_name] for place in kept])
        evaluation = _evaluation(truth, logits.argmax(axis=1), self.class_names)
        if name is not None:
            self.evaluation[name] = asdict(evaluation)
        return evaluation

    def not_trained_on(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples whose pictures, whatever they are called, are not among those that the model was trained on.

        These are known where the training data had no test split (`image_keys` in `training`); otherwise none is left
        out. A picture that cannot be read is not left out either.
        """
        trained_on = set(self.training.get("image_keys", ()))
        return [sample for sample in samples if _key_or_nothing(sample) not in trained_on] if trained_on else [*samples]

    def with_class_names(self, names: Sequence[str]) -> FittedClassifier:
        """The same model over other classes, which need not have been trained on.

        Raises:
            DataError: fewer than two names, or one that is empty or given twice.
            SettingsError: the learned contexts belong to the classes trained on (class-specific contexts).
        """
        names = [names] if isinstance(names, str) else list(names)
        if len(names) < 2:
            raise DataError(f"class names are {names!r}; at least two are needed.")
        check_class_names(names)
        # What was evaluated were the old classes.
        method = self.method.with_class_names(names)
        return replace(self, method=method, evaluation={}, calibration=self.predictor.calibration)

    def save(self, folder: str | Path, *, progress: bool | None = None) -> None:
        """Write the model as a folder: its JSON, its learned tensors, a card, and what makes prediction quick.

        It holds no backbone weights. For many classes, screening is calibrated first (see `vlprompt.prediction`).

        Raises:
            OutputError: the folder cannot be written, or holds something else than a model.
        """
        with progress_bars(progress) as board:
            self.predictor.prepare(Counting(board, "calibrating screening", "img"))
        model = SavedModel(
            method=self.method_name,
            method_file_hash=method_file_hash(self.method_name),
            options=asdict(self.method.options),
            template=self.method.template,
            class_names=self.class_names,
            trained_class_names=self.trained_class_names,
            backbone=self.backbone.name,
            fingerprint=self.backbone.fingerprint,
            training=self.training,
            evaluation=self.evaluation,
            screening=self.predictor.description(),
        )
        card = model_card(model)
        write_model_folder(Path(folder), model, self.method.state_dict(), self.predictor.tensors(), card)


def load_fitted(
    folder: str | Path,
    backbone: str | Backbone | None = None,
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
    model, tensors, kept = read_model_folder(folder)
    name = _trusted_method(folder, model, method)
    frozen = _same_backbone(folder, model, backbone, device)
    built = _rebuilt(folder, name, model, frozen)
    try:
        built.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelFolderError(
            f"{folder / TENSORS_FILE} does not hold the tensors of the method {model.method}: "
            f"{' '.join(str(error).split())}"
        ) from error
    if model.class_names != model.trained_class_names:
        try:
            built = built.with_class_names(model.class_names)
        except ValueError as error:
            raise ModelFolderError(f"{folder / DESCRIPTION_FILE} was changed: {error}") from error
    from vlprompt.prediction import Predictor

    try:
        predictor = Predictor.restored(built, kept, model.screening)
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{folder / KEPT_FILE} does not fit the model: {error}.") from error
    classifier = FittedClassifier(
        frozen, built, name, model.trained_class_names, model.training, model.evaluation, predictor.calibration
    )
    classifier.__dict__["predictor"] = predictor
    return classifier


def _rebuilt(folder: Path, name: str, model: SavedModel, backbone: Backbone) -> Method:
    """The method as it was before training; values that it cannot be built from are the file's fault."""
    method_class(name)
    seed = model.training.get("seed", 1)
    try:
        return build_method(
            name, backbone, model.trained_class_names, options=model.options, template=model.template, seed=seed
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = str(error).rstrip(".")
        raise ModelFolderError(
            f"{folder / DESCRIPTION_FILE} was changed: no method can be made of it ({reason})."
        ) from error


def _trusted_method(folder: Path, model: SavedModel, named: str | None) -> str:
    """The method to build; a user's own only from a file that the user names, and only if it is the same code."""
    if model.method_file_hash is None:
        if model.method not in METHODS:
            raise ModelFolderError(f"{folder} was trained with the method {model.method!r}, which vlprompt lacks.")
        return model.method
    if named is None:
        raise ModelFolderError(
            f"{folder} was trained with a method in a file, {model.method}, which is not run unasked; "
            "name it as --method path/to/file.py:ClassName, or method=... in Python."
        )
    if method_file_hash(named) != model.method_file_hash:
        raise ModelFolderError(f"{named} is not the code that {folder} was trained with; put back what it was then.")
    return named


def _same_backbone(folder: Path, model: SavedModel, backbone: str | Backbone | None, device: str) -> Backbone:
    """The backbone that the model was trained on."""
    from vlprompt.backbones import load_backbone

    named = model.backbone if backbone is None else backbone
    frozen = load_backbone(named, device=device) if isinstance(named, str) else named
    if frozen.fingerprint != model.fingerprint:
        raise BackboneError(
            f"{folder} was trained on {model.backbone} with the fingerprint {model.fingerprint}, and {frozen.name} has "
            f"the fingerprint {frozen.fingerprint}; name the backbone that it was trained on."
        )
    return frozen


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits (n, N) over the classes."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _key_or_nothing(sample: Sample) -> str | None:
    try:
        return image_key(sample.image)
    except UnreadableImageError:
        return None


def image_keys(samples: Sequence[Sample]) -> list[str]:
    """The content keys of the pictures that can be read."""
    return [key for key in map(_key_or_nothing, samples) if key is not None]


def _evaluation(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Evaluation:
    from sklearn.metrics import f1_score

    if len(truth) == 0:
        raise DataError("there are no pictures to evaluate on.")
    present = sorted(set(truth.tolist()))
    per_class = {str(names[label]): 100 * float((predicted[truth == label] == label).mean()) for label in present}
    correct = int((truth == predicted).sum())
    # As published, the mean is over the classes that the pictures are of.
    macro_f1 = 100 * float(f1_score(truth, predicted, labels=present, average="macro", zero_division=0))
    return Evaluation(100 * correct / len(truth), macro_f1, correct, len(truth), per_class)
