"""200 pictures on a laptop: `vlprompt fit` with CoCoOp, the first version's default, and with another method.

    python speed/laptop.py --method auto --earlier 7531b87 --json laptop.json

Each fit is the command as a user runs it, a new process with an empty feature cache: `before` is CoCoOp, `after` the
method asked for, `earlier` CoCoOp with the sources of an earlier commit. With `--shots 16`, fit's default, 48 of the
pictures are trained on and the rest tested; with `--shots null` all are trained on. Drawn pictures in three classes,
ViT-B/16's shapes with random weights: the times are those of a real model, the accuracies say nothing. Processor time
is the user's and the system's of all processes together, so other programs beside do not spoil it; with one thread
(`--threads 1`) nothing spins while it waits.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import open_clip
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from vlprompt.features.cache import cache_info

BEFORE, MINI = "cocoop", "mini"

CLASSES = {"triangle": 3, "square": 4, "hexagon": 6}
"""Names and their numbers of sides."""

SIZE = (500, 375)


def draw_pictures(folder: Path, count: int) -> None:
    """So many pictures, shared evenly among the folders of the classes: a polygon on noise."""
    generator = np.random.default_rng(0)
    for number in range(count):
        name, sides = list(CLASSES.items())[number % len(CLASSES)]
        picture = Image.fromarray(generator.integers(0, 256, (*reversed(SIZE), 3), dtype=np.uint8))
        radius, colour = int(generator.integers(40, 120)), tuple(generator.integers(0, 256, 3).tolist())
        centre = (int(generator.integers(radius, most - radius)) for most in SIZE)
        ImageDraw.Draw(picture).regular_polygon((*centre, radius), sides, fill=colour)
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture.save(folder / name / f"{number}.jpg")


def random_weights(architecture: str, folder: Path) -> str:
    """The backbone's name for `--backbone`: random weights of the architecture in a file; `mini` is bundled."""
    if architecture == MINI:
        return MINI
    torch.manual_seed(0)
    weights = folder / "weights.safetensors"
    save_file(open_clip.create_model(architecture).state_dict(), weights)
    return f"{architecture}@{weights}"


def sources_of(commit: str, folder: Path) -> Path:
    """The package's sources as they were at a commit."""
    command = ["git", "-C", str(Path(__file__).parent.parent), "archive", commit, "src"]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def fit(method: str, options: list[str], threads: int, sources: Path | None = None) -> dict[str, float]:
    """Figures of one `vlprompt fit` in a new process with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        environment = os.environ | {"VLPROMPT_CACHE": str(cache), "OMP_NUM_THREADS": str(threads)}
        if sources is not None:
            environment["PYTHONPATH"] = str(sources)
        command = [sys.executable, "-m", "vlprompt", "fit", *options, "--method", method, "--out", f"{folder}/model"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        first, status = first_line(command, environment)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with exit code {status}.")
        user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
        figures = {
            "processor_s": user + system,
            "wall_s": seconds,
            "kernel": system / (user + system),
            "first_line_s": first - began,
        }
        if sources is None:  # the layout of an earlier cache may be another
            figures["encodings"] = float(sum(entry.rows for entry in cache_info(cache).entries))
        return figures


def first_line(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """When a piped command has written its first line of progress, and its exit code."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        first = time.perf_counter()
        rest = process.stderr.read()
    if process.returncode:
        sys.stderr.buffer.write(line + rest)
    return first, process.returncode


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Medians of all fits, in turn."""
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        draw_pictures(pictures, chosen.pictures)
        options = [str(pictures), "--backbone", random_weights(chosen.model, Path(folder)), "--shots", chosen.shots]
        ways: dict[str, tuple[str, Path | None]] = {"before": (BEFORE, None), "after": (chosen.method, None)}
        if chosen.earlier:
            ways["earlier"] = (BEFORE, sources_of(chosen.earlier, Path(folder)))
        for _ in range(chosen.rounds):
            for way, (method, sources) in ways.items():
                rows.setdefault(way, []).append(fit(method, options, chosen.threads, sources))
    figures: dict[str, Any] = {"pictures": chosen.pictures, "shots": chosen.shots, "method": chosen.method}
    for way, found in rows.items():
        figures |= {f"{way}_{name}": statistics.median(row[name] for row in found) for name in found[0]}
    for way in rows.keys() - {"after"}:
        figures[f"{way}_ratio"] = figures[f"{way}_processor_s"] / figures["after_processor_s"]
    figures["encodings_per_picture"] = figures["after_encodings"] / chosen.pictures
    return figures


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.set_defaults(rounds=1)
    options.add_argument("--model", default="ViT-B-16", help="an architecture of OpenCLIP's, or mini")
    options.add_argument("--method", default="auto", help="the method beside CoCoOp")
    options.add_argument("--pictures", type=int, default=200)
    options.add_argument("--shots", default="16", help="as fit's: pictures a class to train on, or null for all")
    options.add_argument("--earlier", metavar="COMMIT", help="also CoCoOp with the sources of this commit")
    chosen = options.parse_args()
    title = f"Fitting {chosen.pictures} pictures in 3 classes, {chosen.model}, {chosen.threads} threads"
    measuring.report(title, measure(chosen), chosen.json)


if __name__ == "__main__":
    main()
