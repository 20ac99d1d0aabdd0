"""How the published data sets say which picture is of which class: class folders, lists in text, JSON and MATLAB files.

Each layout is a function of the data set's folder. Labels are in the published order, because it determines which
classes are the base half and which the new one. No picture is opened. Where the published code takes files as the
folder gives them, which differs between machines, they are sorted here.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from vlprompt.data.checks import normal_name
from vlprompt.data.formats import is_image_file
from vlprompt.data.inside import path_inside, refuse_missing
from vlprompt.data.published.published_set import Layout, Part, Parts
from vlprompt.data.samples import Sample
from vlprompt.errors import DataError, FilesLeftOutWarning, quoted
from vlprompt.files import read_bounded
from vlprompt.files.json_files import parse_listed
from vlprompt.files.text_files import lines_of, read_text
from vlprompt.wording import some_of

MOST_ANNOTATION_BYTES = 100_000_000
"""Of a MATLAB file; the largest published one has 1 MB."""

CLASSNAMES = "classnames.txt"

Row = tuple[str, str]
"""A path below the picture folder, and the class as the list calls it."""


def class_folders(images: str, leave_out: tuple[str, ...] = (), renames: Mapping[str, str] | None = None) -> Layout:
    """Folders of pictures, one a class: Caltech101, Food101, DTD, EuroSAT.

    Args:
        images: the folder of class folders.
        leave_out: class folders that do not count.
        renames: better names for some. Labels follow the folders' own names, capitals first.
    """

    def read(folder: Path) -> Parts:
        names = [name for name in _folders_in(folder / images) if name not in leave_out]
        return {"all": _pictures_of(folder / images, [(name, (renames or {}).get(name, name)) for name in names])}

    return read


def wordnet_folders(parts: Mapping[Part, str]) -> Layout:
    """Folders called by WordNet numbers, whose words are in classnames.txt: ImageNet, ImageNet-Sketch, -A, -R.

    Labels count the folders that are there, sorted; in all parts they must be the same.
    """

    def read(folder: Path) -> Parts:
        words = _class_words(folder)
        found = {part: _folders_in(folder / place) for part, place in parts.items()}
        first, *others = found.items()
        for part, names in others:
            if names != first[1]:
                odd = sorted(set(names) ^ set(first[1]))
                raise DataError(
                    f"{folder / parts[first[0]]} and {folder / parts[part]} must hold the same class folders; only one "
                    f"of them has {some_of(odd, 3)}."
                )
        unknown = [name for name in first[1] if name not in words]
        if unknown:
            raise DataError(f"{_classnames_file(folder)} has no name for {some_of(unknown, 3)}, of {folder}.")
        classes = [(name, words[name]) for name in first[1]]
        return {part: _pictures_of(folder / place, classes) for part, place in parts.items()}

    return read


def numbered_folders(images: str) -> Layout:
    """Folders called 0, 1, 2, ..., of the classes in the order of classnames.txt: ImageNetV2."""

    def read(folder: Path) -> Parts:
        there = set(_folders_in(folder / images))
        classes = [(str(place), word) for place, word in enumerate(_class_words(folder).values())]
        missing = [name for name, _ in classes if name not in there]
        if missing:
            raise DataError(
                f"{folder / images} has no folder {some_of(missing, 3)}; it must have one for each of the "
                f"{len(classes)} lines of {_classnames_file(folder)}."
            )
        return {"test": _pictures_of(folder / images, classes)}

    return read


def flowers(folder: Path) -> Parts:
    """jpg/image_00001.jpg and on, with imagelabels.mat, and the names in cat_to_name.json by label from 1."""
    labels = [int(label) for label in _matlab(folder / "imagelabels.mat", "labels").ravel()]
    file = folder / "cat_to_name.json"
    names = parse_listed(read_text(file, "list of class names"), str(file))
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(f'{file} must be an object of names by label, such as {{"1": "pink primrose"}}.')
    unnamed = sorted({str(label) for label in labels} - set(names))
    if unnamed:
        raise DataError(f"{file} has no name for the labels {some_of(unnamed, 3)} of imagelabels.mat.")
    rows = [(f"image_{place:05}.jpg", label) for place, label in enumerate(labels, start=1)]
    samples = [Sample(folder / "jpg" / path, label - 1, normal_name(names[str(label)])) for path, label in rows]
    return _complete(folder, {"all": tuple(samples)})


def pets(folder: Path) -> Parts:
    """annotations/trainval.txt and test.txt: lines of picture, class number from 1, species and breed number."""

    def read(part: str) -> Iterator[tuple[str, int, str]]:
        for where, words in _lines(folder / "annotations" / f"{part}.txt", least=2):
            breed = words[0].rpartition("_")[0].lower()
            if not words[1].isdecimal() or not breed:
                raise DataError(f"{where} must have a picture such as Abyssinian_100 and its class number.")
            yield f"{words[0]}.jpg", int(words[1]) - 1, breed

    return _listed(folder, "images", {"trainval": read("trainval"), "test": read("test")})


def cars(folder: Path) -> Parts:
    """MATLAB files with pictures and class numbers from 1; of a name's words the year, which is last, is said first."""
    words = [str(name).split(" ") for name in _matlab(folder / "devkit" / "cars_meta.mat", "class_names").ravel()]
    names = [" ".join([year, *rest]) for *rest, year in words]

    def read(images: str, file: Path) -> Iterator[tuple[str, int, str]]:
        annotations = _matlab(file, "annotations").ravel()
        if annotations.dtype.names is None or not {"fname", "class"} <= set(annotations.dtype.names):
            raise DataError(f"{file} must have the fields fname and class, as the development kit has.")
        for name, number in zip(annotations["fname"], annotations["class"], strict=True):
            if not 1 <= int(number) <= len(names):
                raise DataError(f"{file} has the class {number}; cars_meta.mat has {len(names)}.")
            yield f"{images}/{name}", int(number) - 1, names[int(number) - 1]

    return _listed(
        folder,
        "",
        {
            "trainval": read("cars_train", folder / "devkit" / "cars_train_annos.mat"),
            "test": read("cars_test", folder / "cars_test_annos_withlabels.mat"),
        },
    )


