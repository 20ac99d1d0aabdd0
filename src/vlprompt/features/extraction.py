"""Image features: each image encoded once, whatever asks for it again.

images -> content keys -> rows in the cache -> the rest: pixels -> batches -> encoder -> rows -> cache
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vlprompt.data.images import ImageSource
from vlprompt.data.limits import MAX_PIXELS, check_max_pixels
from vlprompt.errors import SettingsError, UnreadableImagesError
from vlprompt.escaping import as_list
from vlprompt.features.cache import About, cache_folder_if_any, content_key_table, feature_table
from vlprompt.features.content_keys import content_keys, reasons_by_name, view_keys
from vlprompt.features.loading import Blocks, Request, load_blocks
from vlprompt.features.table import Table
from vlprompt.features.transforms import EvaluationTransform, Preprocessing, Transform, ViewTransform
from vlprompt.process.allocator import give_back_freed_memory, keep_freed_memory
from vlprompt.progress import Counting, OnProgress, progress_bars
from vlprompt.settings_checks import plain
from vlprompt.wording import others

SAVE_SECONDS = 20.0
"""How much computing a stopped run may lose."""

_LISTED = 20


class UnreadableImagesWarning(UserWarning):
    """Some images were skipped because they cannot be read."""


class ImageEncoder(Protocol):
    """What the features need of a `vlprompt.backbones.Backbone`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def feature_size(self) -> int: ...
    @property
    def image(self) -> Preprocessing: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def precision(self) -> str: ...
    @property
    def image_code(self) -> str: ...
    def encode_images(self, batch: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Extracted:
    """Features of the images that can be read.

    Attributes:
        values: (n, E), or (n, views, E), float32, not normalised.
        kept: (n,) int64, the places of those images in what was given.
    """

    values: np.ndarray
    kept: np.ndarray


class FeatureExtractor:
    """Computes image features, and keeps them on disk by what determines them.

    Args:
        backbone: the frozen encoder.
        cache: a folder, "default" ($VLPROMPT_CACHE or the user's cache folder), or None to keep nothing.
        batch_size: images encoded at once.
        workers: processes that open and transform images; 0 for none, "auto" for as many as pay.
        on_unreadable: "fail" names all images that cannot be read, "skip" leaves them out with one warning.
        max_pixels: bounds the memory that decoding a picture takes, 8 bytes for each; larger pictures are unreadable.
        progress: a bar on stderr, where that is a terminal.
        on_progress: called with the number of views encoded and of all that must be.

    Raises:
        SettingsError: an option has a value that cannot be used.
    """

    def __init__(
        self,
        backbone: ImageEncoder,
        *,
        cache: str | os.PathLike[str] | None = "default",
        batch_size: int = 64,
        workers: int | str = "auto",
        on_unreadable: str = "fail",
        max_pixels: int = MAX_PIXELS,
        progress: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        batch_size, workers = plain(batch_size), plain(workers)
        _check_settings(batch_size, workers, on_unreadable)
        check_max_pixels(max_pixels)
        self.backbone = backbone
        self.batch_size = batch_size
        self.workers = workers
        self.on_unreadable = on_unreadable
        self.max_pixels = max_pixels
        self.progress = progress
        self.on_progress = on_progress
        self._folder = cache_folder_if_any(cache)
        self._remembered = None if self._folder is None else content_key_table(self._folder)
        self._tables: dict[str, Table] = {}

    def extract(self, images: Sequence[ImageSource]) -> Extracted:
        """Features under the test transform: values (n, E).

        Raises:
            UnreadableImagesError: images that cannot be read, all of them, unless they are skipped.
        """
        extracted = self._features(images, EvaluationTransform(self.backbone.image), (0,), cached=True)
        return Extracted(extracted.values[:, 0], extracted.kept)

    def views(
        self, images: Sequence[ImageSource], count: int, seed: int, *, first: int = 0, cached: bool = True
    ) -> Extracted:
        """Features of augmented views number `first` to `first + count - 1`: values (n, count, E).

        View v of an image depends on its pixels, the seed and v only: not on the file that it is kept in.

        Raises:
            UnreadableImagesError: images that cannot be read, all of them, unless they are skipped.
            SettingsError: `count` is not positive.
        """
        if count < 1:
            raise SettingsError(f"views must be at least 1, not {count}")
        transform = ViewTransform(self.backbone.image, seed)
        return self._features(images, transform, tuple(range(first, first + count)), cached=cached)

    def _features(
        self, images: Sequence[ImageSource], transform: Transform, views: tuple[int, ...], *, cached: bool
    ) -> Extracted:
        keys, failures = content_keys(images, self._remembered)
        readable = np.setdiff1d(np.arange(len(images)), list(failures))
        # Equal images are computed once; taken by content, they also make the same batches in whatever order they come.
        distinct, first, same_as = np.unique(keys[readable], axis=0, return_index=True, return_inverse=True)
        same_as = same_as.reshape(-1)  # NumPy 2.0 gives it another axis
        rows = _Rows(
            keys=view_keys(distinct, transform.seed, views),
            values=np.empty((len(distinct), len(views), self.backbone.feature_size), np.float32),
            table=self._table(transform) if cached else None,
        )
        requests = [
            Request(at, images[readable[first[at]]], tuple(views[v] for v in missing)) for at, missing in rows.missing()
        ]
        unread = self._compute(requests, transform, rows, views[0], already_failed=bool(failures))
        for at, reason in unread.items():
            failures |= dict.fromkeys(readable[same_as == at].tolist(), reason)
        self.report_unreadable(images, failures)
        kept = np.isin(same_as, list(unread), invert=True)
        return Extracted(rows.values[same_as[kept]], readable[kept])

    def _compute(
        self, requests: list[Request], transform: Transform, rows: _Rows, first_view: int, *, already_failed: bool
    ) -> dict[int, str]:
        """Fill in the rows that are requested; returns the reasons of those that cannot be read."""
        wanted = {request.place: request for request in requests}
        blocks = Blocks(_split(requests, self.batch_size), transform, self.max_pixels)
        total = sum(len(request.views) for request in requests)
        failures: dict[int, str] = {}
        done = 0
        with self.reporting(total) as report, rows.saving(), self.kept_memory(total):
            for block in load_blocks(blocks, self.workers, self.cores()):
                failures |= block.failures
                # Once the call is bound to fail, the rest is only opened, to name all that cannot be read at once.
                if self.on_unreadable == "skip" or not (failures or already_failed):
                    features = self._encode(block.pixels, whole_batches=isinstance(transform, ViewTransform))
                    for place in block.places:
                        numbers = np.subtract(wanted[place].views, first_view)
                        rows.fill(place, numbers, features[: len(numbers)])
                        features = features[len(numbers) :]
                done += len(block.pixels) + sum(len(wanted[place].views) for place in block.failures)
                report(done, total)
        return failures

    @contextmanager
    def kept_memory(self, total: int) -> Iterator[None]:
        """Let activations take the memory of earlier ones, on the CPU, while there are images to encode."""
        if not total or self.backbone.device.type != "cpu":
            yield
            return
        keep_freed_memory()
        try:
            yield
        finally:
            if total > self.batch_size:  # to give it back takes as long as a small image
                give_back_freed_memory()

    def _encode(self, pixels: np.ndarray, *, whole_batches: bool) -> np.ndarray:
        """Pixels (B, H, W, 3) uint8 -> features (B, E) float32, in batches of at most `batch_size`.

        The last bits of a feature depend on the size of its batch. What is trained on is therefore encoded in whole
        batches, filled up with black images, so that training gives the same bits whatever the cache held before.
        """
        features = np.empty((len(pixels), self.backbone.feature_size), np.float32)
        for start in range(0, len(pixels), self.batch_size):
            some = pixels[start : start + self.batch_size]
            if whole_batches and len(some) < self.batch_size:
                filling = np.zeros((self.batch_size - len(some), *some.shape[1:]), some.dtype)
                batch = np.concatenate([some, filling])
            else:
                batch = some
            with torch.inference_mode():
                normalised = normalise(torch.from_numpy(batch).to(self.backbone.device), self.backbone.image)
                encoded = self.backbone.encode_images(normalised)[: len(some)]
            features[start : start + len(some)] = encoded.float().cpu().numpy()
        return features

    def report_unreadable(self, images: Sequence[ImageSource], failures: dict[int, str]) -> None:
        """Say which images cannot be read and why, in the way that was chosen.

        Raises:
            UnreadableImagesError: there are some, and they are not skipped.
        """
        if not failures:
            return
        named = reasons_by_name(images, failures)
        if self.on_unreadable == "fail":
            raise UnreadableImagesError(named)
        lines = [as_list([f"{image}: {reason}"]) for image, reason in named.items()]
        more = [f"  and {others(len(lines) - _LISTED)}"] if len(lines) > _LISTED else []
        one = len(failures) == 1
        what = "1 image was skipped because it" if one else f"{len(failures)} images were skipped because they"
        message = "\n".join([f"{what} cannot be read:", *lines[:_LISTED], *more])
        warnings.warn(message, UnreadableImagesWarning, stacklevel=4)

    def _table(self, transform: Transform) -> Table | None:
        if self._folder is None:
            return None
        if transform.name not in self._tables:
            about = About(
                backbone=self.backbone.name,
                fingerprint=self.backbone.fingerprint,
                transform=transform.name,
                precision=self.backbone.precision,
                device=self.backbone.device.type,
                width=self.backbone.feature_size,
                image_code=self.backbone.image_code,
            )
            self._tables[transform.name] = feature_table(self._folder, about)
        table = self._tables[transform.name]
        # Both lie in one folder; one warning about it is enough.
        table.writable &= self._remembered is None or self._remembered.writable
        return table

    def cores(self) -> int:
        """Cores that loading may use: beside a GPU all of them, else those that torch was given."""
        if self.backbone.device.type != "cpu":
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return torch.get_num_threads()

    @contextmanager
    def reporting(self, total: int, title: str = "Image features") -> Iterator[OnProgress]:
        """A bar for so many images, and whoever else is told."""
        tell = self.on_progress or (lambda done, total: None)
        if not self.progress or not total:
            yield tell
            return
        with progress_bars() as board:
            draw = Counting(board, title, "img")

            def draw_and_tell(done: int, total: int) -> None:
                draw(done, total)
                tell(done, total)

            yield draw_and_tell


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, channels last in memory; as torchvision's ToTensor and Normalize."""
    mean = torch.tensor(preprocessing.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(preprocessing.std, device=pixels.device)[:, None, None]
    return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)


@dataclass
class _Rows:
    """The features of one call as they become known, and what of them is not on disk yet."""

    keys: np.ndarray
    """(images, views, 2) uint64"""
    values: np.ndarray
    """(images, views, E) float32"""
    table: Table | None

    def __post_init__(self) -> None:
        images, views, width = self.values.shape
        self._known = np.zeros((images, views), bool)
        self._unsaved = np.zeros((images, views), bool)
        if self.table is not None:
            found = self.table.read(self.keys.reshape(-1, 2), self.values.reshape(-1, width))
            self._known = found.reshape(images, views)
        self._saved_at = time.monotonic()

    def missing(self) -> list[tuple[int, list[int]]]:
        """Images with views that are not known, and the numbers of those."""
        incomplete = np.flatnonzero(~self._known.all(axis=1))
        return [(at, np.flatnonzero(~self._known[at]).tolist()) for at in incomplete.tolist()]

    def fill(self, image: int, views: np.ndarray, features: np.ndarray) -> None:
        """Views of one image have become known."""
        self.values[image, views] = features
        self._unsaved[image, views] = True
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self._save()

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Whatever ends the block, what is known by then is saved."""
        try:
            yield
        finally:
            self._save()

    def _save(self) -> None:
        if self.table is not None:
            self.table.add(self.keys[self._unsaved], self.values[self._unsaved])
        self._unsaved[:] = False
        self._saved_at = time.monotonic()


def _split(requests: list[Request], batch_size: int) -> list[list[Request]]:
    """Requests in runs that make about one batch each."""
    blocks: list[list[Request]] = []
    room = 0
    for request in requests:
        if room < len(request.views) or not blocks:
            blocks.append([])
            room = batch_size
        blocks[-1].append(request)
        room -= len(request.views)
    return blocks


def _check_settings(batch_size: int, workers: int | str, on_unreadable: str) -> None:
    if batch_size < 1:
        raise SettingsError(f"batch_size must be at least 1, not {batch_size}")
    if workers != "auto" and not (isinstance(workers, int) and workers >= 0):
        raise SettingsError(f'workers must be "auto" or a number from 0 on, not {workers!r}')
    if on_unreadable not in ("fail", "skip"):
        raise SettingsError(f'on_unreadable must be "fail" or "skip", not {on_unreadable!r}')
