"""What an experiment must know of its protocol: which classes are trained on, and which named tests follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError
from vlprompt.methods.declarations import Declaration


class Protocol(ABC):
    """A way to train and test; each is one file in `vlprompt.protocols`.

    Attributes:
        name: as commands and records call it.
        title: in a few words, for lists.
        paper: where it was published.
        shots: training images a class, the published numbers.
        takes_auto: whether method="auto" can take part: it chooses for the classes that it has pictures of.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    shots: ClassVar[tuple[int, ...]]
    takes_auto: ClassVar[bool] = True

    @abstractmethod
    def trained(self, dataset: Dataset) -> Dataset:
        """The classes that are trained on, relabelled from 0."""

    @abstractmethod
    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        """By name the data sets whose test images are named, over their own classes."""

    def refusal(self, method: Declaration, options: object = None) -> str | None:
        """Why a method cannot take part, to follow "method NAME"; None for one that can.

        Args:
            options: of the method; None for its published ones.
        """
        return None

    def shots_of_untrained(self, shots: int) -> int:
        """Under which number of shots a method has its one result that uses no training images."""
        return 0

    def check(self, dataset: Dataset) -> None:
        """Raise DataError for a data set that cannot be trained and tested on."""
        if not self.trained(dataset).train:
            raise DataError(f"data set {dataset.name} has no training images of the classes that {self.name} trains on")
        for test, part in self.tests(dataset).items():
            if not part.test:
                raise DataError(f"data set {dataset.name} has no test images for the test {test} of {self.name}")