def aircraft(folder: Path) -> Parts:
    """images_variant_train.txt, _val and _test: lines of picture and variant; the variants in order in variants.txt."""

    def read_line(where: str, words: list[str]) -> Row:
        return f"{words[0]}.jpg", " ".join(words[1:])

    order = [" ".join(words) for _, words in _lines(folder / "variants.txt", least=1)]
    lists: dict[Part, str] = {part: f"images_variant_{part}.txt" for part in ("train", "val", "test")}
    return _in_order(folder, "images", lists, order, read_line, lambda variant: variant)


def scenes(folder: Path) -> Parts:
    """Training_01.txt and Testing_01.txt: paths such as /a/apse/indoor/sun_x.jpg; the classes in ClassName.txt.

    A name is the path's words from last to first, without the letter: "indoor apse".
    """

    def read_line(where: str, words: list[str]) -> Row:
        path = " ".join(words).removeprefix("/")
        return path, os.path.dirname(path)

    order = [" ".join(words).removeprefix("/") for _, words in _lines(folder / "ClassName.txt", least=1)]
    lists: dict[Part, str] = {"trainval": "Training_01.txt", "test": "Testing_01.txt"}
    return _in_order(folder, "SUN397", lists, order, read_line, lambda place: " ".join(place.split("/")[:0:-1]))


def actions(folder: Path) -> Parts:
    """ucfTrainTestlist: trainlist01.txt and testlist01.txt name videos, whose middle frames are the pictures."""

    def in_words(action: str) -> str:
        return "_".join(re.findall("[A-Z][^A-Z]*", action))

    def read_line(where: str, words: list[str]) -> Row:
        action, _, video = words[0].partition("/")
        if not video.endswith(".avi"):
            raise DataError(f"{where} must name a video such as Archery/v_Archery_g01_c01.avi.")
        return f"{in_words(action)}/{video.removesuffix('.avi')}.jpg", action

    lists_folder = folder / "ucfTrainTestlist"
    numbered = [(int(words[0]), words[1]) for _, words in _lines(lists_folder / "classInd.txt", least=2, numbers=1)]
    order = [action for _, action in sorted(numbered)]
    lists: dict[Part, str] = {
        "trainval": "ucfTrainTestlist/trainlist01.txt",
        "test": "ucfTrainTestlist/testlist01.txt",
    }
    return _in_order(folder, "UCF-101-midframes", lists, order, read_line, in_words)


