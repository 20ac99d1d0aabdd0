"""Cross-validation on the few labelled pictures, for the figures that a head cannot know beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from vlprompt.methods.output import HeldOut

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
    """A candidate, and how it did on the pictures that were held out; None where the default was taken."""

    value: Candidate
    held_out: HeldOut | None


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
    folds = list(stratified_folds(labels, seed))
    if not folds:
        return Chosen(default, None)
    predicted: list[list[Tensor]] = [[] for _ in candidates]
    for learn, look in folds:
        found = logits_of(features[learn], labels[learn], features[look])
        for of_candidate, logits in zip(predicted, found, strict=True):
            of_candidate.append(logits.argmax(1).cpu())
    places = torch.cat([look for _, look in folds])
    tried = [HeldOut(places, labels.cpu()[places], torch.cat(of_candidate)) for of_candidate in predicted]
    right = [int(one.hits.sum()) for one in tried]
    best = right.index(max(right))
    return Chosen(candidates[best], tried[best])
