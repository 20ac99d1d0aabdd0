"""Build the bundled emoji benchmark's pack: Fluent's drawings of its classes, and the manifest.

    python tools/build_emoji_pack.py --packages work/npm --fetch     # install packages, write the pack
    python tools/build_emoji_pack.py --packages work/npm --check     # compare with the committed pack

A category's classes are the things that all three Fluent styles and most training studios draw, in
an order that is shuffled once by a fixed seed: the first half of the labels are the base classes.
One sheet of drawings is written for each data set and style (WebP, lossless). Two runs with the
same versions of resvg-py and Pillow write the same bytes.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import json
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoji_sources import (
    CATEGORIES,
    FLUENT_STYLES,
    TRAINING_STUDIOS,
    Studio,
    Thing,
    fetch,
    load_studios,
    render,
    things,
)

if TYPE_CHECKING:
    from PIL.Image import Image

PACK_VERSION = 1
SEED = 2026
CLASSES = 50
LEAST_STUDIOS = 4
DRAWING_SIZE = 96
COLUMNS = 10
SPLITS = {"train": 32, "val": 8, "test": 30}
PACK = Path(__file__).parents[1] / "src/vlprompt/data/emoji/pack"

# Told apart by left and right, by a colour that scenes change, or by a turn of the same drawing.
_NOT_CLASSES = re.compile(r"tilted|airplane (departure|arrival)|(green|blue|orange) book|oncoming|two hearts")


def choose_classes(category: str, found: list[Thing], studios: dict[str, Studio]) -> list[Thing]:
    """The classes of a category's data set in label order."""
    drawn = {thing: sum(studios[name].icon(thing) is not None for name in TRAINING_STUDIOS) for thing in found}
    fluent = [studios[name] for name in FLUENT_STYLES.values()]
    possible = [
        thing
        for thing in found
        if thing.category == category
        and not thing.is_plant
        and drawn[thing] >= LEAST_STUDIOS
        and not _NOT_CLASSES.search(thing.name)
        and all(studio.icon(thing) for studio in fluent)
    ]
    order = random.Random(f"{SEED} {category}")
    order.shuffle(possible)
    chosen = sorted(possible, key=lambda thing: -drawn[thing])[:CLASSES]
    order.shuffle(chosen)
    return chosen


def sheet(drawings: list[Image]) -> Image:
    """Drawings side by side, `COLUMNS` a row, in label order."""
    from PIL import Image

    rows = -(-len(drawings) // COLUMNS)
    page = Image.new("RGBA", (COLUMNS * DRAWING_SIZE, rows * DRAWING_SIZE))
    for label, drawing in enumerate(drawings):
        row, column = divmod(label, COLUMNS)
        page.paste(drawing, (column * DRAWING_SIZE, row * DRAWING_SIZE))
    return page


def clean(drawing: Image) -> Image:
    """Black where nothing shows, so that equal pictures are equal bytes."""
    from PIL import Image

    empty = Image.new("RGBA", drawing.size)
    empty.paste(drawing, mask=drawing.getchannel("A").point(lambda alpha: 255 * (alpha > 0)))
    return empty


def build(packages: Path, pack: Path) -> None:
    """Write sheets and manifest into the folder `pack`."""
    pack.mkdir(parents=True, exist_ok=True)
    studios = load_studios(packages, (*TRAINING_STUDIOS, *FLUENT_STYLES.values()))
    found = things(packages)
    datasets = {}
    for category in CATEGORIES:
        classes = choose_classes(category, found, studios)
        name = f"emoji-{category}"
        for domain, package in FLUENT_STYLES.items():
            write_sheet(pack / f"{name}-{domain}.webp", classes, studios[package])
        datasets[name] = describe(category, classes)
    write_manifest(pack, packages, datasets)


def write_sheet(path: Path, classes: list[Thing], studio: Studio) -> None:
    icons = [studio.icon(thing) for thing in classes]
    drawings = [clean(render(studio.svg(icon), DRAWING_SIZE)) for icon in icons if icon]
    sheet(drawings).save(path, format="WEBP", lossless=True, quality=100, method=6, exact=True)


def describe(category: str, classes: list[Thing]) -> dict[str, Any]:
    """A data set's entry in the manifest."""
    names = [thing.name for thing in classes]
    if len({name.lower() for name in names}) < len(names):
        raise SystemExit(f"two classes of {category} have the same name")
    return {
        "scene_seed": SEED,
        "splits": SPLITS,
        "classes": [
            {
                "name": thing.name,
                "code_point": thing.code,
                "category": category,
                "domains": list(FLUENT_STYLES),
            }
            for thing in classes
        ],
    }


def write_manifest(pack: Path, packages: Path, datasets: dict[str, Any]) -> None:
    digest = hashlib.sha256()
    for path in sorted(pack.glob("*.webp")):
        digest.update(path.name.encode() + path.read_bytes())
    digest.update(json.dumps(datasets, sort_keys=True).encode())
    manifest = {
        "pack_version": PACK_VERSION,
        "digest": digest.hexdigest()[:16],
        "drawing_size": DRAWING_SIZE,
        "columns": COLUMNS,
        "sources": {domain: _source(packages, package) for domain, package in FLUENT_STYLES.items()},
        "datasets": datasets,
    }
    (pack / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _source(packages: Path, package: str) -> str:
    described = json.loads((packages / "node_modules/@iconify-json" / package / "package.json").read_text())
    return f"{described['name']} {described['version']} ({described['license']})"


def differences(first: Path, second: Path) -> list[str]:
    """Names of files that are not the same bytes in both folders."""
    names = sorted({path.name for folder in (first, second) for path in folder.glob("*.[wj]*")})
    _, different, missing = filecmp.cmpfiles(first, second, names, shallow=False)
    return sorted(different + missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder with node_modules")
    parser.add_argument("--fetch", action="store_true", help="install the pinned packages there first")
    parser.add_argument("--out", type=Path, default=PACK)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the pack would differ")
    options = parser.parse_args()
    if options.fetch:
        fetch(options.packages)
    if not options.check:
        build(options.packages, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        build(options.packages, Path(folder))
        different = differences(Path(folder), options.out)
    if different:
        sys.exit(f"the pack differs from what the packages give: {', '.join(different)}")
    print("the pack is what the packages give, byte for byte")


if __name__ == "__main__":
    main()
