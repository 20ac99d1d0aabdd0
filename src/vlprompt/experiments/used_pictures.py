"""The pictures that runs use: those of their tests, and the few that are drawn for training.

Only these are opened, checked and fingerprinted, so that a benchmark on 16 pictures a class does not read the million
that lie there. What a file holds is remembered by its path, size and times (`vlprompt.features.content_keys`), so that
the next plan, and the report, read none again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlprompt.data.few_shot import draw_few_shot
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.samples import Dataset, Sample
from vlprompt.experiments.protocol import Protocol

if TYPE_CHECKING:
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


def drawn(protocol: Protocol, dataset: Dataset, shots: int, seed: int) -> tuple[Sample, ...]:
    """The training images of a run: drawn over all classes, then cut to those that are trained on."""
    train, _ = draw_few_shot(dataset.train, (), shots, seed)
    without = slim(dataset)  # its classes make the halves, also where one has no training image
    return protocol.trained(replace(without, train=train, val=without.train)).train


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
