"""What an experiment must know of its protocol: which classes are trained on, and which named tests follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError
from vlprompt.experiments.method_run import MethodRun
from vlprompt.methods.declarations import Declaration, methods_with_open_names


@dataclass(frozen=True)
class Question:
    """What some method runs are compared for, as a table of its own."""

    title: str
    runs: tuple[MethodRun, ...]


class Protocol(ABC):
    """A way to train and test; each is one file in `vlprompt.protocols`.

    Most train and test on every data set of a plan by itself: `trained` and `tests` say how. One that trains on some
    of them and tests on others says which by `sources` and `targets`.

    Attributes:
        name: as commands and records call it.
        title: in a few words, for lists.
        paper: where it was published.
        shots: training images a class, the published numbers.
        note: what the columns of its table are, where the names of the tests do not say it.
        methods: that take part by default, with commas; "all" for every one that can.
        takes_auto: whether method="auto" can take part: it chooses for the classes that it has pictures of.
        needs_open_names: whether every method must name classes that it has no pictures of; otherwise one that cannot
            is tested where all names are trained ones.
        keeps_words: whether records have the nearest words of learned context vectors.
        questions: named lists of method runs, which `methods` may name.
        beside_imagenet: the published data sets that a plan of ImageNet alone is tested on, too.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    shots: ClassVar[tuple[int, ...]]
    note: ClassVar[str] = ""
    methods: ClassVar[str] = "zero-shot,coop,cocoop"
    takes_auto: ClassVar[bool] = True
    needs_open_names: ClassVar[bool] = False
    keeps_words: ClassVar[bool] = False
    questions: ClassVar[Mapping[str, Question]] = {}
    beside_imagenet: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def trained(self, dataset: Dataset) -> Dataset:
        """The classes that are trained on, relabelled from 0."""

    @abstractmethod
    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        """By name the data sets whose test images are named, over their own classes."""

    def completed(self, datasets: tuple[str | Path | Dataset, ...]) -> tuple[str | Path | Dataset, ...]:
        """The data sets of a plan, with those that were published beside them."""
        return (*datasets, *self.beside_imagenet) if datasets == ("imagenet",) else datasets

    def sources(self, datasets: Mapping[str, Dataset]) -> list[str]:
        """The names of the plan's data sets that are trained on, each by itself.

        Raises:
            DataError: there is nothing to test on beside them.
        """
        return list(datasets)

    def targets(self, source: str, datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
        """By name the other data sets on which what learned from a source is tested, too.

        Args:
            datasets: the source and others of the plan.

        Raises:
            DataError: one of them is no target of the source.
        """
        return {}

    def all_tests(self, source: str, datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
        """The tests that follow training on a source: of the data set itself, and of its targets."""
        return {**self.tests(datasets[source]), **self.targets(source, datasets)}

    def columns(self, accuracies: Mapping[str, float]) -> dict[str, float]:
        """What a table shows of accuracies by test, each perhaps a mean: these, and what follows from them."""
        return dict(accuracies)

    def refusal(self, method: Declaration, options: object = None) -> str | None:
        """Why a method cannot take part, to follow "method NAME"; None for one that can.

        Args:
            options: of the method; None for its published ones.
        """
        if not self.needs_open_names:
            return None
        if not method.open_names:
            return (
                f"names only classes that it has pictures of, and {self.name} tests on classes without any; leave it "
                f"out, or take one of {', '.join(methods_with_open_names())}"
            )
        if getattr(options, "class_specific", False):
            return (
                "has class_specific contexts, which cannot be carried over to new classes; leave class_specific out of "
                f"a {self.name} benchmark"
            )
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
