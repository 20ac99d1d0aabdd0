"""Which files below a folder are pictures: one rule for all commands, and nothing is left out without a word.

Taken are regular files with the ending of a format that is read, and files without an ending whose first bytes are a
picture's. Links to files and folders are followed, each folder once. Hidden files and folders, and what systems leave
in folders (`__MACOSX`, `Thumbs.db`), are passed over.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from vlprompt.data.formats import has_extension, image_suffixes, needed_for, needed_for_format, sniffed_format
from vlprompt.errors import DataError, FilesLeftOutWarning
from vlprompt.wording import others

SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""What unpacking, network disks and operating systems leave behind."""

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
"""In lower case; nobody takes them for pictures, so nothing is said of them."""

HIDDEN = "hidden"
SYSTEM = "copies or thumbnails that a system made"
NO_PICTURE = "no pictures by their names or first bytes"
NOWHERE = "links that lead nowhere"
NOT_REGULAR = "pipes, devices or sockets"
AGAIN = "links to what is listed already"
BESIDE = "beside the class folders"
EMPTY = "folders without files"

_NAMED = 3
_LONGEST = 60
_COUNTED = 100_000

FolderId = tuple[int, int]


class LeftOut:
    """Files that were left out, by the reason.

    Attributes:
        paths: those left out for each reason.
    """

    def __init__(self) -> None:
        self.paths: dict[str, list[Path]] = {}

    def add(self, reason: str, path: Path, count: int = 1) -> None:
        """`count` files at `path` (a file, or a folder with so many of them) are left out; "" is no reason to tell."""
        if count and reason:
            self.paths.setdefault(reason, []).extend([path] * count)

    def add_all(self, other: LeftOut) -> None:
        """What another scan left out is left out here, too."""
        for reason, paths in other.paths.items():
            self.paths.setdefault(reason, []).extend(paths)

    def __len__(self) -> int:
        return sum(map(len, self.paths.values()))

    def below(self, folder: Path) -> LeftOut:
        """Those of one folder, hidden ones and a system's not counted."""
        some = LeftOut()
        for reason in self.paths.keys() - {HIDDEN, SYSTEM}:
            for path in self.paths[reason]:
                if path.is_relative_to(folder):
                    some.add(reason, path)
        return some

    def reasons(self, folder: Path) -> str:
        """The reasons with their numbers, and the first names below `folder`, as one line."""
        return "; ".join(f"{reason}: {len(paths)} ({_named(paths, folder)})" for reason, paths in self.paths.items())

    def tell(self, folder: Path, called: str | None = None) -> None:
        """Warn, in one line, if anything was left out of the folder (or of what else it is `called`)."""
        if self:
            what = "1 file" if len(self) == 1 else f"{len(self)} files"
            message = f"{what} left out of {called or folder}; {self.reasons(folder)}"
            warnings.warn(message, FilesLeftOutWarning, stacklevel=3)


