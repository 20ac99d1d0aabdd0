"""The pack's builder on a handful of made-up drawings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools.tool_modules import tool

pytest.importorskip("resvg_py")
builder = tool("build_emoji_pack")
sources = tool("emoji_sources")

THINGS = {
    "🍎": ("red apple", "Food & Drink"),
    "🍋": ("lemon", "Food & Drink"),
    "🐱": ("cat face", "Animals & Nature"),
    "🌹": ("rose", "Animals & Nature"),
    "🚲": ("bicycle", "Travel & Places"),
    "🕐": ("one o’clock", "Travel & Places"),
    "🔑": ("key", "Objects"),
    "⚽": ("soccer ball", "Activities"),
    "😀": ("grinning face", "Smileys & Emotion"),
    "❤️": ("red heart", "Smileys & Emotion"),
}


def icon(name: str, colour: str) -> dict[str, str]:
    """A disc with a bar at a height that depends on the name."""
    bar = sum(map(ord, name)) % 20
    return {"body": f'<circle cx="16" cy="16" r="13" fill="{colour}"/><path d="M6 {bar + 5}h20v3H6z" fill="#123"/>'}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    modules = tmp_path / "npm" / "node_modules"
    table = {emoji: {"name": name, "group": group} for emoji, (name, group) in THINGS.items()}
    write(modules / "unicode-emoji-json/data-by-emoji.json", table)
    names = [name.replace(" ", "-").replace("’", "") for name, _ in THINGS.values()]
    for number, studio in enumerate((*sources.TRAINING_STUDIOS, *sources.FLUENT_STYLES.values())):
        folder = modules / "@iconify-json" / studio
        icons = {name: icon(name, f"#{number:x}8c") for name in names}
        write(folder / "icons.json", {"width": 32, "height": 32, "icons": icons})
        write(folder / "package.json", {"name": studio, "version": "1", "license": "MIT"})
    return tmp_path / "npm"


def test_building_twice_gives_the_same_bytes(packages: Path, tmp_path: Path) -> None:
    builder.build(packages, tmp_path / "first")
    builder.build(packages, tmp_path / "second")
    assert len(list((tmp_path / "first").iterdir())) == 6 * 3 + 1
    assert builder.differences(tmp_path / "first", tmp_path / "second") == []


def test_a_changed_or_missing_file_is_a_difference(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        for name in ("emoji-food-flat.webp", "emoji-food-3d.webp", "manifest.json"):
            write(tmp_path / folder / name, name)
    (tmp_path / "second/emoji-food-flat.webp").write_bytes(b"")
    (tmp_path / "second/emoji-food-3d.webp").unlink()
    assert builder.differences(tmp_path / "first", tmp_path / "second") == [
        "emoji-food-3d.webp",
        "emoji-food-flat.webp",
    ]


def test_clocks_hearts_and_plants_are_no_classes(packages: Path) -> None:
    found = sources.things(packages)
    studios = sources.load_studios(packages, (*sources.TRAINING_STUDIOS, *sources.FLUENT_STYLES.values()))
    names = {
        thing.name for category in sources.CATEGORIES for thing in builder.choose_classes(category, found, studios)
    }
    assert names == {"red apple", "lemon", "cat face", "bicycle", "key", "soccer ball", "grinning face"}


def test_a_sheet_holds_the_rendered_drawings_losslessly(packages: Path, tmp_path: Path) -> None:
    apple, lemon, *_ = sources.things(packages)
    studio = sources.load_studios(packages, ("fluent-emoji-flat",))["fluent-emoji-flat"]
    builder.write_sheet(tmp_path / "sheet.webp", [lemon, apple], studio)
    drawn = np.asarray(builder.clean(sources.render(studio.svg("lemon"), 96)))
    with Image.open(tmp_path / "sheet.webp") as sheet:
        np.testing.assert_array_equal(np.asarray(sheet.convert("RGBA"))[:96, :96], drawn)


def test_the_lock_file_names_versions_and_checksums_but_no_host() -> None:
    lock = json.loads((sources.LOCK_FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    for name, entry in lock["packages"].items():
        if name:
            assert entry["integrity"].startswith("sha512-")
            assert "resolved" not in entry
