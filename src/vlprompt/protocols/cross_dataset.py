"""Cross-dataset transfer: train on all classes of one data set, test on it and on all others, by their own names.

As published with CoCoOp (arXiv 2203.05557, section 4.2, Table 2): 16 images of each of ImageNet's 1000 classes, then
the ten other data sets. Each is tested with its own names and, where a method's prompts are words, its own template.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError
from vlprompt.experiments.protocol import Protocol

PUBLISHED_TARGETS = (
    "caltech101",
    "oxford-pets",
    "stanford-cars",
    "flowers102",
    "food101",
    "fgvc-aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
"""Of ImageNet, in the order of Table 2."""


class CrossDataset(Protocol):
    """The first data set of a plan is the source; only for methods that take names without pictures."""

    name = "cross-dataset"
    title = "train on the first data set, test on it and on the others"
    paper = "Conditional Prompt Learning for Vision-Language Models (Zhou et al. 2022, arXiv 2203.05557), section 4.2"
    note = "The first column is the data set that was trained on; the average is over the others."
    shots = (16,)
    beside_imagenet = PUBLISHED_TARGETS
    takes_auto = False
    needs_open_names = True

    def trained(self, dataset: Dataset) -> Dataset:
        return dataset

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        return {dataset.name: dataset}

    def sources(self, datasets: Mapping[str, Dataset]) -> list[str]:
        source, *others = datasets
        if not others:
            raise DataError(f"{self.name} trains on {source} and has nothing else to test on; give more data sets")
        return [source]

    def targets(self, source: str, datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
        return {name: dataset for name, dataset in datasets.items() if name != source}

    def columns(self, accuracies: Mapping[str, float]) -> dict[str, float]:
        _, *others = accuracies.values()
        return {**accuracies, "average": fmean(others)}


CROSS_DATASET = CrossDataset()
