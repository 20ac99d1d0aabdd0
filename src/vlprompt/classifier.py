"""The estimator: learn a prompt from a few labelled pictures, then name pictures, in scikit-learn's conventions.

Example:
    >>> from vlprompt import PromptClassifier
    >>> classifier = PromptClassifier(method="cocoop", backbone="mini", shots=16, seed=1)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from vlprompt.data.checks import check_class_names, check_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.images import describe
from vlprompt.data.in_memory import dataset_from_lists, label_images
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import BackboneError, DataError, ModelFolderError, SettingsError, UnknownNameError
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.methods.options import check_template
from vlprompt.model_card import model_card, package_versions
from vlprompt.model_folder import TENSORS_FILE, SavedModel, method_file_hash, read_model_folder, write_model_folder
from vlprompt.progress import progress_bars
from vlprompt.recipes import RECIPES, Recipe, TrainingSettings, recipe_for

if TYPE_CHECKING:
    from typing import Self

    from vlprompt.backbones import Backbone
    from vlprompt.features import FeatureExtractor, TrainingFeatures
    from vlprompt.methods.method import Method


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


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of pictures over class names: a frozen vision-language model with a learned prompt.

    Args:
        method: "zero-shot", "coop", "cocoop", or "path/to/file.py:ClassName" for a method of your own.
        backbone: a name for `load_backbone` ("mini", "ViT-B-16/openai", a local folder or file), or a `Backbone`.
        shots: training pictures per class, drawn with `seed`; None takes all.
        seed: of the draw, the initial prompt and the order of training.
        recipe: a published recipe by name (`vlprompt.recipes.RECIPES`); None takes the method's base-to-new one.
        epochs, batch_size, learning_rate: where training differs from the recipe; None leaves the recipe's.
        training: other fields of `TrainingSettings` that differ from the recipe, such as {"views": None}.
        options: fields of the method's options that differ from the recipe, such as {"context_length": 16}.
        template: the zero-shot prompt; None takes the data set's, else "a photo of a {}.".
        class_names: order and names of the classes; needed when labels are numbers from 0.
        device: "auto", "cpu", "cuda" or "cuda:1".
        on_unreadable: "fail" or "skip" for training pictures that cannot be read.
        cache: folder of the feature cache; "default" is the user's, None caches nothing.
        checkpoint: a file that training continues from when it was stopped; None keeps none.
        progress: bars on a terminal; None shows them when stderr is one.

    Attributes after `fit`:
        classes_: the class names, by column of `predict_proba`.
        backbone_, method_: the frozen model and the method with its learned parameters.
        training_: what repeats the training, as plain values.
        evaluation_: results of `evaluate` by name, saved with the model.
    """

    def __init__(
        self,
        *,
        method: str = "cocoop",
        backbone: str | Backbone = "mini",
        shots: int | None = 16,
        seed: int = 1,
        recipe: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        training: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        template: str | None = None,
        class_names: Sequence[str] | None = None,
        device: str = "auto",
        on_unreadable: str = "fail",
        cache: str | Path | None = "default",
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.shots = shots
        self.seed = seed
        self.recipe = recipe
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.training = training
        self.options = options
        self.template = template
        self.class_names = class_names
        self.device = device
        self.on_unreadable = on_unreadable
        self.cache = cache
        self.checkpoint = checkpoint
        self.progress = progress

    def fit(self, images: Sequence[Any] | Dataset, labels: Sequence[str] | Sequence[int] | None = None) -> Self:
        """Learn the prompt.

        Args:
            images: paths, Pillow images or uint8 arrays (H, W[, 3 or 4]); or a `Dataset`, whose training split is used.
            labels: a class name per image, or numbers from 0 with `class_names`; None for a `Dataset`.

        Raises:
            VlpromptError: the data or the settings cannot be used; told before anything is computed where possible.
        """
        recipe = self._checked_recipe()
        dataset = self._checked_dataset(images, labels)
        samples, _ = sample_few_shot(dataset.train, (), self.shots, self.seed)
        self.training_samples_ = samples
        template = self.template or dataset.template
        backbone = self._load_backbone()
        options = _with_changes(recipe.prompt, self.options or {})
        method = self._build_method(backbone, dataset.class_names, options, template)
        self.backbone_ = backbone
        self.evaluation_: dict[str, dict[str, Any]] = {}
        self.training_: dict[str, Any] = {
            "data": _facts(dataset, samples),
            "shots": self.shots,
            "seed": self.seed,
            "versions": package_versions(),
        }
        if method.learns:
            self.training_ |= self._train(method, samples, recipe)
        self._use(method, dataset.class_names)
        self.trained_class_names_ = list(dataset.class_names)
        return self

    def predict(self, images: Sequence[Any]) -> np.ndarray:
        """The class name of each image, as an array of text (n,)."""
        best = self.predict_logits(images).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, images: Sequence[Any]) -> np.ndarray:
        """The softmax over the classes, in the order of `classes_`: (n, N)."""
        return probabilities(self.predict_logits(images))

    def predict_logits(self, images: Sequence[Any]) -> np.ndarray:
        """exp(s) cos(f(x), g(t_i(x))) of each image and class: (n, N).

        Raises:
            UnreadableImagesError: some images cannot be read; all of them are listed.
        """
        return self.readable_logits(images, on_unreadable="fail")[0]

    def readable_logits(self, images: Sequence[Any], on_unreadable: str = "skip") -> tuple[np.ndarray, np.ndarray]:
        """Logits (k, N) of the k images that can be read, and their places (k,) among `images`."""
        check_is_fitted(self, "method_")
        extracted = self._extractor(on_unreadable).extract(_as_images(images))
        import torch

        logits = self.method_.predict_logits(torch.from_numpy(extracted.values))
        return logits.float().cpu().numpy(), extracted.kept

    def score(self, images: Sequence[Any], labels: Sequence[str] | Sequence[int], sample_weight: Any = None) -> float:
        """Share of the images whose class is named right, from 0 to 1."""
        check_is_fitted(self, "method_")
        truth = [sample.class_name for sample in label_images(images, labels, self.classes_.tolist())]
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(truth, self.predict(images), sample_weight=sample_weight))

    def evaluate(self, samples: Sequence[Sample], name: str | None = None, on_unreadable: str = "fail") -> Evaluation:
        """Accuracy and macro F1 on labelled images, whose class names must be among `classes_`.

        With a `name` the result is kept in `evaluation_`, and so in the saved model's card.
        """
        check_is_fitted(self, "method_")
        known = {class_name: label for label, class_name in enumerate(self.classes_)}
        for sample in samples:
            if sample.class_name not in known:
                raise DataError(f"the class {sample.class_name!r} of {describe(sample.image)} is none of the model's.")
        logits, kept = self.readable_logits([sample.image for sample in samples], on_unreadable)
        truth = np.array([known[samples[place].class_name] for place in kept])
        evaluation = _evaluation(truth, logits.argmax(axis=1), list(self.classes_))
        if name is not None:
            self.evaluation_[name] = asdict(evaluation)
        return evaluation

    def set_class_names(self, names: Sequence[str]) -> Self:
        """Name pictures by these classes from now on; they need not have been trained on.

        Raises:
            DataError: a name is empty or given twice.
            SettingsError: the learned contexts belong to the classes trained on (class-specific contexts).
        """
        check_is_fitted(self, "method_")
        names = [names] if isinstance(names, str) else list(names)
        if len(names) < 2:
            raise DataError(f"class names are {names!r}; at least two are needed.")
        check_class_names(names)
        self._use(self.method_.with_class_names(names), names)
        return self

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder: its JSON, its learned tensors and a card, without any backbone weights.

        Raises:
            OutputError: the folder cannot be written, or holds something else than a model.
        """
        check_is_fitted(self, "method_")
        model = self._description()
        write_model_folder(Path(folder), model, self.method_.state_dict(), model_card(model))

    @classmethod
    def load(cls, folder: str | Path, backbone: str | Backbone | None = None, device: str = "auto") -> Self:
        """The classifier that `save` wrote.

        Args:
            backbone: where the same weights are, if not under the name that the model was trained with.

        Raises:
            ModelFolderError: a file is missing, damaged or foreign.
            BackboneError: the backbone is not the one that the model was trained on; both fingerprints are named.
        """
        model, tensors = read_model_folder(Path(folder))
        shots, seed = model.training.get("shots"), model.training.get("seed", 1)
        classifier = cls(
            method=model.method,
            backbone=backbone or model.backbone,
            shots=shots,
            seed=seed,
            options=model.options,
            template=model.template,
            device=device,
        )
        classifier._restore(model, tensors, Path(folder))
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "method_")

    def _description(self) -> SavedModel:
        """Everything about the fitted model but its tensors."""
        return SavedModel(
            method=self.method,
            method_file_hash=method_file_hash(self.method),
            options=asdict(self.method_.options),
            template=self.method_.template,
            class_names=self.classes_.tolist(),
            trained_class_names=self.trained_class_names_,
            backbone=self.backbone_.name,
            fingerprint=self.backbone_.fingerprint,
            training=self.training_,
            evaluation=self.evaluation_,
        )

    def _restore(self, model: SavedModel, tensors: dict[str, Any], folder: Path) -> None:
        """Become the saved model."""
        if method_file_hash(model.method) != model.method_file_hash:
            raise ModelFolderError(f"{model.method} has changed since {folder} was saved; put back what it was then.")
        self.backbone_ = self._load_backbone()
        if self.backbone_.fingerprint != model.fingerprint:
            raise BackboneError(
                f"{folder} was trained on {model.backbone} with the fingerprint {model.fingerprint}, and "
                f"{self.backbone_.name} has the fingerprint {self.backbone_.fingerprint}; name the backbone that it "
                "was trained on."
            )
        method = self._build_method(self.backbone_, model.trained_class_names, model.options, model.template)
        try:
            method.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelFolderError(
                f"{folder / TENSORS_FILE} does not hold the tensors of the method {model.method}: "
                f"{' '.join(str(error).split())}"
            ) from error
        self.training_, self.evaluation_ = model.training, model.evaluation
        self.trained_class_names_ = model.trained_class_names
        same = model.class_names == model.trained_class_names
        self._use(method if same else method.with_class_names(model.class_names), model.class_names)

    def _use(self, method: Method, names: Sequence[str]) -> None:
        self.method_ = method
        self.classes_ = np.array(list(names))

    def _checked_recipe(self) -> Recipe:
        """The recipe with this estimator's changes, all of its settings checked."""
        method_class(self.method)
        if self.template is not None:
            check_template(self.template)
        if self.on_unreadable not in ("fail", "skip"):
            raise SettingsError(f"on_unreadable is {self.on_unreadable!r}; it must be one of fail, skip.")
        if self.shots is not None and (not isinstance(self.shots, int) or self.shots < 1):
            raise SettingsError(f"shots is {self.shots!r}; it must be a whole number of at least 1, or None for all.")
        short = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        changes = {name: value for name, value in short.items() if value is not None} | (self.training or {})
        recipe = self._named_recipe()
        if recipe.training is not None:
            changes.setdefault("seed", self.seed)
        return recipe.with_training(**changes) if changes else recipe

    def _named_recipe(self) -> Recipe:
        if self.recipe is None:
            return default_recipe(self.method, self.shots)
        if self.recipe not in RECIPES:
            raise UnknownNameError("recipe", self.recipe, RECIPES)
        recipe = RECIPES[self.recipe]
        if recipe.method != self.method and not is_method_file(self.method):
            raise SettingsError(f"recipe {self.recipe} is for the method {recipe.method}, and method is {self.method}.")
        return recipe

    def _checked_dataset(self, images: Sequence[Any] | Dataset, labels: Any) -> Dataset:
        if isinstance(images, Dataset):
            dataset = images
        else:
            if labels is None:
                raise DataError("labels are missing; fit takes images and labels, or a Dataset.")
            dataset = dataset_from_lists(images, labels, class_names=self.class_names)
        check_dataset(Dataset(dataset.name, dataset.train))
        return dataset

    def _load_backbone(self) -> Backbone:
        from vlprompt.backbones import load_backbone

        return load_backbone(self.backbone, device=self.device) if isinstance(self.backbone, str) else self.backbone

    def _build_method(self, backbone: Backbone, names: Sequence[str], options: dict[str, Any], template: str) -> Method:
        return build_method(self.method, backbone, names, options=options, template=template, seed=self.seed)

    def _extractor(self, on_unreadable: str) -> FeatureExtractor:
        from vlprompt.features import FeatureExtractor

        return FeatureExtractor(
            self.backbone_, cache=self.cache, on_unreadable=on_unreadable, progress=self.progress is not False
        )

    def _train(self, method: Method, samples: Sequence[Sample], recipe: Recipe) -> dict[str, Any]:
        """Train the method on the samples; what there is to record of it."""
        from vlprompt.training import train

        settings = cast("TrainingSettings", recipe.training)
        started = time.perf_counter()
        features, kept = self._training_features([sample.image for sample in samples], settings)
        encoded = time.perf_counter()
        labels = [samples[place].label for place in kept]
        with progress_bars(self.progress) as board:
            history = train(
                cast(Any, method),
                features,
                labels,
                settings,
                checkpoint=self.checkpoint,
                identity={"backbone": self.backbone_.fingerprint, "data": self.training_["data"]["fingerprint"]},
                reporter=board.training(f"{self.method}, {len(labels)} pictures"),
            )
        return {
            "recipe": recipe.source or "vlprompt's defaults",
            "settings": settings.as_dict(),
            "images": len(labels),
            "losses": [epoch.loss for epoch in history.epochs],
            "features_s": round(encoded - started, 3),
            "train_s": round(time.perf_counter() - encoded, 3),
        }

    def _training_features(
        self, images: list[Any], settings: TrainingSettings
    ) -> tuple[TrainingFeatures, Sequence[int]]:
        """The stream of augmented features, and the places of the images that can be read."""
        from vlprompt.features import CachedViews, FreshViews

        extractor = self._extractor(self.on_unreadable)
        if settings.views is None:
            fresh = FreshViews(extractor, images, settings.seed, epochs=settings.epochs)
            return fresh, fresh.kept.tolist()
        views = extractor.views(images, min(settings.views, settings.epochs), settings.seed)
        return CachedViews(views.values), views.kept.tolist()


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits (n, N) over the classes."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def default_recipe(method: str, shots: int | None) -> Recipe:
    """The method's base-to-new recipe; a method of the user's own takes the settings' defaults."""
    if is_method_file(method):
        return Recipe(method, TrainingSettings())
    return recipe_for(method, "base-to-new", shots)


def is_method_file(method: str) -> bool:
    """Whether the method is a class in a file of the user's own."""
    return method not in METHODS and method.rpartition(":")[0].endswith(".py")


def _with_changes(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The recipe's options with the user's; a length without words means random vectors of that length."""
    if "context_length" in changes and "context_init" not in changes:
        changes = {**changes, "context_init": None}
    return {**options, **changes}


def _facts(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Any]:
    """What is recorded of the data."""
    return {
        "name": dataset.name,
        "fingerprint": dataset_fingerprint(samples),
        "classes": len(dataset.class_names),
        "drawn_images": len(samples),
    }


def _as_images(images: Sequence[Any]) -> list[Any]:
    if isinstance(images, str | Path):
        raise DataError(f"images is the one path {str(images)!r}; it must be a list of images.")
    return list(images)


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
