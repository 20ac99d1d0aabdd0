"""The estimator: learn from a few labelled pictures, then name pictures, in scikit-learn's conventions.

Example:
    >>> from vlprompt import PromptClassifier
    >>> classifier = PromptClassifier(backbone="mini", seed=1)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from vlprompt.data.checks import check_same_length
from vlprompt.data.few_shot import draw_few_shot, warn_about_fewer_shots
from vlprompt.data.image_lists import image_list
from vlprompt.data.images import describe
from vlprompt.data.in_memory import samples_of_classes
from vlprompt.data.labels import (
    Classes,
    ClassNamesWarning,
    check_known,
    classes_named,
    classes_saved,
    label_array,
    warn_of_unknown,
)
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import Dataset, Sample, with_own_names
from vlprompt.data.weights import check_weights, checked_weights
from vlprompt.errors import DataError, ModelFolderError
from vlprompt.methods import AUTO
from vlprompt.model.cautions import DRAWINGS_ONLY, DrawingsOnlyWarning, knows_only_drawings
from vlprompt.model.fitted import (
    Evaluation,
    FittedClassifier,
    fitted_classifier,
    image_keys,
    log_probabilities,
    probabilities,
)
from vlprompt.model.fitting import (
    Fit,
    MethodSettings,
    checkpoint_identity,
    fit,
    labelled_data,
    record_before_fitting,
)
from vlprompt.model.folder import DESCRIPTION_FILE
from vlprompt.model.loading import load_fitted
from vlprompt.model.parameters import FitSettings, checked_settings, parameters_to_save, saved_parameters
from vlprompt.progress import Counting, progress_bars
from vlprompt.settings_checks import plain, shown

if TYPE_CHECKING:
    from typing import Self

    from vlprompt.backbones import Backbone


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of pictures over class names: a frozen vision-language model with a learned prompt.

    Args:
        method: "auto" chooses by cross-validation on the training pictures; or a name of `vlprompt.methods.METHODS`, or
            "path/to/file.py:ClassName" for a method of your own.
        backbone: a name for `load_backbone` ("mini", "ViT-B-16/openai", a local folder or file), or a `Backbone`.
        shots: training pictures per class, drawn with `seed`; None takes all; "auto" is all, and 16 as published where
            a method that is trained step by step was named.
        seed: of the draw, the initial prompt and the order of training.
        recipe: a recipe by name (`vlprompt.recipes.RECIPES`); None takes the method's base-to-new one.
        epochs, batch_size, learning_rate: where training differs from the recipe; None leaves the recipe's.
        training: other fields of `TrainingSettings` that differ from the recipe, such as {"views": None}.
        options: fields of the method's options that differ from the recipe, such as {"context_length": 16}.
        template: the zero-shot prompt; None takes the data set's, else "a photo of a {}.".
        class_names: what prompts say for labels that are numbers: a mapping from labels to words, or a list of words in
            the order of the sorted labels. For labels that are text: a mapping to words where these differ, or a list
            of the classes that there are.
        device: "auto", "cpu", "cuda" or "cuda:1".
        on_unreadable: "fail" or "skip" for pictures that cannot be read, in `fit`, `score` and `evaluate`.
        max_pixels: pictures that take more memory than 8 bytes for each of so many pixels are unreadable.
        cache: folder of the feature cache; "default" is the user's, None caches nothing.
        checkpoint: a file that training continues from when it was stopped; None keeps none.
        progress: bars on a terminal; None shows them when stderr is one.
        new_names: with "auto", also choose what serves names without pictures, on classes that are held out.

    Attributes after `fit`:
        classes_: the classes as they were labelled, sorted, by column of `predict_proba`.
        fitted_: the `FittedClassifier`: backbone, method, records of training and evaluation.
        training_samples_: the images that were drawn.
        choice_: what "auto" chose and why, with its table, by what it is for: {"pictures": {"method", "why", "rows"}},
            and "new_names"; see `vlprompt.model.choosing`. Empty where a method was named.
    """

    # What metadata routing must not take for metadata: scikit-learn itself calls these X and y.
    __metadata_request__fit: ClassVar = {"images": UNUSED, "labels": UNUSED}
    __metadata_request__predict: ClassVar = {"images": UNUSED}
    __metadata_request__predict_proba: ClassVar = {"images": UNUSED}
    __metadata_request__predict_log_proba: ClassVar = {"images": UNUSED}
    __metadata_request__score: ClassVar = {"images": UNUSED, "labels": UNUSED}

    def __init__(
        self,
        *,
        method: str = AUTO,
        backbone: str | Path | Backbone = "mini",
        shots: int | str | None = "auto",
        seed: int = 1,
        recipe: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        training: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        template: str | None = None,
        class_names: Sequence[str] | Mapping[Any, str] | None = None,
        device: str = "auto",
        on_unreadable: str = "fail",
        max_pixels: int = MAX_PIXELS,
        cache: str | Path | None = "default",
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
        new_names: bool = False,
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
        self.new_names = new_names

    def fit(self, images: Sequence[Any] | Dataset, labels: Any = None, sample_weight: Any = None) -> Self:
        """Learn the prompt, or whatever else the method learns.

        Args:
            images: paths, Pillow images, arrays, tensors, bytes or open files of pictures, as a list, a column of a
                DataFrame or one array of several (see `vlprompt.data.image_lists`, `vlprompt.data.arrays`); or a
                `Dataset`, whose training split is used.
            labels: one per image: class names, or whole numbers, truth values and other hashable values, for which
                `class_names` has the words; None for a `Dataset`.
            sample_weight: must be the same for all images, unless the method learns nothing: the published loss weighs
                all images alike.

        Raises:
            VlpromptError: the data or the settings cannot be used; told before anything is computed where possible.
        """
        settings = self.checked_settings()
        dataset, classes = labelled_data(images, labels, self.class_names)
        parameters = parameters_to_save(self.get_params(deep=False))
        if sample_weight is not None:
            check_weights(sample_weight, len(dataset.train), uses_pictures=settings.uses_pictures)
        # What learns nothing cannot have too few images to learn from.
        asked = settings.shots if settings.uses_pictures else None
        warn_about_fewer_shots(dataset.train, asked, dataset.class_names)
        samples, _ = draw_few_shot(dataset.train, (), settings.shots, settings.seed)
        backbone = self._load_backbone()
        if knows_only_drawings(backbone.name, dataset.bundled):
            warnings.warn(DRAWINGS_ONLY, DrawingsOnlyWarning, stacklevel=2)
        record = record_before_fitting(dataset, samples, settings.shots, settings.seed, parameters)
        if not dataset.test:
            record["image_keys"] = image_keys(samples) if settings.uses_pictures else []
        fitted = self._fit(settings, dataset, samples, backbone, record["data"]["fingerprint"])
        self.training_samples_ = samples
        self._use(fitted_classifier(fitted, record, classes.names, classes.kind), classes)
        return self

    def predict(self, images: Sequence[Any], screening: str | int = "auto", on_unreadable: str = "fail") -> np.ndarray:
        """The class of each image, an array (n,) of what the labels were.

        Args:
            screening: "off" encodes every class for every image; a number k only the k best ones by a first-order
                expansion; "auto" takes the k that found the exact winner of 99.9% of the training images, where there
                are so many classes and images that it pays (see `vlprompt.screening.screener`).
            on_unreadable: see `predict_logits`.
        """
        best = self.predict_logits(images, screening, on_unreadable).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(
        self, images: Sequence[Any], screening: str | int = "auto", on_unreadable: str = "fail"
    ) -> np.ndarray:
        """The softmax over the classes, in the order of `classes_`: (n, N).

        Where images are screened (see `predict`), the k best classes of each image have exact logits, and the tail, all
        other classes, has first-order approximations, none above the best exact one; the sum that both are divided by
        holds them too. `screening="off"` gives exact probabilities.
        """
        return probabilities(self.predict_logits(images, screening, on_unreadable))

    def predict_log_proba(
        self, images: Sequence[Any], screening: str | int = "auto", on_unreadable: str = "fail"
    ) -> np.ndarray:
        """The logarithms of `predict_proba`, finite also where a probability is too small for a number: (n, N)."""
        return log_probabilities(self.predict_logits(images, screening, on_unreadable))

    def predict_logits(
        self, images: Sequence[Any], screening: str | int = "auto", on_unreadable: str = "fail"
    ) -> np.ndarray:
        """The logits of each image and class, exp(s) cos(f(x), g(t_i(x))) of prompts: (n, N).

        Args:
            screening: as for `predict`, which takes the largest of these.
            on_unreadable: "fail" names all images that cannot be read; "skip" leaves out their rows, with a warning
                that names them, so that there are fewer rows than images: `fitted_.logits(images,
                on_unreadable="skip")` gives the places of the images beside the rows.

        Raises:
            UnreadableImagesError: some images cannot be read; all of them are listed.
        """
        return self._logits(images, screening, on_unreadable)[0]

    def score(
        self, images: Sequence[Any], labels: Any, sample_weight: Any = None, on_unreadable: str | None = None
    ) -> float:
        """Share of the images whose class is named right, from 0 to 1.

        Args:
            sample_weight: how much each image counts.
            on_unreadable: "fail", or "skip" for images that cannot be read; None takes the estimator's own.

        Warns:
            UnknownLabelsWarning: a label is none of the classes, as happens in a fold; its images count as wrong.
        """
        check_is_fitted(self)
        labels = label_array(labels)
        truth = self._classes.places(labels)
        logits, kept = self._logits(images, "off", on_unreadable, labels=truth)
        warn_of_unknown(labels, truth)
        weights = None if sample_weight is None else checked_weights(sample_weight, len(truth))[kept]
        if not len(kept):
            raise DataError("none of the images can be read, so there is nothing to score.")
        return float(accuracy_score(truth[kept], logits.argmax(axis=1), sample_weight=weights))

    def evaluate(
        self,
        images: Sequence[Any] | Dataset,
        labels: Any = None,
        name: str | None = None,
        on_unreadable: str | None = None,
        *,
        trained_on: bool = False,
    ) -> Evaluation:
        """How well labelled images are named, beside zero-shot and chance; see `vlprompt.model.evaluation.Evaluation`.

        Args:
            images: as for `fit`, with `labels`; or `Sample`s, which have their own: evaluate(samples, name); or a
                `Dataset`, whose test split is taken.
            name: under which the result is kept in the saved model's card.
            on_unreadable: "fail", or "skip" for images that cannot be read; None takes the estimator's own.
            trained_on: the images are those that the model was trained on, which the result then says.

        Raises:
            DataError: an image's class is none of the model's.
        """
        check_is_fitted(self)
        if isinstance(labels, str):  # evaluate(samples, name, on_unreadable)
            labels, name, on_unreadable = None, labels, name or on_unreadable
        words: Mapping[str, str] = {}
        if isinstance(images, Dataset):
            if labels is not None:
                raise DataError("labels were given beside a Dataset, which has its own; leave them out.")
            images = with_own_names(images)
            words, images = images.class_words, images.test
        elif labels is None and isinstance(images, str | os.PathLike):
            image_list(images)  # refuses one path
        samples = images if labels is None else self._samples(images, labels)
        for place, sample in enumerate(samples):
            if not isinstance(sample, Sample):
                raise DataError(f"labels are missing; {describe(sample, place)} has none of its own.")
        return self.fitted_.evaluate(
            samples, name, class_words=words, trained_on=trained_on, **self._options(on_unreadable)
        )

    def set_class_names(self, names: Sequence[str] | Mapping[str, str]) -> Self:
        """Name pictures by these classes from now on; they need not have been trained on.

        Args:
            names: of the classes; a mapping gives the words that prompts say for each, {"n02510455": "giant panda"}.

        Raises:
            DataError: fewer than two names, or one that is empty or given twice.
            SettingsError: what was learned belongs to the classes trained on (heads, class-specific contexts).
        """
        check_is_fitted(self)
        classes = classes_named(names)
        words = {name: classes.class_words.get(name, name) for name in classes.names}
        fitted = self.fitted_.with_class_names(words if len(words) == len(classes.names) else classes.names)
        self._use(replace(fitted, label_kind=classes.kind), classes)
        return self

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder: its JSON, its learned tensors and a card, without any backbone weights.

        Raises:
            OutputError: the folder cannot be written, or holds something else than a model.
        """
        check_is_fitted(self)
        if self._classes.kind == "str" and not isinstance(label := self.classes_[0], str):
            text = f"labels such as {shown(label)} are saved as their text, as which they come back."
            warnings.warn(text, ClassNamesWarning, stacklevel=2)
        self.fitted_.save(folder, progress=plain(self.progress))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        backbone: str | Path | Backbone | None = None,
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
        options, template = asdict(fitted.method.options), fitted.method.template
        defaults = cls().get_params(deep=False)
        asked = AUTO if "choice" in fitted.training else fitted.method_name
        parameters = saved_parameters(fitted.training, asked, options, template, folder, defaults)
        named = fitted.backbone.name if backbone is None else backbone
        classifier = cls(method=asked, backbone=named, device=device, **parameters)
        try:
            classifier._use(fitted, classes_saved(fitted.class_names, fitted.label_kind))
        except ValueError as error:
            raise ModelFolderError(f"{Path(folder) / DESCRIPTION_FILE} was changed: label_kind ({error}).") from error
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Images: paths (text), or arrays of grey pictures; rows of numbers are none.
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def _use(self, fitted: FittedClassifier, classes: Classes) -> None:
        self.fitted_ = fitted
        self.choice_ = fitted.training.get("choice", {})
        self._classes = classes
        self.classes_ = classes.values

    def checked_settings(self) -> FitSettings:
        """What the parameters come to, all of them checked.

        Raises:
            SettingsError: a parameter has a value that cannot be used, or names something that does not exist.

        Warns:
            SettingsWarning: a setting is changed or ignored.
        """
        return checked_settings(self.get_params(deep=False))

    def _samples(self, images: Sequence[Any], labels: Any) -> tuple[Sample, ...]:
        """Images with labels that are among the classes."""
        labels = label_array(labels)
        places = self._classes.places(labels)
        check_known(labels, places)
        return samples_of_classes(images, places.tolist(), self._classes.names)

    def _logits(
        self, images: Sequence[Any], screening: str | int, on_unreadable: str | None, labels: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits of the images that can be read, and their places among all."""
        check_is_fitted(self)
        images = image_list(images)
        if labels is not None:
            check_same_length(images, labels)
        return self.fitted_.logits(images, screening=plain(screening), **self._options(on_unreadable))

    def _options(self, on_unreadable: str | None) -> dict[str, Any]:
        """How images are read; None is the estimator's own way with those that cannot be."""
        chosen = self.on_unreadable if on_unreadable is None else on_unreadable
        reading = {"on_unreadable": chosen, "max_pixels": plain(self.max_pixels)}
        return {**reading, "cache": self.cache, "progress": plain(self.progress) is not False}

    def _load_backbone(self) -> Backbone:
        from vlprompt.backbones import Backbone, load_backbone

        return (
            self.backbone if isinstance(self.backbone, Backbone) else load_backbone(self.backbone, device=self.device)
        )

    def _fit(
        self,
        settings: FitSettings,
        dataset: Dataset,
        samples: Sequence[Sample],
        backbone: Backbone,
        fingerprint: str,
    ) -> Fit:
        """Fit the method to the samples, with rows on a terminal."""
        from vlprompt.features import FeatureExtractor

        template = self.template or dataset.template
        with progress_bars(plain(self.progress)) as board:
            reading = {**self._options(None), "progress": False}
            return fit(
                MethodSettings(
                    self.method,
                    settings.options,
                    template,
                    settings.seed,
                    settings.recipe.training,
                    settings.recipe.source,
                    dataset.names_are_published,
                ),
                samples,
                dataset.prompt_names,
                backbone,
                FeatureExtractor(backbone, **reading, on_progress=Counting(board, "Image features", "img")),
                identity=checkpoint_identity(backbone, self.method, template, fingerprint),
                checkpoint=self.checkpoint,
                board=board,
                title=self.method,
            )
