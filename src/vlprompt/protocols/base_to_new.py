"""Base to new classes: train on the first half of the classes, test on them and on the other half.

As published with CoCoOp (arXiv 2203.05557, section 4.1): a few images of every class are drawn, those of the base half
are trained on, and the new half's names are put into the same learned prompt. Each half is tested among its own names,
as published, and the test `all` puts the pictures of both before the names of both.
"""

from __future__ import annotations

from vlprompt.data.samples import Dataset
from vlprompt.data.splits import select_half
from vlprompt.errors import DataError
from vlprompt.experiments.protocol import Protocol


class BaseToNew(Protocol):
    """Only for methods that take names without pictures."""

    name = "base-to-new"
    title = "train on half of the classes, test on both halves"
    paper = "Conditional Prompt Learning for Vision-Language Models (Zhou et al. 2022, arXiv 2203.05557), section 4.1"
    shots = (16,)
    takes_auto = False
    needs_open_names = True

    def trained(self, dataset: Dataset) -> Dataset:
        return select_half(dataset, "base")

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        return {"base": select_half(dataset, "base"), "new": select_half(dataset, "new"), "all": dataset}

    def shots_of_untrained(self, shots: int) -> int:
        return shots  # so results have been kept since the first release

    def check(self, dataset: Dataset) -> None:
        base, new = select_half(dataset, "base"), select_half(dataset, "new")
        if len(base.class_names) < 2 or not new.class_names:
            raise DataError(
                f"data set {dataset.name} has {len(dataset.class_names)} classes; {self.name} needs at least 3, two of "
                "them to train on"
            )
        super().check(dataset)


BASE_TO_NEW = BaseToNew()
