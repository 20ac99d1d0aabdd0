"""Fitting a method to labelled pictures, and what there is to record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vlprompt.data.checks import check_training_images
from vlprompt.data.few_shot import warn_about_lost_shots
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.in_memory import refuse_two_labels, samples_of_classes
from vlprompt.data.labels import Classes, classes_of, label_array, with_words
from vlprompt.data.samples import Dataset, Sample, with_own_names
from vlprompt.errors import DataError
from vlprompt.methods import AUTO, build_method, method_class
from vlprompt.methods.declarations import recipe_for
from vlprompt.model.card import package_versions
from vlprompt.model.inputs import frozen_features, training_inputs
from vlprompt.progress import Board
from vlprompt.recipes import TrainingSettings
from vlprompt.wording import some_of

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.features import FeatureExtractor
    from vlprompt.methods.method import Method, TrainingSet
    from vlprompt.methods.output import HeldOut


def labelled_data(
    images: Sequence[Any] | Dataset, labels: Any, class_names: Sequence[str] | Mapping[Any, str] | None
) -> tuple[Dataset, Classes]:
    """What `PromptClassifier.fit` was given, as a data set, and its classes as they were labelled.

    Raises:
        DataError: it cannot be used.
    """
    if isinstance(images, Dataset):
        if labels is not None:
            raise DataError("labels were given beside a Dataset, which has its own; leave them out.")
        dataset = with_words(with_own_names(images), class_names)
        classes = Classes(np.array(dataset.class_names), dataset.class_names, dict(dataset.class_words))
    else:
        if labels is None:
            raise DataError(
                "labels are missing: fit takes images and labels, or a Dataset (it requires y to be passed, "
                "but the target y is None)."
            )
        labels = label_array(labels)
        classes = classes_of(labels, class_names)
        samples = samples_of_classes(images, classes.places(labels).tolist(), classes.names)
        refuse_two_labels(samples)
        dataset = Dataset("pictures", samples, class_words=classes.class_words)
    check_training_images(dataset)
    return dataset, classes


def record_before_fitting(
    dataset: Dataset, samples: Sequence[Sample], shots: int | None, seed: int, parameters: dict[str, Any]
) -> dict[str, Any]:
    """What is recorded of a fit before it begins; `fit` has the rest."""
    import torch

    return {
        "data": {
            "name": dataset.name,
            "fingerprint": dataset_fingerprint(samples, dataset.class_words),
            "classes": len(dataset.class_names),
            "drawn_images": len(samples),
            "training_images": len(dataset.train),
            "bundled": dataset.bundled,
        },
        "shots": shots,
        "seed": seed,
        "parameters": parameters,
        "versions": package_versions(),
        "threads": torch.get_num_threads(),
    }


@dataclass(frozen=True)
class MethodSettings:
    """A method by name, and all that decides what becomes of it.

    Attributes:
        name: see `vlprompt.methods.method_class`.
        options: fields of its options, by name.
        template: the data set's zero-shot template.
        seed: of its random initial values.
        training: how it is trained; None where it is not trained step by step.
        source: of these settings, for the record.
        one_prompt_allowed: let names pass that are one prompt to the backbone, as published ones may be.
    """

    name: str
    options: Mapping[str, Any]
    template: str
    seed: int
    training: TrainingSettings | None
    source: str = ""
    one_prompt_allowed: bool = False


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted method.

    Attributes:
        record: of how it came about, as plain values; empty for a method that no picture changes.
        calibration: features of training images, (n, E), by which screening is calibrated; None where it would not
            serve.
        name: of the method, as it would be asked for.
        held_out: features (m, E) of the pictures that cross-validation held out, and what it named them; None where it
            was not of this method as it is.
        for_new: what serves names without pictures, where that is another method.
    """

    method: Method
    record: dict[str, Any]
    calibration: Tensor | None = None
    name: str = ""
    held_out: tuple[Tensor, HeldOut] | None = None
    for_new: Fit | None = None


def fit(
    settings: MethodSettings,
    samples: Sequence[Sample],
    class_words: Sequence[str],
    backbone: Backbone,
    extractor: FeatureExtractor,
    *,
    identity: Mapping[str, Any],
    checkpoint: str | Path | None = None,
    board: Board | None = None,
    title: str = "",
) -> Fit:
    """Build a method, set it up and train it, as far as it asks for either: the only way to a fitted method.

    "auto" chooses the method, or two of them (see `vlprompt.model.choosing`).

    Args:
        samples: all pictures to learn from; how they were drawn is the caller's business.
        class_words: what prompts say for the N classes, by label.
        extractor: of the pictures' features; it also says what becomes of pictures that cannot be read.
        identity: of the run, by which a checkpoint is known.
        checkpoint: what a stopped training continues from; None keeps none.
        board: shows the training.
        title: of the row there.

    Raises:
        DataError: a class has no picture, and the method learns every class from its pictures; or no picture can be
            read.
    """
    run = _Run(settings, class_words, backbone, extractor, identity, checkpoint, board, title)
    return run.choose_and_fit(samples) if settings.name == AUTO else run.fit(samples)


