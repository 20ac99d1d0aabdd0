"""Pictures for the report: what the classes look like, and images of new classes on which the methods disagree."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vlprompt.errors import DataError, VlpromptError
from vlprompt.experiments.records import DatasetFacts, ResultRecord
from vlprompt.report.runs import in_order

THUMBNAIL_SIDE = 96
STRIP_LENGTH = 6
EXAMPLES = 3


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, and the name of its class."""

    uri: str
    class_name: str


@dataclass(frozen=True)
class Example:
    """A test image of a new class with each method's first choice."""

    picture: Picture
    choices: tuple[tuple[str, str, bool], ...]
    """Method, class name chosen, and whether it is right."""


@dataclass(frozen=True)
class Gallery:
    """The pictures of one data set; `disagreements` of `new_total` test images are where the methods disagree."""

    dataset: str
    base: tuple[Picture, ...]
    new: tuple[Picture, ...]
    examples: tuple[Example, ...]
    disagreements: int
    new_total: int


def galleries_of(
    records: Sequence[ResultRecord], load: Callable[[str], Any] | None = None
) -> tuple[list[Gallery], list[str]]:
    """One gallery for each data set that can still be loaded as it was, and the names of those that cannot.

    Arguments:
        load: gives a `Dataset` from a record's `source`; `load_dataset` by default.
    """
    by_dataset: dict[str, list[ResultRecord]] = {}
    for record in records:
        by_dataset.setdefault(record.dataset.name, []).append(record)
    galleries, missing = [], []
    for name, runs in sorted(by_dataset.items()):
        try:
            facts = runs[0].dataset
            dataset = load(facts.source) if load else _load_dataset(facts)
            if gallery := _gallery(name, runs, dataset):
                galleries.append(gallery)
            else:
                missing.append(name)
        except (VlpromptError, OSError):
            missing.append(name)
    return galleries, missing


def _load_dataset(facts: DatasetFacts) -> Any:
    from vlprompt.experiments.pictures import load_source
    from vlprompt.plugins import is_in_a_file

    if is_in_a_file(facts.source.rpartition("=")[2]):
        raise DataError(f"{facts.source} is code, which a record alone does not have run")
    with warnings.catch_warnings(action="ignore"):  # what is left out was told when the results were made
        return load_source(facts.source, facts.loading)


def _gallery(name: str, runs: Sequence[ResultRecord], dataset: Any) -> Gallery | None:
    """None where the data set is not the one any more that the results are of."""
    from vlprompt.data.splits import select_half
    from vlprompt.experiments.used_pictures import USED, UsedPictures
    from vlprompt.protocols import BASE_TO_NEW

    used = UsedPictures(BASE_TO_NEW, {name: dataset})
    dataset = used.slim[name]
    there = {run.dataset.fingerprint for run in runs}
    if any(each != (used.of_tests(name) if each.startswith(USED) else used.of_all(name)) for each in there):
        return None
    base, new = select_half(dataset, "base").test, select_half(dataset, "new").test
    if any(len(run.results["new"].predictions) != len(new) for run in runs):
        return None
    shown = _first_seed_of_each_method(runs)
    disagreeing = [
        index for index in range(len(new)) if len({run.results["new"].predictions[index] for run in shown}) > 1
    ]
    examples = [_example(new[index], index, shown) for index in _spread(disagreeing, EXAMPLES)]
    return Gallery(name, _strip(base), _strip(new), tuple(examples), len(disagreeing), len(new))


def _first_seed_of_each_method(runs: Sequence[ResultRecord]) -> list[ResultRecord]:
    first: dict[str, ResultRecord] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        first.setdefault(run.method.label, run)
    return [first[label] for label in in_order(first)]


def _example(sample: Any, index: int, runs: Sequence[ResultRecord]) -> Example:
    choices = []
    for run in runs:
        chosen = run.dataset.classes["new"][run.results["new"].predictions[index]]
        choices.append((run.method.label, chosen, chosen == sample.class_name))
    return Example(_picture(sample), tuple(choices))


def _strip(samples: Sequence[Any]) -> tuple[Picture, ...]:
    """The first test image of classes spread evenly over all of them."""
    first: dict[int, Any] = {}
    for sample in samples:
        first.setdefault(sample.label, sample)
    return tuple(_picture(first[label]) for label in _spread(sorted(first), STRIP_LENGTH))


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most `count` of the items, evenly spaced, so that nobody chose them."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def _picture(sample: Any) -> Picture:
    from PIL import Image, ImageOps

    from vlprompt.data.images import open_image

    thumbnail = ImageOps.fit(open_image(sample.image), (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    thumbnail.save(stream, "WEBP", quality=82)
    return Picture("data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode(), sample.class_name)
