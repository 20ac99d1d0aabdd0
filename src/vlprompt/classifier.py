"""The estimator: learn a prompt from a few labelled pictures, then name pictures, in scikit-learn's conventions.

Example:
    >>> from vlprompt import PromptClassifier
    >>> classifier = PromptClassifier(method="cocoop", backbone="mini", shots=16, seed=1)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from vlprompt.data.checks import check_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.in_memory import dataset_from_lists, label_images
from vlprompt.data.limits import MAX_PIXELS, check_max_pixels
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, SettingsError, UnknownNameError
from vlprompt.fitted import Evaluation, FittedClassifier, image_keys, load_fitted, probabilities
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.methods.options import check_template
from vlprompt.model_card import package_versions
from vlprompt.progress import progress_bars
from vlprompt.recipes import RECIPES, Recipe, TrainingSettings, recipe_for

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.features import TrainingFeatures
    from vlprompt.methods.method import Method


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of pictures over class names: a frozen vision-language model with a learned prompt.

    Args:
        method: "zero-shot", "coop", "cocoop", or "path/to/file.py:ClassName" for a method of your own.
        backbone: a name for `load_backbone` ("mini", "ViT-B-16/openai", a local folder or file), or a `Backbone`.
        shots: training pictures per class, drawn with `seed`; None takes all.
        seed: of the draw, the initial prompt and the order of training.
        recipe: a recipe by name (`vlprompt.recipes.RECIPES`); None takes the method's base-to-new one.
        epochs, batch_size, learning_rate: where training differs from the recipe; None leaves the recipe's.
        training: other fields of `TrainingSettings` that differ from the recipe, such as {"views": None}.
        options: fields of the method's options that differ from the recipe, such as {"context_length": 16}.
        template: the zero-shot prompt; None takes the data set's, else "a photo of a {}.".
        class_names: order and names of the classes; needed when labels are numbers from 0.
        device: "auto", "cpu", "cuda" or "cuda:1".
        on_unreadable: "fail" or "skip" for training pictures that cannot be read.
        max_pixels: pictures that take more memory than 8 bytes for each of so many pixels are unreadable.
        cache: folder of the feature cache; "default" is the user's, None caches nothing.
        checkpoint: a file that training continues from when it was stopped; None keeps none.
        progress: bars on a terminal; None shows them when stderr is one.

    Attributes after `fit`:
        classes_: the class names, by column of `predict_proba`.
        fitted_: the `FittedClassifier`: backbone, method, records of training and evaluation.
        training_samples_: the images that were drawn.
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
        max_pixels: int = MAX_PIXELS,
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
        self.max_pixels = max_pixels
        self.cache = cache
        self.checkpoint = checkpoint
        self.progress = progress

    def fit(self, images: Sequence[Any] | Dataset, labels: Sequence[str] | Sequence[int] | None = None) -> Self:
        """Learn the prompt.

        Args:
            images: paths, Pillow images, arrays, tensors, bytes or open files of pictures, as a list, a column of a
                DataFrame or one array of several (see `vlprompt.data.image_lists`, `vlprompt.data.arrays`); or a
                `Dataset`, whose training split is used.
            labels: a class name per image, or numbers from 0 with `class_names`; None for a `Dataset`.

        Raises:
            VlpromptError: the data or the settings cannot be used; told before anything is computed where possible.
        """
        recipe = self.checked_recipe()
        dataset = self._checked_dataset(images, labels)
        samples, _ = sample_few_shot(dataset.train, (), self.shots, self.seed)
        backbone = self._load_backbone()
        method = build_method(
            self.method,
            backbone,
            dataset.class_names,
            options=_with_changes(recipe.prompt, self.options or {}),
            template=self.template or dataset.template,
            seed=self.seed,
        )
        record: dict[str, Any] = {
            "data": _facts(dataset, samples),
            "shots": self.shots,
            "seed": self.seed,
            "versions": package_versions(),
        }
        if not dataset.test:
            record["image_keys"] = image_keys(samples)
        calibration = None
        if method.learns:
            trained, calibration = self._train(method, samples, recipe, record["data"]["fingerprint"])
            record |= trained
        self.training_samples_ = samples
        names = list(dataset.class_names)
        self._use(FittedClassifier(backbone, method, self.method, names, record, calibration=calibration))
        return self

    def predict(self, images: Sequence[Any], screening: str | int = "auto") -> np.ndarray:
        """The class name of each image, as an array of text (n,).

        Args:
            screening: "off" encodes every class for every image; a number k only the k best ones by a first-order
                expansion; "auto" takes the k that found the exact winner of 99.9% of the training images, where there
                are so many classes and images that it pays (see `vlprompt.prediction`).
        """
        best = self.predict_logits(images, screening).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, images: Sequence[Any], screening: str | int = "auto") -> np.ndarray:
        """The softmax over the classes, in the order of `classes_`: (n, N).

        Where images are screened (see `predict`), the k best classes of each image have exact logits, and the tail, all
        other classes, has first-order approximations, none above the best exact one; the sum that both are divided by
        holds them too. `screening="off"` gives exact probabilities.
        """
        return probabilities(self.predict_logits(images, screening))

    def predict_logits(self, images: Sequence[Any], screening: str | int = "off") -> np.ndarray:
        """exp(s) cos(f(x), g(t_i(x))) of each image and class: (n, N); exact unless `screening` says otherwise.

        Raises:
            UnreadableImagesError: some images cannot be read; all of them are listed.
        """
        check_is_fitted(self)
        progress = self.progress is not False
        reading: dict[str, Any] = {"max_pixels": self.max_pixels, "cache": self.cache, "progress": progress}
        return self.fitted_.logits(images, screening=screening, **reading)[0]

    def score(self, images: Sequence[Any], labels: Sequence[str] | Sequence[int], sample_weight: Any = None) -> float:
        """Share of the images whose class is named right, from 0 to 1."""
        check_is_fitted(self)
        truth = [sample.class_name for sample in label_images(images, labels, self.fitted_.class_names)]
        return float(accuracy_score(truth, self.predict(images, screening="off"), sample_weight=sample_weight))

    def evaluate(self, samples: Sequence[Sample], name: str | None = None, on_unreadable: str = "fail") -> Evaluation:
        """Accuracy and macro F1 on labelled images; with a `name`, kept in the saved model's card."""
        check_is_fitted(self)
        progress = self.progress is not False
        reading: dict[str, Any] = {"max_pixels": self.max_pixels, "cache": self.cache, "progress": progress}
        return self.fitted_.evaluate(samples, name, on_unreadable=on_unreadable, **reading)

    def set_class_names(self, names: Sequence[str]) -> Self:
        """Name pictures by these classes from now on; they need not have been trained on.

        Raises:
            DataError: fewer than two names, or one that is empty or given twice.
            SettingsError: the learned contexts belong to the classes trained on (class-specific contexts).
        """
        check_is_fitted(self)
        self._use(self.fitted_.with_class_names(names))
        return self

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder: its JSON, its learned tensors and a card, without any backbone weights.

        Raises:
            OutputError: the folder cannot be written, or holds something else than a model.
        """
        check_is_fitted(self)
        self.fitted_.save(folder, progress=self.progress)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        backbone: str | Backbone | None = None,
        device: str = "auto",
        *,
        method: str | None = None,
    ) -> Self:
        """The classifier that `save` wrote.

        Args:
            backbone: where the same weights are, if not under the name that the model was trained with.
            method: "path/to/file.py:ClassName", where the model was trained with a method of your own.

        Raises:
            ModelFolderError: a file is missing, damaged or foreign.
            BackboneError: the backbone is not the one that the model was trained on; both fingerprints are named.
        """
        fitted = load_fitted(folder, backbone, device, method=method)
        classifier = cls(
            method=fitted.method_name,
            backbone=fitted.backbone.name if backbone is None else backbone,
            shots=fitted.training.get("shots"),
            seed=fitted.training.get("seed", 1),
            options=asdict(fitted.method.options),
            template=fitted.method.template,
            device=device,
        )
        classifier._use(fitted)
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _use(self, fitted: FittedClassifier) -> None:
        self.fitted_ = fitted
        self.classes_ = np.array(fitted.class_names)

    def checked_recipe(self) -> Recipe:
        """The recipe with this estimator's changes, all of its settings checked.

        Raises:
            SettingsError: an option has a value that cannot be used, or names something that does not exist.
        """
        method_class(self.method)
        if self.template is not None:
            check_template(self.template)
        if self.on_unreadable not in ("fail", "skip"):
            raise SettingsError(f"on_unreadable is {self.on_unreadable!r}; it must be one of fail, skip.")
        check_max_pixels(self.max_pixels)
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
            if labels is not None:
                raise DataError("labels were given beside a Dataset, which has its own; leave them out.")
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

    def _train(
        self, method: Method, samples: Sequence[Sample], recipe: Recipe, fingerprint: str
    ) -> tuple[dict[str, Any], Tensor | None]:
        """Train the method on the samples; what there is to record of it, and what calibrates screening."""
        from vlprompt.prediction import calibration_for
        from vlprompt.training import train

        settings = cast("TrainingSettings", recipe.training)
        started = time.perf_counter()
        images = [sample.image for sample in samples]
        features, kept = self._training_features(method.backbone, images, settings)
        encoded = time.perf_counter()
        labels = [samples[place].label for place in kept]
        with progress_bars(self.progress) as board:
            history = train(
                cast(Any, method),
                features,
                labels,
                settings,
                checkpoint=self.checkpoint,
                identity={"backbone": method.backbone.fingerprint, "data": fingerprint},
                reporter=board.training(f"{self.method}, {len(labels)} pictures"),
            )
        record = {
            "recipe": recipe.source or "vlprompt's defaults",
            "settings": settings.as_dict(),
            "images": len(labels),
            "losses": [epoch.loss for epoch in history.epochs],
            "features_s": round(encoded - started, 3),
            "train_s": round(time.perf_counter() - encoded, 3),
        }
        return record, calibration_for(method, features.epoch(settings.epochs - 1))

    def _training_features(
        self, backbone: Backbone, images: list[Any], settings: TrainingSettings
    ) -> tuple[TrainingFeatures, Sequence[int]]:
        """The stream of augmented features, and the places of the images that can be read."""
        from vlprompt.features import CachedViews, FeatureExtractor, FreshViews

        extractor = FeatureExtractor(
            backbone,
            cache=self.cache,
            on_unreadable=self.on_unreadable,
            max_pixels=self.max_pixels,
            progress=self.progress is not False,
        )
        if settings.views is None:
            fresh = FreshViews(extractor, images, settings.seed, epochs=settings.epochs)
            return fresh, fresh.kept.tolist()
        views = extractor.views(images, min(settings.views, settings.epochs), settings.seed)
        return CachedViews(views.values), views.kept.tolist()


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