@dataclass(frozen=True)
class _Run:
    """What `fit` was asked for."""

    settings: MethodSettings
    class_words: Sequence[str]
    backbone: Backbone
    extractor: FeatureExtractor
    identity: Mapping[str, Any]
    checkpoint: str | Path | None
    board: Board | None
    title: str

    def fit(
        self, samples: Sequence[Sample], pictures: TrainingSet | None = None, set_up_before: Method | None = None
    ) -> Fit:
        """A method that was named.

        Args:
            pictures: the samples' features and labels, where they are known.
            set_up_before: the method as these settings build it, where it has seen these pictures.
        """
        settings = self.settings
        method = set_up_before or self._built(_in_precision_of(settings.training, self.backbone))
        if not method.uses_pictures():
            return Fit(method, {}, name=settings.name)
        record: dict[str, Any] = {"recipe": settings.source or "vlprompt's defaults"}
        if engine := method.text_engine():
            record["text_engine"] = str(engine)
        if method.has_setup():
            if pictures is None:
                samples, pictures, of_pictures = labelled_features(method, samples, self.extractor)
                record |= of_pictures
            record |= set_up(method, None if set_up_before else pictures)
        if settings.training is None:
            return Fit(method, record, name=settings.name, held_out=_held_out(method, pictures))
        of_training, calibration = self.train(settings.training, method, samples)
        of_training["features_s"] = round(of_training["features_s"] + record.get("features_s", 0.0), 3)
        if method.backbone is not self.backbone:
            # It was trained in half precision, and predicts as the model loaded later does: in the backbone's own.
            trained, method = method, self._built(self.backbone)
            method.load_learned(trained.state_dict())
            method.held_out = trained.held_out
        return Fit(method, record | of_training, calibration, settings.name)

    def train(
        self, settings: TrainingSettings, method: Method, samples: Sequence[Sample]
    ) -> tuple[dict[str, Any], Tensor | None]:
        """Train the method in place; the record of it, and what calibrates screening."""
        from vlprompt.screening.screener import calibration_for
        from vlprompt.training import train

        started = time.perf_counter()
        settings = settings.for_images(len(samples))
        inputs, kept = training_inputs(method, [sample.image for sample in samples], self.extractor, settings)
        encoded = time.perf_counter()
        if not len(kept):
            raise DataError(f"none of the {len(samples)} images drawn for training can be read.")
        warn_about_lost_shots(samples, kept)
        history = train(
            cast(Any, method),
            inputs,
            [samples[place].label for place in kept],
            settings,
            checkpoint=self.checkpoint,
            identity=self.identity,
            reporter=self.board.training(f"{self.title}, {len(kept)} pictures") if self.board else None,
        )
        record: dict[str, Any] = {
            "settings": settings.as_dict(),
            "images": len(kept),
            "losses": [epoch.loss for epoch in history.epochs],
            "features_s": round(encoded - started + history.feature_seconds, 3),
            "train_s": round(history.seconds, 3),
        }
        if not hasattr(inputs, "epoch"):
            return record, None  # screening starts from the frozen encoder's features
        return record, calibration_for(method, inputs.epoch(settings.epochs - 1))

    def _built(self, backbone: Backbone) -> Method:
        settings = self.settings
        return build_method(
            settings.name,
            backbone,
            self.class_words,
            options=settings.options,
            template=settings.template,
            seed=settings.seed,
            one_prompt_allowed=settings.one_prompt_allowed,
        )

    def choose_and_fit(self, samples: Sequence[Sample]) -> Fit:
        """The method that cross-validation chooses, and beside a head what serves names without pictures."""
        from vlprompt.model.trials import Candidates, choose

        samples, pictures, record = labelled_features(
            self._chosen("zero-shot")._built(self.backbone), samples, self.extractor
        )
        started = time.perf_counter()
        given = (self.settings.template, pictures, self.settings.seed, self.board)
        candidates = Candidates(self.backbone, self.class_words, *given, self.settings.one_prompt_allowed)
        choices = choose(candidates, new_names=bool(self.settings.options.get("new_names")))
        record["choice"] = {what: choice.as_dict() for what, choice in choices.items()}
        record["choosing_s"] = round(time.perf_counter() - started, 3)
        names = list(dict.fromkeys(choice.method for choice in choices.values()))
        first, *others = [self._chosen(name).fit(samples, pictures, candidates.set_up.get(name)) for name in names]
        if not first.method.open_names and not others:
            others = [self._chosen("zero-shot").fit(samples)]
        return replace(first, record={**record, **first.record}, for_new=next(iter(others), None))

    def _chosen(self, name: str) -> _Run:
        """The run of a method that was chosen, by its own recipe."""
        recipe = recipe_for(name)
        settings = self.settings
        training = recipe.training and replace(recipe.training, seed=settings.seed)
        chosen = replace(settings, name=name, options=recipe.options, training=training, source=recipe.source)
        checkpoint = None if self.checkpoint is None else Path(self.checkpoint) / name
        return replace(self, settings=chosen, checkpoint=checkpoint, title=f"{self.title} chose {name}")


