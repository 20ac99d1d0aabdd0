"""The pictures that runs use: those of their tests, and the few that are drawn for training.

Only these are opened, checked and fingerprinted, so that a benchmark on 16 pictures a class does not read the million
that lie there. What a file holds is remembered by its path, size and times (`vlprompt.features.content_keys`), so that
the next plan, and the report, read none again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.samples import Dataset, Sample
from vlprompt.experiments.protocol import Protocol

if TYPE_CHECKING:
    from vlprompt.experiments.plan import Run
    from vlprompt.features.table import Table

USED = "used-"
"""Begins a fingerprint of pictures that a run uses; those of earlier releases are of all pictures of a data set."""


def slim(dataset: Dataset) -> Dataset:
    """The data set with one training or validation image a class: it has the classes, and its tests are whole.

    Relabelling a million training images takes seconds, and a protocol relabels them many times.
    """
    first: dict[int, Sample] = {}
    for sample in (*dataset.train, *dataset.val):
        first.setdefault(sample.label, sample)
    return replace(dataset, train=tuple(first[label] for label in sorted(first)), val=())


@dataclass(frozen=True)
class Draw:
    """The training images of a run, and what there is to warn of them."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


def draw(protocol: Protocol, dataset: Dataset, shots: int, seed: int) -> Draw:
    """The few images of a run: drawn over all classes, then cut to those that are trained on."""
    few = slim(dataset)  # its classes make the halves, also where one has no training image
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train, _ = sample_few_shot(dataset.train, (), shots, seed, protocol.trained(few).class_names)
    samples = protocol.trained(replace(few, train=train, val=few.train)).train
    return Draw(samples, tuple(str(warning.message) for warning in caught))


class Fingerprints:
    """Fingerprints of the pictures that runs use.

    Args:
        cache: folder of the feature cache, where what files hold is remembered; None remembers nothing.
    """

    def __init__(self, cache: str | Path | None = "default") -> None:
        self._cache = cache
        self._keys: dict[str, str] = {}

    def of(self, samples: Iterable[Sample], class_words: Mapping[str, str] | None = None) -> str:
        """`USED` and 40 hex digits; see `dataset_fingerprint`."""
        return USED + dataset_fingerprint(samples, class_words, self._keys_of)

    def _keys_of(self, paths: Sequence[str]) -> list[str]:
        missing = [path for path in dict.fromkeys(paths) if path not in self._keys]
        if missing:
            from vlprompt.features.content_keys import content_keys

            keys, failures = content_keys(missing, self._table())
            for place, path in enumerate(missing):
                # One that cannot be read is reported where images are decoded.
                self._keys[path] = "unreadable" if place in failures else keys[place].tobytes().hex()
        return [self._keys[path] for path in paths]

    def _table(self) -> Table | None:
        from vlprompt.features.cache import cache_folder_if_any, content_key_table

        folder = cache_folder_if_any(self._cache)
        return None if folder is None else content_key_table(folder)


class UsedPictures:
    """Which pictures of a plan's data sets its runs use.

    Attributes:
        slim: the data sets by name, without most of their training images; see `slim`.
    """

    def __init__(
        self, protocol: Protocol, datasets: Mapping[str, Dataset], cache: str | Path | None = "default"
    ) -> None:
        self._protocol, self._datasets, self._fingerprints = protocol, datasets, Fingerprints(cache)
        self.slim = {name: slim(dataset) for name, dataset in datasets.items()}
        self._draws: dict[tuple[str, int, int], Draw] = {}
        self._tested: dict[str, str] = {}
        self._drawn: dict[tuple[str, int, int], str] = {}
        self._whole: dict[str, str] = {}

    def draw(self, name: str, shots: int, seed: int) -> Draw:
        """The training images of a run, drawn once."""
        key = name, shots, seed
        if key not in self._draws:
            self._draws[key] = draw(self._protocol, self._datasets[name], shots, seed)
        return self._draws[key]

    def of_tests(self, name: str) -> str:
        """The fingerprint of a data set's test images."""
        if name not in self._tested:
            dataset = self._datasets[name]
            self._tested[name] = self._fingerprints.of(dataset.test, dataset.class_words)
        return self._tested[name]

    def of_draw(self, name: str, shots: int, seed: int) -> str:
        """The fingerprint of the training images of a run."""
        key = name, shots, seed
        if key not in self._drawn:
            self._drawn[key] = self._fingerprints.of(self.draw(*key).samples, self._datasets[name].class_words)
        return self._drawn[key]

    def of_all(self, name: str) -> str:
        """The fingerprint that earlier releases took: of all pictures of a data set, which are read for it."""
        if name not in self._whole:
            dataset = self._datasets[name]
            everything = (*dataset.train, *dataset.val, *dataset.test)
            self._whole[name] = dataset_fingerprint(everything, dataset.class_words)
        return self._whole[name]

    def samples_of(self, runs: Iterable[Run]) -> list[Sample]:
        """The pictures that runs use, each once."""
        runs = list(runs)
        tests = dict.fromkeys(name for run in runs for name in (run.dataset.name, *run.dataset.targets))
        draws = dict.fromkeys((run.dataset.name, run.shots, run.seed) for run in runs if run.method.learns)
        parts = [*(self._datasets[name].test for name in tests), *(self.draw(*key).samples for key in draws)]
        return list({id(sample.image): sample for part in parts for sample in part}.values())

    def draws_of(self, runs: Iterable[Run]) -> dict[tuple[str, int, int], Draw]:
        """The training images of runs, by data set, shots and seed."""
        keys = [(run.dataset.name, run.shots, run.seed) for run in runs if run.method.learns]
        return {key: self.draw(*key) for key in keys}
