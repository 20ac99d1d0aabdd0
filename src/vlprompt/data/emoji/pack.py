"""Reading the pack of drawings: a manifest, and one sheet (lossless WebP) a data set and style."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DatasetEntry:
    """What the manifest says of one data set, classes in label order."""

    class_names: tuple[str, ...]
    code_points: tuple[str, ...]
    splits: dict[str, int]
    """Scenes a class, by split."""
    scene_seed: int


@dataclass(frozen=True)
class DrawingPack:
    """The manifest. `digest` changes whenever a drawing, a class or a split does."""

    digest: str
    drawing_size: int
    columns: int
    datasets: dict[str, DatasetEntry]


@functools.cache
def read_pack() -> DrawingPack:
    """The manifest, read once a process."""
    manifest = json.loads(_folder().joinpath("manifest.json").read_text(encoding="utf-8"))
    datasets = {name: _entry(described) for name, described in manifest["datasets"].items()}
    return DrawingPack(
        digest=f"{manifest['pack_version']}-{manifest['digest']}",
        drawing_size=manifest["drawing_size"],
        columns=manifest["columns"],
        datasets=datasets,
    )


@functools.cache
def drawings(dataset: str, domain: str) -> NDArray[np.uint8]:
    """All drawings of a data set in label order, (N, S, S, 4) RGBA, decoded once a process."""
    from PIL import Image

    pack = read_pack()
    with _folder().joinpath(f"{dataset}-{domain}.webp").open("rb") as file:
        sheet = np.asarray(Image.open(file).convert("RGBA"))
    size, columns = pack.drawing_size, pack.columns
    rows = sheet.shape[0] // size
    tiles = sheet.reshape(rows, size, columns, size, 4).swapaxes(1, 2).reshape(-1, size, size, 4)
    tiles = np.ascontiguousarray(tiles[: len(pack.datasets[dataset].class_names)])
    tiles.flags.writeable = False
    return tiles


def _folder() -> Any:
    return resources.files("vlprompt.data.emoji") / "pack"


def _entry(described: dict[str, Any]) -> DatasetEntry:
    return DatasetEntry(
        class_names=tuple(entry["name"] for entry in described["classes"]),
        code_points=tuple(entry["code_point"] for entry in described["classes"]),
        splits=dict(described["splits"]),
        scene_seed=described["scene_seed"],
    )
