"""Small pictures on disk for the tests of the data room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

WritePicture = Callable[..., Path]


@pytest.fixture
def write_picture(tmp_path: Path) -> WritePicture:
    """Writes a 6 x 4 picture of one colour below the test's folder and gives its path."""

    def write(name: str, colour: str = "red") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), colour).save(path)
        return path

    return write


@pytest.fixture
def write_folder(write_picture: WritePicture, tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of class folders: `write_folder("pets", cat=3, dog=2)`."""

    def write(name: str, **counts: int) -> Path:
        for class_name, count in counts.items():
            for place in range(count):
                write_picture(f"{name}/{class_name}/{place}.png")
        return tmp_path / name

    return write
