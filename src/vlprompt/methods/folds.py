"""Cross-validation on the few labelled pictures, for the figures that a head cannot know beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

FOLDS = 5

Candidate = TypeVar("Candidate")


def stratified_folds(labels: Tensor, seed: int, folds: int = FOLDS) -> Iterator[tuple[Tensor, Tensor]]:
    """Places (n - m,) to learn from and (m,) to look at, fold by fold; every class is always among the first.

    The pictures of each class are dealt out to the folds in a random order. A class with a single picture is only ever
    learned from. No fold at all where every class has a single picture.

    Args:
        labels: (n,).
        seed: of the order.
        folds: at most so many; fewer where no class has as many pictures.
    """
    stream = torch.Generator().manual_seed(seed)
    labels = labels.cpu()
    counts = labels.bincount()
    folds = min(folds, int(counts.max()))
    if folds < 2:
        return
    fold_of = torch.full((len(labels),), -1)
    dealt = 0
    for label in counts.nonzero().flatten().tolist():
        places = (labels == label).nonzero().flatten()
        if len(places) > 1:
            places = places[torch.randperm(len(places), generator=stream)]
            # Going on where the class before ended keeps the folds equally large.
            fold_of[places] = (torch.arange(len(places)) + dealt) % folds
            dealt += len(places)
    for fold in range(folds):
        if bool((fold_of == fold).any()):
            yield (fold_of != fold).nonzero().flatten(), (fold_of == fold).nonzero().flatten()


@dataclass(frozen=True)
class Chosen(Generic[Candidate]):
    """A candidate, and how it did on the pictures that were held out.

    Attributes:
        value: the candidate.
        hits: (m,) whether it names each held-out picture right, fold by fold; empty where the default was taken.
    """

    value: Candidate
    hits: Tensor

    @property
    def right(self) -> int:
        """Held-out pictures that it names right."""
        return int(self.hits.sum())

    @property
    def seen(self) -> int:
        """All held-out pictures; 0 where the default was taken."""
        return len(self.hits)


def choose(
    candidates: Sequence[Candidate],
    features: Tensor,
    labels: Tensor,
    seed: int,
    logits_of: Callable[[Tensor, Tensor, Tensor], Sequence[Tensor]],
    default: Candidate,
) -> Chosen[Candidate]:
    """The candidate that names most held-out pictures right; of equal ones the first.

    The cross-entropy would not do: a head that is right is often far too sure, and would lose to one that is not.

    Args:
        candidates: the most cautious first.
        features: (n, E), L2-normalised.
        labels: (n,).
        logits_of: training features, training labels and held-out features (m, E) -> logits (m, N) for each candidate.
        default: where the pictures are too few to hold any out.
    """
    hits: list[list[Tensor]] = [[] for _ in candidates]
    for learn, look in stratified_folds(labels, seed):
        for of_candidate, logits in zip(hits, logits_of(features[learn], labels[learn], features[look]), strict=True):
            of_candidate.append((logits.argmax(1) == labels[look]).cpu())
    if not hits[0]:
        return Chosen(default, torch.empty(0, dtype=torch.bool))
    joined = [torch.cat(of_candidate) for of_candidate in hits]
    right = [int(of_candidate.sum()) for of_candidate in joined]
    best = right.index(max(right))
    return Chosen(candidates[best], joined[best])
