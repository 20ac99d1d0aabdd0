"""Which images make a step: the published loader's random order, short batch and dropped rest."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

Group = tuple[slice, ...]
"""The batches of one step, as slices of the epoch's order."""


def plan_steps(count: int, batch_size: int, accumulate: int = 1) -> list[Group]:
    """The steps of one epoch over `count` images, each a group of up to `accumulate` batches.

    A group is what one batch of `batch_size * accumulate` images would be. As published, images beyond the last full
    group are left out of the epoch, unless there is not even one full group: then all images make one short group.
    """
    size = batch_size * accumulate
    if count < size:
        return [_batches(0, count, batch_size)]
    return [_batches(start, start + size, batch_size) for start in range(0, count - size + 1, size)]


def _batches(start: int, stop: int, batch_size: int) -> Group:
    return tuple(slice(first, min(first + batch_size, stop)) for first in range(start, stop, batch_size))


def epoch_seed(seed: int, epoch: int, purpose: str) -> int:
    """A seed of 63 bits for one purpose in one epoch, so that an epoch needs no state of the epochs before it."""
    digest = hashlib.blake2b(f"{purpose}/{seed}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """A random order (count,) of the images, which depends on seed and epoch only."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch, "order"))
    return torch.randperm(count, generator=generator)