class FolderScan:
    """Looks through the folders below one folder, each once.

    Args:
        root: the folder that was named.

    Attributes:
        left_out: what is not taken, with the reasons.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out = LeftOut()
        self._seen: set[FolderId] = set()

    def folders_in(self, folder: Path) -> list[Path]:
        """The folders directly in a folder, links to folders among them, sorted by name.

        Raises:
            DataError: the folder cannot be read.
        """
        found = [Path(entry.path) for entry in _entries(folder) if _is_folder(entry) and not self._pass_over(entry)]
        return sorted((below for below in found if not self._leads_up(below)), key=lambda below: below.name)

    def take_apart(self, folders: list[Path]) -> None:
        """These folders are looked through by themselves: a link to one of them elsewhere is not followed."""
        self._seen |= {identity for folder in folders if (identity := _identity(folder)) is not None}

    def pictures(self, folder: Path) -> list[Path]:
        """The pictures below a folder, sorted by their path within it.

        Raises:
            DataError: a folder cannot be read.
        """
        self.take_apart([folder])
        found: list[Path] = []
        linked_files: list[Path] = []
        waiting, linked_folders = [folder], list[Path]()
        while waiting or linked_folders:
            # Links last, so that a picture is known by its place rather than by a link to it.
            place = waiting.pop() if waiting else linked_folders.pop(0)
            if place != folder and not self._enter(place):
                continue
            for entry in sorted(_entries(place), key=lambda entry: entry.name):
                path = Path(entry.path)
                if _is_folder(entry):
                    if not self._pass_over(entry):
                        (linked_folders if entry.is_symlink() else waiting).append(path)
                elif self._takes(entry):
                    (linked_files if entry.is_symlink() else found).append(path)
        found += self._without_repeats(linked_files, found)
        return sorted(found, key=lambda path: path.relative_to(folder).as_posix())

    def loose_pictures(self, folder: Path) -> None:
        """Note the pictures that lie directly in a folder whose folders are the classes."""
        for entry in _entries(folder):
            if not _is_folder(entry) and not entry.name.startswith(".") and _is_named_like_one(entry.name):
                self.left_out.add(BESIDE, Path(entry.path))

    def other_folders(self, folders: list[Path]) -> None:
        """Note the pictures in folders that are neither classes nor splits."""
        for folder in folders:
            self.left_out.add(BESIDE, folder, _count_pictures(folder))

    def _enter(self, folder: Path) -> bool:
        """Whether to look through a folder: not for a second time, and not along a link to a folder above it."""
        identity = _identity(folder)
        if identity is None:
            self.left_out.add(NOWHERE, folder)
            return False
        if self._leads_up(folder):
            return False
        if identity in self._seen:
            self.left_out.add(AGAIN, folder)
            return False
        self._seen.add(identity)
        return True

    def _leads_up(self, folder: Path) -> bool:
        """Whether it is a link to the folder that was named, to its own place, or to a folder above one of them."""
        if not folder.is_symlink():
            return False
        above = {_identity(up) for place in (self.root, folder.parent) for up in _with_parents(place)}
        if _identity(folder) not in above:
            return False
        self.left_out.add(AGAIN, folder)
        return True

    def _pass_over(self, entry: os.DirEntry[str]) -> bool:
        """Whether a folder is hidden or a system's; its pictures are counted."""
        if not is_hidden(entry.name):
            return False
        path = Path(entry.path)
        self.left_out.add(SYSTEM if entry.name in SYSTEM_FOLDERS else HIDDEN, path, _count_pictures(path))
        return True

    def _takes(self, entry: os.DirEntry[str]) -> bool:
        reason = _why_not(entry)
        if reason is not None:
            self.left_out.add(reason, Path(entry.path))
        return reason is None

    def _without_repeats(self, links: list[Path], found: list[Path]) -> Iterator[Path]:
        """Links to pictures that are not found already, each picture once."""
        known = {os.path.realpath(path) for path in found} if links else set()
        for link in links:
            real = os.path.realpath(link)
            if real in known:
                self.left_out.add(AGAIN, link)
            else:
                known.add(real)
                yield link


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are passed over: hidden ones, and folders that a system made."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def why_no_picture(path: Path) -> str | None:
    """Why the rule does not take a file, by its name and its first bytes: None if it does, "" if none need know.

    Hidden files and what is no regular file are the caller's business.
    """
    name, suffix = path.name, path.suffix.lower()
    if suffix in image_suffixes():
        return None
    if name.lower() in SYSTEM_FILES:
        return ""
    if has_extension(name):
        return needed_for(suffix) or NO_PICTURE
    form = sniffed_format(path)
    return NO_PICTURE if form is None else needed_for_format(form)


def _why_not(entry: os.DirEntry[str]) -> str | None:
    path = Path(entry.path)
    if entry.name.startswith("."):
        # Of .DS_Store and the like nothing is said.
        return HIDDEN if _is_named_like_one(entry.name) else ""
    is_file = os.path.isfile(path) if entry.is_symlink() else entry.is_file()
    if not is_file:
        return NOT_REGULAR if os.path.exists(path) else NOWHERE
    return why_no_picture(path)


def _is_named_like_one(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix in image_suffixes() or needed_for(suffix) is not None


def _count_pictures(folder: Path) -> int:
    """How many files below a folder are named like pictures; links are not followed."""
    count = seen = 0
    waiting = [os.fspath(folder)]
    while waiting and seen <= _COUNTED:
        # Not os.walk, which calls itself for each folder within another.
        for entry in _entries_if_any(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                count += _is_named_like_one(entry.name)
            seen += 1
    return count


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror or error}") from error


def _entries_if_any(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; `entry.is_dir` raises for a link in a circle, say."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _identity(folder: Path) -> FolderId | None:
    try:
        state = os.stat(folder)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _with_parents(folder: Path) -> list[Path]:
    real = Path(os.path.realpath(folder))
    return [real, *real.parents]


def _named(paths: list[Path], folder: Path) -> str:
    different = list(dict.fromkeys(paths))
    names = [_shortened(path, folder) for path in different[:_NAMED]]
    more = len(different) - len(names)
    return ", ".join(names) + (f" and {others(more)}" if more else "")


def _shortened(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return name if len(name) <= _LONGEST else f"...{name[-_LONGEST:]}"
