"""Fitting a method to labelled pictures, and what there is to record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vlprompt.data.checks import check_training_images
from vlprompt.data.few_shot import warn_about_lost_shots
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.in_memory import refuse_two_labels, samples_of_classes
from vlprompt.data.labels import Classes, classes_of, label_array, with_words
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError
from vlprompt.model.card import package_versions
from vlprompt.progress import progress_bars
from vlprompt.recipes import Recipe, TrainingSettings
from vlprompt.wording import some_of

if TYPE_CHECKING:
    from torch import Tensor

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
        dataset = with_words(images, class_names)
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
    """What is recorded of a fit before it begins; `fit_to_pictures` has the rest."""
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


def fit_to_pictures(
    method: Method,
    samples: Sequence[Sample],
    recipe: Recipe,
    extractor: FeatureExtractor,
    *,
    name: str,
    fingerprint: str,
    checkpoint: str | Path | None,
    progress: bool | None,
) -> tuple[dict[str, Any], Tensor | None]:
    """Set the method up and train it, as far as it asks for either; the record of it, and what calibrates screening.

    Args:
        extractor: of the pictures' features; it also says what becomes of pictures that cannot be read.
        name: of the method, as the row of its progress shows it.
        fingerprint: of the data, by which a checkpoint is known.

    Raises:
        DataError: a class has no picture, and the method learns every class from its pictures.
    """
    record: dict[str, Any] = {"recipe": recipe.source or "vlprompt's defaults"}
    calibration = None
    if method.has_setup():
        samples, of_setup = set_up(method, samples, extractor)
        record |= of_setup
    if method.learns:
        identity = {"backbone": method.backbone.fingerprint, "data": fingerprint, **_of_own_loss(method)}
        of_training, calibration = _train(method, samples, recipe, extractor, name, identity, checkpoint, progress)
        of_training["features_s"] = round(of_training["features_s"] + record.get("features_s", 0.0), 3)
        record |= of_training
    return record, calibration


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
    extracted = extractor.extract([sample.image for sample in samples])
    encoded = time.perf_counter()
    warn_about_lost_shots(samples, extracted.kept.tolist())
    samples = [samples[place] for place in extracted.kept.tolist()]
    labels = [sample.label for sample in samples]
    _check_all_have_pictures(method, labels)
    features = method.normalised(torch.from_numpy(extracted.values))
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


def _train(
    method: Method,
    samples: Sequence[Sample],
    recipe: Recipe,
    extractor: FeatureExtractor,
    name: str,
    identity: Mapping[str, Any],
    checkpoint: str | Path | None,
    progress: bool | None,
) -> tuple[dict[str, Any], Tensor | None]:
    """Train the method in place; the record of it, and what calibrates screening."""
    from vlprompt.features import training_features
    from vlprompt.model.prediction import calibration_for
    from vlprompt.training import train

    settings = cast(TrainingSettings, recipe.training)
    started = time.perf_counter()
    features, kept = training_features(extractor, [sample.image for sample in samples], settings)
    encoded = time.perf_counter()
    if not len(kept):
        raise DataError(f"none of the {len(samples)} images drawn for training can be read.")
    warn_about_lost_shots(samples, kept)
    labels = [samples[place].label for place in kept]
    with progress_bars(progress) as board:
        history = train(
            cast(Any, method),
            features,
            labels,
            settings,
            checkpoint=checkpoint,
            identity=identity,
            reporter=board.training(f"{name}, {len(labels)} pictures"),
        )
    record: dict[str, Any] = {
        "settings": settings.as_dict(),
        "images": len(labels),
        "losses": [epoch.loss for epoch in history.epochs],
        "features_s": round(encoded - started, 3),
        "train_s": round(time.perf_counter() - encoded, 3),
    }
    return record, calibration_for(method, features.epoch(settings.epochs - 1))


def _of_own_loss(method: Method) -> dict[str, Any]:
    """What else a loss of the method's own may depend on; the usual one, on logits alone, does not."""
    from vlprompt.methods.method import Method

    return {} if type(method).loss is Method.loss else {"template": method.template}
