from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.features.small_encoder import random_pixels
from vlprompt.data.images import image_key
from vlprompt.features import content_keys as module
from vlprompt.features.cache import content_key_table
from vlprompt.features.content_keys import content_keys, view_keys

Photos = Callable[..., list[Path]]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was read and hashed; files count as settled at once."""
    read: list[object] = []

    def counting(source: object) -> str:
        read.append(source)
        return image_key(source)

    monkeypatch.setattr(module, "image_key", counting)
    monkeypatch.setattr(module, "SETTLED_NS", 0)
    return read


def test_a_key_is_the_beginning_of_the_images_key(photos: Photos) -> None:
    images = [*photos(2), random_pixels(5)]
    keys, failures = content_keys(images, None)
    assert not failures
    assert [key.tobytes().hex() for key in keys] == [image_key(image)[:32] for image in images]


@pytest.mark.parametrize("count", [3, 60])
def test_a_file_is_read_once_for_all_runs(cache: Path, photos: Photos, hashed: list[object], count: int) -> None:
    images = photos(count)
    first, _ = content_keys(images, content_key_table(cache))
    assert len(hashed) == count
    again, _ = content_keys([str(image) for image in images], content_key_table(cache))
    assert np.array_equal(first, again)
    assert len(hashed) == count


def test_a_changed_file_is_read_again(cache: Path, photos: Photos, hashed: list[object]) -> None:
    (photo, other) = photos(2)
    before, _ = content_keys([photo], content_key_table(cache))
    times = photo.stat()
    photo.write_bytes(other.read_bytes())
    # Even with its old time of change: the inode's own time tells.
    os.utime(photo, ns=(times.st_atime_ns, times.st_mtime_ns))
    after, _ = content_keys([photo], content_key_table(cache))
    assert not np.array_equal(before, after)
    assert np.array_equal(after, content_keys([other], None)[0])


def test_a_file_that_may_still_change_unseen_is_not_remembered(
    cache: Path, photos: Photos, hashed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_NS", 10**12)
    images = photos(1)
    for _ in range(2):
        content_keys(images, content_key_table(cache))
    assert len(hashed) == 2


def test_unreadable_sources_have_a_reason_and_are_not_remembered(
    cache: Path, tmp_path: Path, photos: Photos, hashed: list[object]
) -> None:
    images = [*photos(1), tmp_path / "missing.png", tmp_path, "nul\0byte.png", np.zeros((2, 2, 7), np.uint8), None]
    for _ in range(2):
        _, failures = content_keys(images, content_key_table(cache))
        assert sorted(failures) == [1, 2, 3, 4, 5]
        assert all(failures.values())


def test_relative_paths_mean_the_folder_they_are_used_in(
    cache: Path, tmp_path: Path, hashed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.png").write_text(name)
        monkeypatch.chdir(tmp_path / name)
        keys.append(content_keys(["photo.png"], content_key_table(cache))[0])
    assert not np.array_equal(*keys)


def test_views_have_keys_of_their_own() -> None:
    keys = np.random.default_rng(0).integers(0, 2**64, (20, 2), dtype=np.uint64)
    rows = np.concatenate([view_keys(keys, seed, range(5)).reshape(-1, 2) for seed in (1, 2)])
    assert len(np.unique(rows, axis=0)) == 200
    assert np.array_equal(view_keys(keys, 1, range(5))[:, 3:], view_keys(keys, 1, (3, 4)))
