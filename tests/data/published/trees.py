"""Small trees in the exact layout of each published data set: all classes, a few empty picture files each.

Pictures are empty, so that whatever opens one fails. Annotations are in their true formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.io import savemat

from vlprompt.data.published.sets import PUBLISHED

CALTECH_RENAMED = ("Faces", "Leopards", "Motorbikes", "airplanes")
EUROSAT = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial"),
    *("Pasture", "PermanentCrop", "Residential", "River", "SeaLake"),
)


def touch(folder: Path, *names: str) -> None:
    """Empty files in a folder, which is made."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def numbered(word: str, count: int) -> list[str]:
    """Names whose order as text is that of their numbers, in letters: nothing may be taken for a number."""
    letters = [chr(97 + place) for place in range(26)]
    endings = (f"{first}{second}{third}" for first in letters for second in letters for third in letters)
    return [f"{word}_{ending}" for ending in islice(endings, count)]


def wordnet_numbers(count: int) -> list[str]:
    return [f"n{1440764 + 7 * place:08}" for place in range(count)]


def class_tree(folder: Path, names: Iterable[str], pictures: int = 10) -> None:
    for name in names:
        touch(folder / name, *(f"{place:04}.jpg" for place in range(pictures)))


def imagenet_tree(folder: Path) -> None:
    for part, pictures in (("train", 2), ("val", 1)):
        class_tree(folder / "images" / part, wordnet_numbers(1000), pictures)
    write_classnames(folder)


def write_classnames(folder: Path) -> None:
    """As published: a number and CLIP's name a line; two classes are called missile."""
    names = dict(zip(wordnet_numbers(1000), numbered("thing", 1000), strict=True))
    for place in (657, 744):
        names[wordnet_numbers(1000)[place]] = "missile"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classnames.txt").write_text("".join(f"{number} {name} of it\n" for number, name in names.items()))


def caltech_tree(folder: Path) -> None:
    names = [*CALTECH_RENAMED, *numbered("thing", 96), "BACKGROUND_Google", "Faces_easy"]
    class_tree(folder / "101_ObjectCategories", names)


def pets_tree(folder: Path) -> None:
    breeds = [f"Breed_{word}" if place % 2 else f"cat_{word}" for place, word in enumerate(numbered("b", 37))]
    # The classes are numbered by breed, not in the order in which the lists name them.
    order = sorted(breeds, key=str.lower)
    for part, first, count in (("trainval", 1, 5), ("test", 100, 2)):
        lines = [
            f"{breed}_{place} {order.index(breed) + 1} {1 if breed.startswith('cat') else 2} 1"
            for breed in reversed(breeds)
            for place in range(first, first + count)
        ]
        write_lines(folder / "annotations" / f"{part}.txt", lines)
        touch(folder / "images", *(f"{line.split()[0]}.jpg" for line in lines))


def cars_tree(folder: Path) -> None:
    names = [f"Make Model {word} 20{place % 90 + 10}" for place, word in enumerate(numbered("x", 196))]
    fields = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]

    def annotations(pictures: int) -> tuple[np.ndarray, list[str]]:
        rows = [(1, label, f"{place:05}.jpg") for place, label in enumerate([*range(196, 0, -1)] * pictures, start=1)]
        return np.array([rows], dtype=fields), [name for _, _, name in rows]

    (folder / "devkit").mkdir(parents=True)
    cell = np.empty((1, 196), dtype=object)
    cell[0, :] = names
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": cell})
    for images, file, pictures in (
        ("cars_train", "devkit/cars_train_annos.mat", 5),
        ("cars_test", "cars_test_annos_withlabels.mat", 1),
    ):
        array, files = annotations(pictures)
        savemat(folder / file, {"annotations": array})
        touch(folder / images, *files)


def flowers_tree(folder: Path) -> None:
    labels = np.array([*range(102, 0, -1)] * 10, dtype=np.uint8)
    touch(folder / "jpg", *(f"image_{place:05}.jpg" for place in range(1, len(labels) + 1)))
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    names = {str(place): f"flower {word}" for place, word in enumerate(numbered("f", 102), start=1)}
    (folder / "cat_to_name.json").write_text(json.dumps(names))


