"""Where the emoji drawings come from: studios, their packages, and which icon draws which thing.

The packages are those of the npm registry, in the versions of ``emoji_sources/package-lock.json``
(which also holds their checksums). `fetch` installs them with the plain npm client.
"""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import subprocess
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK_FOLDER = Path(__file__).parent / "emoji_sources"

TRAINING_STUDIOS = (
    "noto",
    "twemoji",
    "openmoji",
    "emojione",
    "emojione-v1",
    "fxemoji",
    "noto-v1",
    "streamline-emojis",
)
"""Studios whose drawings mini-CLIP is trained on. Fluent is never among them."""

FLUENT_STYLES = {
    "flat": "fluent-emoji-flat",
    "3d": "fluent-emoji",
    "high-contrast": "fluent-emoji-high-contrast",
}
"""Domain of the benchmark -> package."""

CATEGORIES = ("food", "animals", "travel", "objects", "activities", "faces")

_GROUPS = {
    "Food & Drink": "food",
    "Animals & Nature": "animals",
    "Travel & Places": "travel",
    "Objects": "objects",
    "Activities": "activities",
    "Smileys & Emotion": "faces",
}

# Clock faces, moons, hearts, buttons and speech balloons; skin and flags are in other groups.
_LEFT_OUT = re.compile(
    r"o’clock|-thirty|moon(?! cake| viewing)|heart(?!-eyes)|\bsuit\b|balloon$|bubble$|"
    r"^kiss mark|hundred points|anger|fight cloud|^collision|^dizzy$|sweat droplets|dashing away|"
    r"^hole$|^ZZZ|speaker|arrow|yen|euro|pound|with lowered flag|^face in clouds|e-mail|"
    r"placard|love letter|inbox|outbox|^label$|oncoming|^link$|locked with|bell with slash|globe showing A"
)
_KEPT = {"smiling face with hearts", "balloon"}

_PLANTS = frozenset(
    "bouquet,cherry blossom,white flower,lotus,rosette,rose,wilted flower,hibiscus,sunflower,"  # noqa: SIM905
    "blossom,tulip,hyacinth,seedling,potted plant,evergreen tree,deciduous tree,palm tree,cactus,"
    "sheaf of rice,herb,shamrock,four leaf clover,maple leaf,fallen leaf,"
    "leaf fluttering in wind,mushroom,leafless tree".split(",")
)

_WORDS = {
    "T-Rex": "tyrannosaurus rex",
    "pool 8 ball": "billiard ball",
    "sun behind large cloud": "sun mostly behind a cloud",
    "rolling on the floor laughing": "face rolling on the floor laughing",
    "1st place medal": "first place medal",
    "2nd place medal": "second place medal",
    "3rd place medal": "third place medal",
}
"""Names that read better in a sentence than Unicode's."""


@dataclass(frozen=True)
class Thing:
    """Something drawn: `name` in readable English, `code` point(s) in hexadecimal."""

    name: str
    code: str
    category: str
    unicode_name: str

    @property
    def is_plant(self) -> bool:
        return self.unicode_name in _PLANTS


def fetch(folder: Path) -> None:
    """Install the pinned packages into `folder`/node_modules with ``npm ci``."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to fetch the drawings; install Node.js first.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK_FOLDER / name, folder / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True)


def things(packages: Path) -> list[Thing]:
    """All things of the six categories, in Unicode's order."""
    table = _read(packages / "node_modules/unicode-emoji-json/data-by-emoji.json")
    found = []
    for emoji, entry in table.items():
        name = entry["name"]
        if entry["group"] not in _GROUPS:
            continue
        if _LEFT_OUT.search(name) and name not in _KEPT:
            continue
        code = "-".join(f"{ord(character):x}" for character in emoji)
        category = _GROUPS[entry["group"]]
        readable = _readable(_WORDS.get(name, name))
        found.append(Thing(readable, code, category, name))
    return found


def _readable(name: str) -> str:
    """Plain words: no accents, no curly apostrophes, no hyphens except inside words."""
    plain = unicodedata.normalize("NFKD", name.replace("’", "'"))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(plain.split())


class Studio:
    """One package of drawings: finds a thing's icon and renders it."""

    def __init__(self, packages: Path, package: str, names_of: dict[str, set[str]]) -> None:
        folder = packages / "node_modules/@iconify-json" / package
        self.name = package
        self._set = _read(folder / "icons.json")
        self._chars = _read_optional(folder / "chars.json")
        self._names_of = names_of
        self._by_squashed = self._squashed_names()

    def _squashed_names(self) -> dict[str, str]:
        aliases = {key: value["parent"] for key, value in self._set.get("aliases", {}).items()}
        plain = {name: name for name in self._set["icons"]}
        return {_squash(key): icon for key, icon in {**aliases, **plain}.items()}

    def icon(self, thing: Thing) -> str | None:
        """The name of the icon that draws `thing`, by code point, else by the thing's names."""
        code = _bare(thing.code)
        if code in self._bare_chars:
            return self._resolve(self._bare_chars[code])
        for name in sorted(self._names_of.get(code, set()) | {_squash(thing.unicode_name)}):
            icon = self._by_squashed.get(name)
            if icon is not None:
                return self._resolve(icon)
        return None

    @functools.cached_property
    def _bare_chars(self) -> dict[str, str]:
        return {_bare(code): icon for code, icon in reversed(list(self._chars.items()))}

    def _resolve(self, icon: str) -> str | None:
        aliases = self._set.get("aliases", {})
        while icon in aliases:
            icon = aliases[icon]["parent"]
        return icon if icon in self._set["icons"] else None

    def svg(self, icon: str) -> str:
        """The icon as a whole SVG document."""
        entry = self._set["icons"][icon]
        left, top = entry.get("left", 0), entry.get("top", 0)
        width = entry.get("width", self._set.get("width", 16))
        height = entry.get("height", self._set.get("height", 16))
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">'
            f"{entry['body']}</svg>"
        )


def load_studios(packages: Path, names: tuple[str, ...]) -> dict[str, Studio]:
    """Studios by package name. Names from packages with code points help to read the others."""
    names_of: dict[str, set[str]] = {}
    for folder in sorted((packages / "node_modules/@iconify-json").iterdir()):
        for code, icon in _read_optional(folder / "chars.json").items():
            names_of.setdefault(_bare(code), set()).add(_squash(icon))
    return {name: Studio(packages, name, names_of) for name in names}


def render(svg: str, size: int) -> Any:
    """An SVG document as a Pillow RGBA picture of `size` x `size`, centred, aspect kept."""
    import resvg_py
    from PIL import Image

    data = resvg_py.svg_to_bytes(svg_string=svg, width=size, skip_system_fonts=True)
    drawn = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    if drawn.height > size:
        data = resvg_py.svg_to_bytes(svg_string=svg, height=size, skip_system_fonts=True)
        drawn = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    canvas = Image.new("RGBA", (size, size))
    canvas.paste(drawn, ((size - drawn.width) // 2, (size - drawn.height) // 2))
    return canvas


def _squash(name: str) -> str:
    return re.sub("[^a-z0-9]", "", _readable(name).lower())


def _bare(code: str) -> str:
    """A code point sequence without variation selectors."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_optional(path: Path) -> Any:
    return _read(path) if path.is_file() else {}
