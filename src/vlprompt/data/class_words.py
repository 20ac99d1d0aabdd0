"""Better words for classes: a small YAML or CSV file from folder names or labels to what a prompt should say.

The classes keep their own names: words change what the model reads, never the label that comes out.

    n02510455: giant panda
    n02086240: Shih-Tzu

As CSV the same are two columns, with or without a first row `folder,words`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from vlprompt.data.text_files import read_text
from vlprompt.errors import DataError, UnknownNameError

ClassWords: TypeAlias = "Mapping[str, str] | Mapping[int, str] | str | Path"

BESIDE_THE_CLASSES = "class_words.yaml"
"""A file of this name in a folder of class folders is read by itself."""

HEADERS = {("folder", "words"), ("folder", "name"), ("class", "words"), ("class", "name"), ("label", "name")}


def read_class_words(source: ClassWords) -> dict[str, str]:
    """Words by folder name or label, from a mapping or a .yaml, .yml or .csv file.

    Raises:
        DataError: the file cannot be read, a line is not `name: words`, a name stands twice or has no words.
    """
    if isinstance(source, Mapping):
        return {str(key): words for key, words in source.items()}
    path = Path(source)
    readers = {".yaml": _yaml_rows, ".yml": _yaml_rows, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path} has the ending {path.suffix!r}; class words are a .yaml, .yml or .csv file.")
    words: dict[str, str] = {}
    for line, key, value in readers[path.suffix.lower()](path):
        if not key or not value.strip():
            raise DataError(f"{path}:{line} names no words for {key!r}; write `{key or 'folder'}: words`.")
        if key in words:
            raise DataError(f"{path}:{line} gives words for {key!r} a second time.")
        words[key] = value.strip()
    return words


def reword(keys: Iterable[str], words: Mapping[str, str], source: str = "class_words") -> dict[str, str]:
    """What prompts call each key: its words where there are some, else the key itself.

    Args:
        keys: folder names or labels.
        source: where the words come from, for the error.

    Raises:
        UnknownNameError: words are given for a key that does not exist.
    """
    known = list(keys)
    for key in words:
        if key not in known:
            raise UnknownNameError(f"class (which {source} gives words for)", key, known)
    return {key: words.get(key, key) for key in known}


def _yaml_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    # Composed, not loaded: every key and value stays the text that was written, so that `no: Norway` and `007: agent`
    # keep their keys, and a key that stands twice is seen.
    try:
        root = yaml.compose(read_text(path, "class words file"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path} must have one `folder: words` a line.")
    for key, value in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise DataError(f"{path}:{line} is not `folder: words`.")
        yield line, key.value, value.value


def _csv_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(read_text(path, "class words file").splitlines())
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells) or (reader.line_num == 1 and tuple(cell.lower() for cell in cells) in HEADERS):
            continue
        if len(cells) != 2:
            raise DataError(f"{path}:{reader.line_num} has {len(cells)} columns; it must have two, folder and words.")
        yield reader.line_num, cells[0], cells[1]
