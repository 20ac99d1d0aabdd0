"""From image sources to blocks of pixels, in worker processes where they win.

A block is computed the same way whoever computes it, and blocks come in order, so that nothing depends on the number
of workers. With "auto" the first blocks are loaded here and timed, and workers start only when they save more than
they cost.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vlprompt.data.apart import PictureProcess
from vlprompt.data.images import ImageSource, needs_room, open_image, sampled_pixel_key
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.errors import UnreadableImageError
from vlprompt.features.transforms import Transform, as_plain, from_plain

WORTH_WORKERS_SECONDS = 0.3
"""Loading time that workers must be expected to save before "auto" starts them; to fork and feed them takes 0.15 s."""

MOST_WORKERS = 16

KEY_DIGITS = 32
"""Of a pixel key, in the seed of views."""

_TIMED_BLOCKS = 2


@dataclass(frozen=True)
class Request:
    """Some views of one image.

    Attributes:
        place: of the image in what the caller was given.
        views: their numbers.
    """

    place: int
    source: ImageSource
    views: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Pixels of several requests, one after the other.

    Attributes:
        places: of the images that were read.
        pixels: (views of all requests, size, size, 3) uint8.
        failures: why the other images could not be read, by their place.
    """

    places: list[int]
    pixels: np.ndarray
    failures: dict[int, str]


@dataclass(frozen=True)
class Blocks:
    """All blocks of a call as a sequence; a torch `Dataset` by shape."""

    requests: Sequence[Sequence[Request]]
    transform: Transform
    max_pixels: int = MAX_PIXELS

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> Block:
        return load_block(self.requests[index], self.transform, self.max_pixels)


def load_block(requests: Sequence[Request], transform: Transform, max_pixels: int = MAX_PIXELS) -> Block:
    """Open each image once and cut its views; large ones in a process of their own."""
    places, failures = [], {}
    pixels: list[np.ndarray] = []
    plain = as_plain(transform)
    with PictureProcess(max_pixels) as apart:
        for request in requests:
            try:
                if plain is not None and needs_room(request.source):
                    cut = apart.call(cut_views_of, request.source, transform=plain, views=request.views)
                else:
                    cut = cut_views(open_image(request.source, max_pixels), transform, request.views)
            except UnreadableImageError as error:
                failures[request.place] = error.reason
            else:
                places.append(request.place)
                pixels.append(cut)
    return Block(places, np.concatenate(pixels) if pixels else np.empty((0, 1, 1, 3), np.uint8), failures)


def cut_views(image: Image.Image, transform: Transform, views: Sequence[int]) -> np.ndarray:
    """Views of an opened image: (views, size, size, 3) uint8."""
    # What is random follows from what the picture shows, so that it does not matter how it is stored.
    key = sampled_pixel_key(image)[:KEY_DIGITS] if transform.is_random else ""
    return np.stack([transform.pixels(image, key, view) for view in views])


def cut_views_of(
    source: ImageSource, *, max_pixels: int, transform: dict[str, Any], views: Sequence[int]
) -> np.ndarray:
    """`cut_views` of an image that is not opened yet, with a transform as `as_plain` describes it."""
    return cut_views(open_image(source, max_pixels), from_plain(transform), views)


def load_blocks(blocks: Blocks, workers: int | str, cores: int) -> Iterator[Block]:
    """All blocks in order.

    Args:
        workers: how many processes; 0 loads in this one, "auto" decides by the time that the first blocks take.
        cores: how many workers "auto" may start.
    """
    if isinstance(workers, int):
        yield from _load(blocks, 0, workers)
        return
    seconds = 0.0
    for index in range(min(_TIMED_BLOCKS, len(blocks))):
        began = time.perf_counter()
        block = blocks[index]
        # The last one counts: the first may open what all share, such as a pack of drawings.
        seconds = time.perf_counter() - began
        yield block
    rest = len(blocks) - _TIMED_BLOCKS
    yield from _load(blocks, _TIMED_BLOCKS, _workers_worth_starting(rest * seconds, rest, cores))


def _workers_worth_starting(seconds: float, blocks: int, cores: int) -> int:
    """How many workers to start for so many seconds of loading; 0 for none."""
    workers = min(cores, MOST_WORKERS, blocks)
    # Only forking needs no guard in the user's script.
    if workers < 2 or _start_method() != "fork" or _may_have_no_children():
        return 0
    return workers if seconds * (1 - 1 / workers) > WORTH_WORKERS_SECONDS else 0


def _load(blocks: Blocks, start: int, workers: int) -> Iterator[Block]:
    rest = range(start, len(blocks))
    if workers == 0 or not rest or _may_have_no_children():
        yield from (blocks[index] for index in rest)
        return
    import torch
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():
        # Forking beside torch's threads is safe here: workers use Pillow and NumPy only. More workers than cores is
        # the user's own choice.
        warnings.simplefilter("ignore")
        loader: DataLoader[Block] = DataLoader(
            blocks,  # type: ignore[arg-type]
            batch_size=None,
            sampler=rest,
            num_workers=workers,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            multiprocessing_context=_start_method(),
            # Else it would draw from the global generator, and training would depend on the number of workers.
            generator=torch.Generator(),
        )
        iterator = iter(loader)
    yield from iterator


def _start_method() -> str:
    return "fork" if sys.platform == "linux" else "spawn"


def _may_have_no_children() -> bool:
    return multiprocessing.current_process().daemon


def _as_it_is(block: Block) -> Block:
    return block
