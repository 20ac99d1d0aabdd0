"""Training a method on labelled pictures, and what there is to record of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vlprompt.data.few_shot import warn_about_lost_shots
from vlprompt.data.samples import Sample
from vlprompt.errors import DataError
from vlprompt.progress import progress_bars
from vlprompt.recipes import Recipe, TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.features import FeatureExtractor
    from vlprompt.methods.method import Method


def train_on_pictures(
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
    """Train the method in place; the record of it, and what calibrates screening.

    Args:
        extractor: of the pictures' features; it also says what becomes of pictures that cannot be read.
        name: of the method, as the row of its progress shows it.
        fingerprint: of the data, by which a checkpoint is known.
    """
    from vlprompt.features import training_features
    from vlprompt.prediction import calibration_for
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
            identity={"backbone": method.backbone.fingerprint, "data": fingerprint},
            reporter=board.training(f"{name}, {len(labels)} pictures"),
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
