"""The pictures that `predict` is given: files, folders, patterns, and paths from standard input, each picture once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from vlprompt.data.picture_files import FolderScan, LeftOut, is_hidden, why_no_picture
from vlprompt.errors import DataError

STANDARD_INPUT = {"-": b"\n", "-0": b"\0"}
"""What ends a path on standard input, by the argument that asks for it."""

MOST_INPUT_BYTES = 256_000_000
"""Paths of about two million pictures; something that never ends is no list of paths."""

MAGIC = "*?["


def expand(arguments: Sequence[str]) -> list[Path]:
    """Files, the pictures in folders, and what patterns match, in the order given; each picture at its first place.

    A file that is named is taken whatever it is called; of folders and patterns the files that `picture_files` takes.

    Raises:
        DataError: a name is empty; a folder, a pattern or standard input gives no pictures.
    """
    if sum(argument in STANDARD_INPUT for argument in arguments) > 1:
        raise DataError("standard input is named more than once (- or -0); it can be read only once.")
    if not all(arguments):
        raise DataError("a name of a picture is empty; the current folder is `.`.")
    found: dict[str, Path] = {}
    for argument in arguments:
        if argument in STANDARD_INPUT:
            paths = [path for line in _lines_of_standard_input(argument) for path in _named(Path(line))]
        elif os.path.lexists(argument) or not any(sign in argument for sign in MAGIC):
            paths = _named(Path(argument))
        else:
            paths = _matched(argument)
        for path in paths:
            found.setdefault(_same_for_all_spellings(path), path)
    return list(found.values())


def _named(path: Path) -> list[Path]:
    """The file, or the pictures below the folder."""
    # os.path, unlike Path, takes a name that is too long as one that does not exist.
    if not os.path.isdir(path):
        return [path]
    scan = FolderScan(path)
    pictures = scan.pictures(path)
    return _told(pictures, scan.left_out, path, str(path))


def _matched(pattern: str) -> list[Path]:
    """What a pattern matches: pictures, and the pictures below folders."""
    left_out, found = LeftOut(), list[Path]()
    here = Path()
    for path in sorted(set(_glob(pattern))):
        if os.path.isdir(path):
            scan = FolderScan(path)
            found += scan.pictures(path)
            left_out.add_all(scan.left_out)
        elif (reason := why_no_picture(path)) is None:
            found.append(path)
        else:
            left_out.add(reason, path)
    return _told(found, left_out, here, pattern)


def _told(pictures: list[Path], left_out: LeftOut, folder: Path, called: str) -> list[Path]:
    if not pictures:
        why = f" ({left_out.reasons(folder)})" if left_out else ""
        raise DataError(f"{called} gives no pictures{why}.")
    left_out.tell(folder, called)
    return pictures


def _glob(pattern: str) -> Iterator[Path]:
    """Like `glob.glob(recursive=True)`, but `**` follows no links, so that a link in a circle is no endless tree."""
    path = Path(pattern)
    parts = path.parts[1:] if path.anchor else path.parts
    waiting = [(Path(path.anchor), list(parts))]  # no function that calls itself: folders may be nested very deeply
    while waiting:
        place, left = waiting.pop()
        if left:
            waiting += _one_step(place, left[0], left[1:])
        else:
            yield place


def _one_step(folder: Path, part: str, rest: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """What the first part of a pattern matches in a folder, each with the parts that are left for it."""
    if part == "**":
        yield folder, rest or ["*"]
        for below in _names_in(folder):
            path = folder / below
            if not is_hidden(below) and os.path.isdir(path) and not path.is_symlink():
                yield path, [part, *rest]
    elif not any(sign in part for sign in MAGIC):
        if os.path.lexists(folder / part):
            yield folder / part, rest
    else:
        for name in _names_in(folder):
            if fnmatchcase(name, part) and (part.startswith(".") or not is_hidden(name)):
                yield folder / name, rest


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _lines_of_standard_input(argument: str) -> list[str]:
    content = sys.stdin.buffer.read(MOST_INPUT_BYTES + 1)
    if len(content) > MOST_INPUT_BYTES:
        raise DataError(f"standard input has more than {MOST_INPUT_BYTES // 10**6} MB; it must be a list of paths.")
    lines = content.split(STANDARD_INPUT[argument])
    if argument == "-":
        lines = [line.removesuffix(b"\r") for line in lines]
        if b"\0" in content:
            raise DataError("the paths on standard input end in NUL; read them with -0 in place of -.")
    paths = [os.fsdecode(line) for line in lines if line]
    if not paths:
        raise DataError(f"standard input ({argument}) names no pictures; it must have one path a line.")
    return paths


def _same_for_all_spellings(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name that no file can have: opening it says why
        return str(path)
