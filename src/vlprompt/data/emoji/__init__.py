"""The bundled emoji benchmark: six data sets of composed scenes, in three styles of drawing.

>>> dataset = load_emoji("emoji-food")
>>> len(dataset.class_names), dataset.train[0].image.open().size
(50, (96, 96))

Classes, their order (the first half are the base classes), splits and scenes are fixed by the pack's
version and the composer's. The domains show the same scenes, drawn in another style.
"""

from __future__ import annotations

from vlprompt.data.emoji.pack import DrawingPack, read_pack
from vlprompt.data.emoji.scenes import Scene
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import UnknownNameError

__all__ = ["EMOJI_DATASETS", "EMOJI_DOMAINS", "load_emoji"]

EMOJI_DATASETS: tuple[str, ...] = (
    "emoji-food",
    "emoji-animals",
    "emoji-travel",
    "emoji-objects",
    "emoji-activities",
    "emoji-faces",
)
EMOJI_DOMAINS: tuple[str, ...] = ("flat", "3d", "high-contrast")
TEMPLATE = "a photo of a {}."


def load_emoji(name: str, domain: str = "flat") -> Dataset:
    """One of `EMOJI_DATASETS`, drawn in one of `EMOJI_DOMAINS`; no picture is composed yet.

    Raises:
        UnknownNameError: no such data set or domain.
    """
    if name not in EMOJI_DATASETS:
        raise UnknownNameError("bundled data set", name, EMOJI_DATASETS)
    if domain not in EMOJI_DOMAINS:
        raise UnknownNameError("domain", domain, EMOJI_DOMAINS)
    pack = read_pack()
    train, val, test = (_samples(pack, name, domain, split) for split in ("train", "val", "test"))
    return Dataset(name=name, train=train, val=val, test=test, template=TEMPLATE, bundled=f"{name}/{domain}")


def _samples(pack: DrawingPack, name: str, domain: str, split: str) -> tuple[Sample, ...]:
    described = pack.datasets[name]
    return tuple(
        Sample(Scene(name, domain, split, label, index, pack.digest), label, class_name)
        for label, class_name in enumerate(described.class_names)
        for index in range(described.splits[split])
    )
