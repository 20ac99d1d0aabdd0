"""A few labelled images per class, exactly those that the published CoOp and CoCoOp runs draw for a seed.

One stream of Python's random numbers serves the training and then the validation images; classes come in the order
in which they first appear. The draw is over all classes of a data set; the base or new half is cut out afterwards
(`splits.select_half`), so that a base-to-new run sees the images that a run over all classes would.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

from vlprompt.data.samples import Sample
from vlprompt.settings_checks import seed_number, whole_number

VALIDATION_SHOTS = 4
"""Validation images per class are at most this many, and never more than the training images."""


class FewerShotsWarning(UserWarning):
    """Some classes have fewer images to train on than asked for, or none; all that they have are taken."""


def sample_few_shot(
    train: Sequence[Sample],
    val: Sequence[Sample],
    shots: int | None,
    seed: int,
    class_names: Iterable[str] = (),
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Draws `shots` training and min(shots, 4) validation images per class, without repeats.

    Args:
        shots: images per class; None takes every image. A class with fewer gives all it has, in file order.
        seed: of the draw; the published runs use 1, 2 and 3.
        class_names: of all classes, also those that have test images only and so no training image.

    Returns:
        The training and the validation images, class by class.

    Raises:
        SettingsError: `shots` is less than 1, or `seed` less than 0.

    Warns:
        FewerShotsWarning: once, naming every class with fewer training images than asked and how many it has.
    """
    drawn = draw_few_shot(train, val, shots, seed)
    warn_about_fewer_shots(train, shots, class_names)
    return drawn


def draw_few_shot(
    train: Sequence[Sample], val: Sequence[Sample], shots: int | None, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """The draw of `sample_few_shot` without its warning."""
    seed = seed_number(seed)
    if shots is None:
        return tuple(train), tuple(val)
    shots = whole_number("shots", shots, least=1, instead=" or None (all images)")
    stream = random.Random(seed)
    return _draw(train, shots, stream), _draw(val, min(shots, VALIDATION_SHOTS), stream)


def warn_about_fewer_shots(train: Iterable[Sample], shots: int | None, class_names: Iterable[str] = ()) -> None:
    """One `FewerShotsWarning` that lists the classes with fewer than `shots` images, or with none, if there are any."""
    groups = [(items[0].class_name, len(items)) for items in group_by_label(train).values()]
    few = [f"{name!r} has {count}" for name, count in groups if shots is not None and count < shots]
    trained = {name for name, _ in groups}
    none = [f"{name!r} has none" for name in class_names if name not in trained]
    if few or none:
        asked = "" if shots is None else f"{shots} images per class were asked for, but "
        taken = "; all of them are taken" if few else ""
        untrained = "; a class with none has nothing to learn from but its words" if none else ""
        warnings.warn(
            f"{asked}{', '.join(none + few)}{' to train on' if none else ''}{taken}{untrained}.",
            FewerShotsWarning,
            stacklevel=3,
        )


def warn_about_lost_shots(drawn: Sequence[Sample], kept: Iterable[int]) -> None:
    """One `FewerShotsWarning` that lists the classes of which drawn images cannot be read, worst where none is left."""
    before, left = Counter(entry.class_name for entry in drawn), Counter(drawn[place].class_name for place in kept)
    lost = [f"{name!r} has {left[name] or 'none'} of {count}" for name, count in before.items() if left[name] < count]
    if lost:
        none = any(left[name] == 0 for name in before)
        untrained = "; a class with none has nothing to learn from but its words" if none else ""
        warnings.warn(
            f"of the images drawn for training only some can be read: {', '.join(lost)}{untrained}.",
            FewerShotsWarning,
            stacklevel=4,
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
