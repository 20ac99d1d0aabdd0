"""A few labelled images per class, exactly those that the published CoOp and CoCoOp runs draw for a seed.

One stream of Python's random numbers serves the training and then the validation images; classes come in the order
in which they first appear. The draw is over all classes of a data set; the base or new half is cut out afterwards
(`splits.select_half`), so that a base-to-new run sees the images that a run over all classes would.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Sequence

from vlprompt.data.samples import Sample
from vlprompt.settings_checks import seed_number, whole_number

VALIDATION_SHOTS = 4
"""Validation images per class are at most this many, and never more than the training images."""


class FewerShotsWarning(UserWarning):
    """Some classes have fewer images than asked for; all that they have are taken."""


def sample_few_shot(
    train: Sequence[Sample], val: Sequence[Sample], shots: int | None, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Draws `shots` training and min(shots, 4) validation images per class, without repeats.

    Args:
        shots: images per class; None takes every image. A class with fewer gives all it has, in file order.
        seed: of the draw; the published runs use 1, 2 and 3.

    Returns:
        The training and the validation images, class by class.

    Raises:
        SettingsError: `shots` is less than 1, or `seed` less than 0.

    Warns:
        FewerShotsWarning: once, naming every class with fewer training images than asked and how many it has.
    """
    seed = seed_number(seed)
    if shots is None:
        return tuple(train), tuple(val)
    shots = whole_number("shots", shots, least=1, instead=" or None (all images)")
    stream = random.Random(seed)
    warn_about_fewer_shots(train, shots)
    return _draw(train, shots, stream), _draw(val, min(shots, VALIDATION_SHOTS), stream)


def warn_about_fewer_shots(train: Iterable[Sample], shots: int) -> None:
    """One `FewerShotsWarning` that lists the classes with fewer than `shots` images, if there are any."""
    few = [
        f"{items[0].class_name!r} has {len(items)}" for items in group_by_label(train).values() if len(items) < shots
    ]
    if few:
        warnings.warn(
            f"{shots} images per class were asked for, but {', '.join(few)}; all of them are taken.",
            FewerShotsWarning,
            stacklevel=3,
        )


def group_by_label(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    """Samples by label; labels in order of first appearance, samples in their own order."""
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.label, []).append(sample)
    return groups


def _draw(samples: Sequence[Sample], count: int, stream: random.Random) -> tuple[Sample, ...]:
    picks: list[Sample] = []
    for items in group_by_label(samples).values():
        picks += stream.sample(items, count) if len(items) >= count else items
    return tuple(picks)
