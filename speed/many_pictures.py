"""How the start of a benchmark grows with the pictures that lie there, most of which no run uses.

    python speed/many_pictures.py --trees trees --json many.json

Two trees in ImageNet's layout, of hard links to one small picture a class: 1,280,000 training and 50,000 test
pictures, and a hundredth of them (13,000 and 1,000). In each `vlprompt benchmark base-to-new --methods zero-shot`
starts as a user's would, and is stopped when its first run encodes. Times are of the process from its start, its peak
memory is the system's figure, and `opened` are the files below the tree's training folder that it opened, counted by
an audit hook. The trees are made where they are not there yet, which takes some minutes, and stay.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from PIL import Image

SIZES = {"small": (1000, 13, 1), "large": (1000, 1_280, 50)}
"""Classes, and training and test pictures of each."""

WATCHED = """
import json, os, resource, sys, time
began, trees, figures, out = float(sys.argv[1]), *sys.argv[2:]
opened = [0]
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "/images/train/" in arguments[0]:
        opened[0] += 1
sys.addaudithook(count)
import vlprompt.experiments.queue as queue
start = time.time()
def first_run(*_, **__):
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(figures, "w") as file:
        json.dump({"s": time.time() - began, "peak_bytes": peak, "opened": opened[0]}, file)
    os._exit(0)
queue.compute_here = queue.compute_in_workers = first_run
from vlprompt.__main__ import main
sys.argv[1:] = ["benchmark", "base-to-new", "imagenet", "--root", trees, "--out", out, "--backbone", "mini",
                "--methods", "zero-shot,coop", "--seeds", "1"]
main()
"""
"""The ordinary command, stopped where its first run begins."""


def make_tree(root: Path, classes: int, train: int, test: int) -> None:
    """Hard links in ImageNet's layout, unless they are there."""
    done = root / "complete"
    if done.is_file():
        return
    random = np.random.default_rng(0)
    folder = root / "imagenet"
    names = [f"n{place:08d}" for place in range(classes)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classnames.txt").write_text(
        "".join(f"{name} thing number {word_of(p)}\n" for p, name in enumerate(names))
    )
    for name in names:
        picture = folder / f"{name}.jpg"
        if not picture.exists():
            Image.fromarray(random.integers(0, 255, (48, 64, 3), np.uint8)).save(picture)
        for part, count in (("train", train), ("val", test)):
            there = folder / "images" / part / name
            there.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                if not (path := there / f"{name}_{number}.JPEG").exists():
                    os.link(picture, path)
    done.touch()


def word_of(number: int) -> str:
    """A number in letters, because class names that are numbers are refused."""
    letters = "abcdefghij"
    return " ".join(letters[int(digit)] for digit in str(number))


def start_of(root: Path) -> dict[str, Any]:
    """What the command took until its first run."""
    import json
    import time

    with tempfile.TemporaryDirectory() as out:
        figures = Path(out) / "figures.json"
        command = [sys.executable, "-c", WATCHED, str(time.time()), str(root), str(figures), str(Path(out) / "results")]
        environment = {**os.environ, "VLPROMPT_CACHE": str(Path(out) / "cache")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if not figures.is_file():
            raise SystemExit(f"the benchmark did not start: {done.stderr}")
        return json.loads(figures.read_text())


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0], threads=False)
    options.add_argument("--trees", type=Path, default=Path(tempfile.gettempdir()) / "vlprompt-trees")
    chosen = options.parse_args()
    figures: dict[str, Any] = {}
    for called, (classes, train, test) in SIZES.items():
        make_tree(chosen.trees / called, classes, train, test)
        found = start_of(chosen.trees / called)
        figures |= {f"{called}_pictures": classes * train, f"{called}_test_pictures": classes * test}
        figures |= {f"{called}_{name}": value for name, value in found.items()}
    measuring.report("Start of a benchmark among many pictures", figures, chosen.json)


if __name__ == "__main__":
    main()