def _in_order(
    folder: Path,
    images: str,
    lists: Mapping[Part, str],
    order: list[str],
    read_line: Callable[[str, list[str]], Row],
    name_of: Callable[[str], str],
) -> Parts:
    """Pictures that text files list with their classes, whose labels are their places in `order`."""
    label_of = {key: label for label, key in enumerate(order)}

    def read(file: Path) -> Iterator[tuple[str, int, str]]:
        for where, words in _lines(file, least=1):
            path, key = read_line(where, words)
            if key not in label_of:
                raise DataError(f"{where} has the class {quoted(key)}, which is none of the {len(order)} listed ones.")
            yield path, label_of[key], name_of(key)

    return _listed(folder, images, {part: read(folder / file) for part, file in lists.items()})


def _listed(folder: Path, images: str, rows: Mapping[Part, Iterable[tuple[str, int, str]]]) -> Parts:
    root = folder / images
    parts: dict[Part, tuple[Sample, ...]] = {
        part: tuple(
            Sample(path_inside(root, path, f"the {part} list of {folder}"), label, normal_name(name))
            for path, label, name in listed
        )
        for part, listed in rows.items()
    }
    return _complete(folder, parts)


def _complete(folder: Path, parts: Parts) -> Parts:
    listed = [Path(str(sample.image)) for samples in parts.values() for sample in samples]
    refuse_missing(listed, folder, "what it lacks can be had as docs/datasets.md says")
    return parts


def _pictures_of(root: Path, classes: list[tuple[str, str]]) -> tuple[Sample, ...]:
    """The pictures of class folders, sorted by name; classes are pairs of folder and class name, by label."""
    samples: list[Sample] = []
    others: list[str] = []
    for label, (folder, name) in enumerate(classes):
        place, class_name = root / folder, normal_name(name)
        for path in map(place.joinpath, _names_in(place, folders=False)):
            if is_image_file(path):
                samples.append(Sample(path, label, class_name))
            else:
                others.append(f"{folder}/{path.name}")
    if others:
        warnings.warn(
            f"{len(others)} files left out of {root}, whose names are not those of pictures: {some_of(others, 3)}.",
            FilesLeftOutWarning,
            stacklevel=4,
        )
    return tuple(samples)


def _folders_in(folder: Path) -> list[str]:
    return _names_in(folder, folders=True)


def _names_in(folder: Path, folders: bool) -> list[str]:
    """The visible folders or files in a folder, sorted, capitals first; links to either count as what they lead to."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir() == folders
            )
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}.") from error


def _classnames_file(folder: Path) -> Path:
    """Its own, or that of ImageNet beside it, of which it is published as a copy."""
    own = folder / CLASSNAMES
    return own if own.is_file() else folder.parent / "imagenet" / CLASSNAMES


def _class_words(folder: Path) -> dict[str, str]:
    """Class names by WordNet number, in the order of classnames.txt."""
    file = _classnames_file(folder)
    if not file.is_file():
        raise DataError(f"there is no {folder / CLASSNAMES}, and none in {file.parent}; it has the class names.")
    words: dict[str, str] = {}
    for where, (number, *name) in _lines(file, least=2):
        if not re.fullmatch(r"n\d{8}", number) or number in words:
            raise DataError(f"{where} must begin with a WordNet number of its own, such as n01440764.")
        words[number] = " ".join(name)
    return words


def _lines(file: Path, least: int, numbers: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Each line that is not blank, as `file:line` and its words, of which the first ones may have to be numbers."""
    for line, text in enumerate(lines_of(read_text(file, "list")), start=1):
        words = text.strip().split(" ")
        if words == [""]:
            continue
        where = f"{file}:{line}"
        if len(words) < least or not all(word.isdecimal() for word in words[:numbers]):
            raise DataError(f"{where} is {quoted(text.strip())}, which is no line of the published list.")
        yield where, words


def _matlab(file: Path, variable: str) -> Any:
    """A variable of a MATLAB file, as a NumPy array."""
    import numpy as np
    from scipy.io import loadmat  # type: ignore[import-untyped, unused-ignore]

    try:
        content = loadmat(BytesIO(read_bounded(file, MOST_ANNOTATION_BYTES)), squeeze_me=True)
    except FileNotFoundError as error:
        raise DataError(f"there is no {file}.") from error
    except Exception as error:  # scipy's errors for what is no MATLAB file are of many classes
        raise DataError(f"{file} cannot be read as a MATLAB file: {error}.") from error
    if variable not in content:
        raise DataError(f"{file} has no variable {variable}, as the published file has.")
    return np.atleast_1d(content[variable])