def _in_precision_of(training: TrainingSettings | None, backbone: Backbone) -> Backbone:
    """The backbone as training has it: its towers in the settings' precision, where that is not fp32.

    Raises:
        SettingsError: its device does not compute in that precision.
    """
    if training is None or training.precision == "fp32":
        return backbone
    from vlprompt.training.precision import check_precision

    check_precision(training.precision, backbone.device)
    return replace(backbone, precision=training.precision)


def labelled_features(
    method: Method, samples: Sequence[Sample], extractor: FeatureExtractor
) -> tuple[Sequence[Sample], TrainingSet, dict[str, Any]]:
    """The samples that can be read, their features with their labels, and the record of it.

    Raises:
        DataError: no picture can be read, or none of a class, and the method learns every class from its pictures.
    """
    import torch

    from vlprompt.methods.method import TrainingSet

    started = time.perf_counter()
    _check_all_have_pictures(method, [sample.label for sample in samples])
    frozen, kept = frozen_features([sample.image for sample in samples], extractor)
    if not len(kept):
        raise DataError(f"none of the {len(samples)} images drawn for training can be read.")
    warn_about_lost_shots(samples, kept.tolist())
    samples = [samples[place] for place in kept.tolist()]
    labels = [sample.label for sample in samples]
    _check_all_have_pictures(method, labels)
    features = method.normalised(frozen)
    record = {"images": len(labels), "features_s": round(time.perf_counter() - started, 3)}
    return samples, TrainingSet(features, torch.tensor(labels, device=features.device)), record


def _held_out(method: Method, pictures: TrainingSet | None) -> tuple[Tensor, HeldOut] | None:
    if pictures is None or method.held_out is None:
        return None
    return pictures.features[method.held_out.places.to(pictures.features.device)], method.held_out


def set_up(method: Method, pictures: TrainingSet | None) -> dict[str, Any]:
    """Hand the method the pictures' own features, None where it has had them; the record of it."""
    started = time.perf_counter()
    if pictures is not None:
        method.setup(pictures)
    record: dict[str, Any] = {"setup_s": round(time.perf_counter() - started, 3)}
    if method.held_out is not None:
        hits = method.held_out.hits
        record["cross_validated"] = {"right": int(hits.sum()), "seen": len(hits)}
    return record


def _check_all_have_pictures(method: Method, labels: Sequence[int]) -> None:
    """Raise DataError where a class has no picture, and the method learns every class from its pictures."""
    there = set(labels)
    missing = [words for label, words in enumerate(method.class_names) if label not in there]
    if method.has_setup() and missing:
        from vlprompt.methods.declarations import methods_with_open_names

        raise DataError(
            f"{some_of(missing)} {'has' if len(missing) == 1 else 'have'} no training picture that can be read, and "
            f"{method.name} learns every class from its pictures: add some, leave the class out, or fit one of "
            f"{', '.join(methods_with_open_names())}."
        )


def checkpoint_identity(backbone: Backbone, method_name: str, template: str, fingerprint: str) -> dict[str, Any]:
    """By what the checkpoint of a fit to data of this fingerprint is known.

    A loss of the method's own may depend on the template; the usual one, on logits alone, does not.
    """
    from vlprompt.methods.method import Method

    own_loss = {} if method_name != AUTO and method_class(method_name).loss is Method.loss else {"template": template}
    return {"backbone": backbone.fingerprint, "data": fingerprint, **own_loss}
