"""Freshly augmented images every epoch, as published, against k views kept per image and used in turn.

    python speed/views.py --json views.json

Trains on the base half of the bundled data sets with the published recipes and tests on both halves. View v of an image
is the same image whether it is kept or made in epoch v, so that k views differ from fresh ones in repeating only: a run
of as many epochs as views is the fresh run. With --json, a stopped measurement goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import torch

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.data.catalogue import DATASETS, load_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.samples import Dataset
from vlprompt.data.splits import select_half
from vlprompt.features import CachedViews, FeatureExtractor
from vlprompt.methods import build_method
from vlprompt.methods.declarations import recipe_for
from vlprompt.model.prediction import Predictor
from vlprompt.recipes import TrainingSettings
from vlprompt.training import train

FRESH = "fresh"


@dataclass(frozen=True)
class Task:
    """One data set at one seed: augmented features and labels of the few base images, and both test halves."""

    dataset: Dataset
    seed: int
    views: np.ndarray  # (n, epochs, E)
    labels: list[int]
    base: Dataset
    new: Dataset


def tasks(options: argparse.Namespace, extractor: FeatureExtractor, epochs: int) -> Iterator[Task]:
    """Every data set at every seed, with as many views per image as there are epochs."""
    for name in options.datasets:
        dataset = load_dataset(name)
        for seed in range(1, options.seeds + 1):
            shots, _ = sample_few_shot(dataset.train, dataset.val, 16, seed)
            base = select_half(replace(dataset, train=shots), "base")
            images, labels = [sample.image for sample in base.train], [sample.label for sample in base.train]
            views = extractor.views(images, epochs, seed).values
            yield Task(dataset, seed, views, labels, base, select_half(dataset, "new"))


def settings_of(method: str, views: str, seed: int) -> TrainingSettings:
    """The published recipe."""
    recipe = recipe_for(method).with_training(seed=seed, views=None if views == FRESH else int(views))
    assert recipe.training is not None
    return recipe.training


def accuracies(
    task: Task, method_name: str, views: str, backbone: Backbone, extractor: FeatureExtractor
) -> dict[str, Any]:
    """Train with so many views, and test on both halves."""
    settings = settings_of(method_name, views, task.seed)
    kept = task.views[:, : settings.views or settings.epochs]
    options = recipe_for(method_name).options
    names, template = task.base.class_names, task.dataset.template
    method = build_method(method_name, backbone, names, options=options, template=template, seed=task.seed)
    history = train(method, CachedViews(kept), task.labels, settings)
    result: dict[str, float] = {}
    for half, name in ((task.base, "base"), (task.new, "new")):
        features = torch.from_numpy(np.array(extractor.extract([sample.image for sample in half.test]).values))
        predicted = Predictor(method.with_class_names(half.class_names)).logits(features, "off").argmax(dim=1)
        right = predicted == torch.tensor([sample.label for sample in half.test])
        result[name] = 100 * float(right.double().mean())
    result["harmonic"] = 2 * result["base"] * result["new"] / (result["base"] + result["new"])
    return {**result, "train_seconds": history.seconds, "final_loss": history.final_loss}


def measure(options: argparse.Namespace, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every run that is not among `rows` yet."""
    backbone = load_backbone(options.backbone)
    done = {key_of(row) for row in rows}
    for method in options.methods:
        epochs = recipe_for(method).training.epochs  # type: ignore[union-attr]
        extractor = FeatureExtractor(backbone)
        for task in tasks(options, extractor, epochs):
            for views in options.views:
                row = {"method": method, "dataset": task.dataset.name, "seed": task.seed, "views": views}
                if key_of(row) in done or (views != FRESH and int(views) >= epochs):
                    continue  # as many views as epochs are fresh ones
                yield {**row, **accuracies(task, method, views, backbone, extractor)}


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row is the result of."""
    return row["method"], row["dataset"], row["seed"], row["views"]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean accuracy by method and views, and its difference to fresh views over the same runs, with a 95% interval."""
    figures: dict[str, Any] = {}
    fresh = {key_of(row)[:3]: row for row in rows if row["views"] == FRESH}
    for method, views in dict.fromkeys((row["method"], row["views"]) for row in rows):
        mine = [row for row in rows if (row["method"], row["views"]) == (method, views)]
        for what in ("base", "new", "harmonic", "train_seconds"):
            figures[f"{method} views={views} {what}"] = statistics.fmean(row[what] for row in mine)
        gains = [row["harmonic"] - fresh[key_of(row)[:3]]["harmonic"] for row in mine if key_of(row)[:3] in fresh]
        if views != FRESH and len(gains) > 1:
            figures[f"{method} views={views} against fresh"] = statistics.fmean(gains)
            figures[f"{method} views={views} interval"] = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5
    return figures


def main() -> None:
    """Measure, print one table, and write the same figures as JSON."""
    parser = measuring.parser(__doc__.splitlines()[0], rounds=False)
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--methods", nargs="+", default=["coop", "cocoop"])
    parser.add_argument("--views", nargs="+", default=["1", "5", "10", "20", FRESH])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    file: Path | None = options.json
    rows = json.loads(file.read_text())["rows"] if file is not None and file.is_file() else []
    for row in measure(options, rows):
        rows.append(row)
        print(*(f"{value:.2f}" if isinstance(value, float) else value for value in row.values()), flush=True)
        if file is not None:
            file.write_text(
                json.dumps({"rows": rows, "figures": summary(rows), "machine": measuring.machine()}, indent=1)
            )
    measuring.report("Kept views against fresh ones", summary(rows), None)


if __name__ == "__main__":
    main()