def aircraft_tree(folder: Path) -> None:
    variants = [f"Boeing 7-{word}" for word in reversed(numbered("v", 100))]
    write_lines(folder / "variants.txt", variants)
    for part, first in (("train", 1), ("val", 2), ("test", 3)):
        rows = [(f"{place}{first:02}", variant) for place, variant in enumerate(sorted(variants))]
        write_lines(folder / f"images_variant_{part}.txt", [" ".join(row) for row in rows])
        touch(folder / "images", *(f"{picture}.jpg" for picture, _ in rows))


def sun_tree(folder: Path) -> None:
    places = [f"/a/{word}/indoor" if place % 2 else f"/b/{word}" for place, word in enumerate(numbered("scene", 397))]
    write_lines(folder / "ClassName.txt", places)
    for file, first, count in (("Training_01.txt", 0, 5), ("Testing_01.txt", 5, 1)):
        paths = [f"{place}/sun_{n}.jpg" for place in reversed(places) for n in range(first, first + count)]
        write_lines(folder / file, paths)
        touch(folder / "SUN397", *(path[1:] for path in paths))


def ucf_tree(folder: Path) -> None:
    actions = [f"Do{word.title().replace('_', '')}" for word in numbered("jump", 101)]
    write_lines(
        folder / "ucfTrainTestlist" / "classInd.txt", [f"{place} {action}" for place, action in enumerate(actions, 1)]
    )
    for file, groups, with_label in (("trainlist01", range(8, 13), True), ("testlist01", range(1, 3), False)):
        videos = [(action, f"v_{action}_g{group:02}_c01") for action in reversed(actions) for group in groups]
        write_lines(
            folder / "ucfTrainTestlist" / f"{file}.txt",
            [f"{a}/{v}.avi" + f" {actions.index(a) + 1}" * with_label for a, v in videos],
        )
        touch(folder / "UCF-101-midframes", *(f"Do_Jump_{a[6:]}/{v}.jpg" for a, v in videos))


def v2_tree(folder: Path) -> None:
    class_tree(folder / "imagenetv2-matched-frequency-format-val", map(str, range(1000)), 1)
    write_classnames(folder)


def shifted_tree(images: str, classes: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        # Every fifth class of ImageNet where there are 200, so that labels are those of the folders that are there.
        class_tree(folder / images, wordnet_numbers(1000)[:: 1000 // classes], 1)
        touch(folder / images, "README.txt")
        write_classnames(folder)

    return write


TREES: dict[str, Callable[[Path], None]] = {
    "imagenet": imagenet_tree,
    "caltech101": caltech_tree,
    "oxford-pets": pets_tree,
    "stanford-cars": cars_tree,
    "flowers102": flowers_tree,
    "food101": lambda folder: class_tree(folder / "images", numbered("dish", 101)),
    "fgvc-aircraft": aircraft_tree,
    "sun397": sun_tree,
    "dtd": lambda folder: class_tree(folder / "images", numbered("look", 47)),
    "eurosat": lambda folder: class_tree(folder / "2750", EUROSAT),
    "ucf101": ucf_tree,
    "imagenetv2": v2_tree,
    "imagenet-sketch": shifted_tree("images", 1000),
    "imagenet-a": shifted_tree("imagenet-a", 200),
    "imagenet-r": shifted_tree("imagenet-r", 200),
}


def write_tree(name: str, root: Path) -> Path:
    """The data set's folder below `root`, as published but for the split file and the number of pictures."""
    folder = root / PUBLISHED[name].folder
    TREES[name](folder)
    return folder


def write_lines(file: Path, lines: Iterable[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def write_split_file(name: str, folder: Path) -> dict[str, list[tuple[str, int, str]]]:
    """The published split file, with all classes and another number of pictures a split than is drawn; its content."""
    declared = PUBLISHED[name]
    pictures = [
        (f"class/{label}-{place}.jpg", label, f"name {label}th")
        for label in range(declared.counts.classes)
        for place in range(4)
    ]
    content = {"train": pictures[::2], "val": pictures[1::4], "test": pictures[3::4]}
    touch(folder / declared.images, *(path for path, _, _ in pictures))
    assert declared.split is not None
    (folder / declared.split.places[0]).write_text(json.dumps(content))
    return content
