"""Fitting a method to labelled pictures, and what there is to record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from vlprompt.methods import build_method, method_class
from vlprompt.model.card import package_versions
from vlprompt.model.inputs import frozen_features, training_inputs
from vlprompt.progress import Board
from vlprompt.recipes import TrainingSettings
from vlprompt.wording import some_of

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.features import FeatureExtractor
    from vlprompt.methods.method import Method


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
    """

    method: Method
    record: dict[str, Any]
    calibration: Tensor | None = None


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
    method = build_method(
        settings.name,
        backbone,
        class_words,
        options=settings.options,
        template=settings.template,
        seed=settings.seed,
        one_prompt_allowed=settings.one_prompt_allowed,
    )
    if not method.uses_pictures():
        return Fit(method, {})
    record: dict[str, Any] = {"recipe": settings.source or "vlprompt's defaults"}
    if method.has_setup():
        samples, of_setup = set_up(method, samples, extractor)
        record |= of_setup
    if settings.training is None:
        return Fit(method, record)
    training = _TrainingRun(settings.training, identity, checkpoint, board, title)
    of_training, calibration = training.of(method, samples, extractor)
    of_training["features_s"] = round(of_training["features_s"] + record.get("features_s", 0.0), 3)
    return Fit(method, record | of_training, calibration)


def set_up(
    method: Method, samples: Sequence[Sample], extractor: FeatureExtractor
) -> tuple[Sequence[Sample], dict[str, Any]]:
    """Hand the method the pictures' own features; the samples that can be read, and the record of it.

    Raises:
        DataError: a class has no picture that can be read.
    """
    import torch

    from vlprompt.methods.method import TrainingSet

    started = time.perf_counter()
    _check_all_have_pictures(method, [sample.label for sample in samples])
    frozen, kept = frozen_features([sample.image for sample in samples], extractor)
    encoded = time.perf_counter()
    warn_about_lost_shots(samples, kept.tolist())
    samples = [samples[place] for place in kept.tolist()]
    labels = [sample.label for sample in samples]
    _check_all_have_pictures(method, labels)
    features = method.normalised(frozen)
    method.setup(TrainingSet(features, torch.tensor(labels, device=features.device)))
    record: dict[str, Any] = {
        "images": len(labels),
        "features_s": round(encoded - started, 3),
        "setup_s": round(time.perf_counter() - encoded, 3),
    }
    if method.cross_validated is not None:
        record["cross_validated"] = dict(zip(("right", "seen"), method.cross_validated, strict=True))
    return samples, record


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


@dataclass(frozen=True)
class _TrainingRun:
    """One training, whatever the method; see `fit`."""

    settings: TrainingSettings
    identity: Mapping[str, Any]
    checkpoint: str | Path | None
    board: Board | None
    title: str

    def of(
        self, method: Method, samples: Sequence[Sample], extractor: FeatureExtractor
    ) -> tuple[dict[str, Any], Tensor | None]:
        """Train the method in place; the record of it, and what calibrates screening."""
        from vlprompt.screening.screener import calibration_for
        from vlprompt.training import train

        started = time.perf_counter()
        inputs, kept = training_inputs(method, [sample.image for sample in samples], extractor, self.settings)
        encoded = time.perf_counter()
        if not len(kept):
            raise DataError(f"none of the {len(samples)} images drawn for training can be read.")
        warn_about_lost_shots(samples, kept)
        history = train(
            cast(Any, method),
            inputs,
            [samples[place].label for place in kept],
            self.settings,
            checkpoint=self.checkpoint,
            identity=self.identity,
            reporter=self.board.training(f"{self.title}, {len(kept)} pictures") if self.board else None,
        )
        record: dict[str, Any] = {
            "settings": self.settings.as_dict(),
            "images": len(kept),
            "losses": [epoch.loss for epoch in history.epochs],
            "features_s": round(encoded - started + history.feature_seconds, 3),
            "train_s": round(history.seconds, 3),
        }
        if not hasattr(inputs, "epoch"):
            return record, None  # screening starts from the frozen encoder's features
        return record, calibration_for(method, inputs.epoch(self.settings.epochs - 1))


def checkpoint_identity(backbone: Backbone, method_name: str, template: str, fingerprint: str) -> dict[str, Any]:
    """By what the checkpoint of a fit to data of this fingerprint is known.

    A loss of the method's own may depend on the template; the usual one, on logits alone, does not.
    """
    from vlprompt.methods.method import Method

    own_loss = {} if method_class(method_name).loss is Method.loss else {"template": template}
    return {"backbone": backbone.fingerprint, "data": fingerprint, **own_loss}
