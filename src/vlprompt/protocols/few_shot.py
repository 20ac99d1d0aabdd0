"""Few shots of all classes: train on 1, 2, 4, 8 and 16 images a class, test on other images of the same classes.

As published with CoOp (arXiv 2109.01134, section 4.1), where it compares prompts with a linear probe. The test images
of a bundled data set show the drawings that were trained on, in other scenes, which flatters heads; so these are also
tested on the same scenes in the other styles of drawing.
"""

from __future__ import annotations

from vlprompt.data.emoji.styles import other_styles
from vlprompt.data.samples import Dataset
from vlprompt.experiments.protocol import Protocol


class FewShot(Protocol):
    """For all methods."""

    name = "few-shot"
    title = "train on 1 to 16 images of every class, test on the same classes"
    paper = "Learning to Prompt for Vision-Language Models (Zhou et al. 2021, arXiv 2109.01134), section 4.1"
    shots = (1, 2, 4, 8, 16)
    methods = "all"

    def trained(self, dataset: Dataset) -> Dataset:
        return dataset

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        return {"test": dataset, **other_styles(dataset)}


FEW_SHOT = FewShot()
