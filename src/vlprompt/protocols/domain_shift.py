"""Domain shift: train on one data set, test on it and on other pictures of the same classes.

As published with CoOp (arXiv 2109.01134, section 4.2) and CoCoOp (arXiv 2203.05557, section 4.3, Table 3): 16 images of
each of ImageNet's classes, then ImageNetV2, -Sketch, -A and -R; the latter two have 200 of the classes and are tested
among these. Bundled data sets are tested on the same scenes in the other styles of drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from vlprompt.data.emoji.styles import other_styles, style_of
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError
from vlprompt.experiments.protocol import Protocol

PUBLISHED_SHIFTS = ("imagenetv2", "imagenet-sketch", "imagenet-a", "imagenet-r")
"""Of ImageNet, in the order of Table 3."""


class DomainShift(Protocol):
    """Every bundled data set is a source; of others the first, and those behind it are its shifted versions."""

    name = "domain-shift"
    title = "train on one data set, test on it and on its shifted versions"
    paper = "Conditional Prompt Learning for Vision-Language Models (Zhou et al. 2022, arXiv 2203.05557), section 4.3"
    note = "The first column is what was trained on; the others show the same classes otherwise."
    shots = (16,)
    beside_imagenet = PUBLISHED_SHIFTS

    def trained(self, dataset: Dataset) -> Dataset:
        return dataset

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        styles = other_styles(dataset)
        return {style_of(dataset) if styles else dataset.name: dataset, **styles}

    def sources(self, datasets: Mapping[str, Dataset]) -> list[str]:
        others = _without_styles(datasets)
        if len(others) == 1:
            raise DataError(
                f"{self.name} trains on {others[0]} and has no shifted version of it to test on; name one behind it"
            )
        return [name for name in datasets if name not in others[1:]]

    def targets(self, source: str, datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
        others = _without_styles(datasets)
        if source not in others:
            return {}
        return {name: _of_the_same_classes(datasets[source], datasets[name]) for name in others if name != source}


DOMAIN_SHIFT = DomainShift()


def _without_styles(datasets: Mapping[str, Dataset]) -> list[str]:
    return [name for name, dataset in datasets.items() if not other_styles(dataset)]


def _of_the_same_classes(source: Dataset, shifted: Dataset) -> Dataset:
    """The shifted version with the source's words for its classes.

    Raises:
        DataError: it has a class that is none of the source's.
    """
    surplus = Counter(shifted.class_names) - Counter(source.class_names)
    if surplus:
        raise DataError(
            f"data set {shifted.name} has the class {min(surplus)}, which {source.name} has not; domain-shift tests on "
            "other pictures of the same classes, and cross-dataset on other classes"
        )
    return replace(shifted, class_words=source.class_words, template=source.template)
