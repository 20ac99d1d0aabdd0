"""Few shots of all classes: train on 1, 2, 4, 8 and 16 images a class, test on other images of the same classes.

As published with CoOp (arXiv 2109.01134, section 4.1), where it compares prompts with a linear probe. The test images
of a bundled data set show the drawings that were trained on, in other scenes, which flatters heads; so these are also
tested on the same scenes in the other styles of drawing.
"""

from __future__ import annotations

from dataclasses import replace

from vlprompt.data.samples import Dataset
from vlprompt.experiments.protocol import Protocol


class FewShot(Protocol):
    """For all methods."""

    name = "few-shot"
    title = "train on 1 to 16 images of every class, test on the same classes"
    paper = "Learning to Prompt for Vision-Language Models (Zhou et al. 2021, arXiv 2109.01134), section 4.1"
    shots = (1, 2, 4, 8, 16)

    def trained(self, dataset: Dataset) -> Dataset:
        return dataset

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        return {"test": dataset, **_other_styles(dataset)}


FEW_SHOT = FewShot()


def _other_styles(dataset: Dataset) -> dict[str, Dataset]:
    """The test scenes of a whole bundled data set in the styles that are not its own; nothing for other data."""
    from vlprompt.data.emoji import EMOJI_DATASETS, EMOJI_DOMAINS, load_emoji

    bundled, _, own = dataset.bundled.partition("/")
    if bundled not in EMOJI_DATASETS or own not in EMOJI_DOMAINS:
        return {}
    styles = {style: load_emoji(bundled, style) for style in EMOJI_DOMAINS if style != own}
    return {
        style: replace(drawn, class_words=dataset.class_words)
        for style, drawn in styles.items()
        if drawn.class_names == dataset.class_names
    }
