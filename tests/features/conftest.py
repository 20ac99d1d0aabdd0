from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.features.small_encoder import SmallEncoder, random_pixels


@pytest.fixture
def encoder() -> SmallEncoder:
    return SmallEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., list[Path]]:
    """Makes PNG files of noise: `photos(3)` or `photos(2, first=3)`."""
    folder = tmp_path / "photos"
    folder.mkdir()

    def make(count: int, first: int = 0) -> list[Path]:
        paths = []
        for seed in range(first, first + count):
            paths.append(folder / f"{seed:03}.png")
            Image.fromarray(random_pixels(seed)).save(paths[-1])
        return paths

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default cache folder, empty, in place of the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VLPROMPT_CACHE", str(folder))
    return folder
