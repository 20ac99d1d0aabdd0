"""Better words for classes: a small YAML, JSON or CSV file from folder names or labels to what a prompt should say.

The classes keep their own names: words change what the model reads, never the label that comes out.

    n02510455: giant panda
    n02086240: Shih-Tzu

As JSON the same is an object, as CSV two columns, with or without a first row `folder,words`. Names and words are taken
in Unicode's normal form (`checks.normal_name`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from vlprompt.data.checks import is_number, normal_name
from vlprompt.data.tables import read_table
from vlprompt.errors import DataError, UnknownNameError, quoted
from vlprompt.files.json_files import parse_listed
from vlprompt.files.text_files import read_text
from vlprompt.files.yaml_files import MOST_BYTES, compose_yaml

ClassWords: TypeAlias = "Mapping[str, str] | Mapping[int, str] | str | Path"

BESIDE_THE_CLASSES = "class_words.yaml"
"""A file of this name in a folder of class folders is read by itself."""

KEY_HEADERS = {"folder", "class", "label", "key", "id"}
WORD_HEADERS = {"words", "name", "class_name", "class_words"}
"""What the first row of a CSV file may be called."""


_WORDNET = re.compile(r"n\d{8}")


class ClassCodesWarning(UserWarning):
    """Classes are called by codes, which prompts spell out."""


def read_class_words(source: ClassWords) -> dict[str, str]:
    """Words by folder name or label, from a mapping or a .yaml, .yml, .json, .csv or .tsv file.

    Raises:
        DataError: the file cannot be read, a line is not `name: words`, a name stands twice or has no words.
    """
    if isinstance(source, Mapping):
        return _checked(((str(key), words, "class_words") for key, words in source.items()))
    path = Path(source)
    readers = {".yaml": _yaml_rows, ".yml": _yaml_rows, ".json": _json_rows, ".csv": _table_rows, ".tsv": _table_rows}
    if path.suffix.lower() not in readers:
        raise DataError(
            f"{path} has the ending {path.suffix!r}; class words are a {', '.join(list(readers)[:-1])} or .tsv file."
        )
    return _checked(readers[path.suffix.lower()](path))


def _checked(rows: Iterable[tuple[str, Any, str]]) -> dict[str, str]:
    words: dict[str, str] = {}
    for key, value, where in rows:
        key = normal_name(key)
        if not isinstance(value, str):
            raise DataError(f"{where} has {quoted(value)} as words for {quoted(key)}; words must be text.")
        if not key or not value.strip():
            raise DataError(f"{where} names no words for {quoted(key)}; write `{key[:60] or 'folder'}: words`.")
        if key in words:
            raise DataError(f"{where} gives words for {quoted(key)} a second time.")
        words[key] = normal_name(value)
    return words


def refuse_bare_numbers(keys: Iterable[str], words: Mapping[str, str], source: str, hint: str) -> None:
    """Raises a `DataError` that names the classes whose name or words are a number, if any.

    Args:
        keys: folder names or labels.
        words: by key, for those that have some.
        source: where the keys are, as "the labels of pets.csv".
        hint: where words may also stand.
    """
    bare = [key for key in keys if is_number(words.get(key, key))]
    if bare:
        bare.sort(key=lambda key: (len(key), key))
        raise DataError(
            f"{source} are numbers; give class words for {', '.join(key[:40] for key in bare[:10])}"
            f"{' and others' if len(bare) > 10 else ''}, in a file with lines such as `{bare[0][:40]}: giant panda` "
            f"({hint})."
        )


def warn_about_codes(keys: Iterable[str], words: Mapping[str, str], source: str, hint: str) -> None:
    """Warn of class names that are numbers of WordNet (ImageNet's folders) without words: prompts would spell them out.

    Args:
        keys, words, source, hint: as in `refuse_bare_numbers`.

    Warns:
        ClassCodesWarning: once, with the first of them.
    """
    codes = sorted(key for key in keys if _WORDNET.fullmatch(words.get(key, key)))
    if codes:
        warnings.warn(
            f"{source} have codes of WordNet such as {codes[0]} ({len(codes)} in all), of which a model knows nothing; "
            f"give class words, in a file with lines such as `{codes[0]}: giant panda` ({hint}).",
            ClassCodesWarning,
            stacklevel=4,
        )


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


def _yaml_rows(path: Path) -> Iterator[tuple[str, Any, str]]:
    # Composed, not loaded: every key and value stays the text that was written, so that `no: Norway` and `007: agent`
    # keep their keys, and a key that stands twice is seen.
    root = compose_yaml(read_text(path, "class words file", MOST_BYTES), str(path))
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path} must have one `folder: words` a line.")
    for key, value in root.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise DataError(f"{where} is not `folder: words`.")
        yield key.value, value.value, where


def _json_rows(path: Path) -> Iterator[tuple[str, Any, str]]:
    root = parse_listed(read_text(path, "class words file", MOST_BYTES), str(path))
    if not isinstance(root, dict):
        raise DataError(f'{path} must be an object such as {{"n02510455": "giant panda"}}.')
    for key, value in root.items():
        yield key, value, str(path)


def _table_rows(path: Path) -> Iterator[tuple[str, Any, str]]:
    rows = read_table(path, "class words file", lambda cells: len(cells) == 2, every_row=True)
    for place, (line, cells) in enumerate(rows):
        where = f"{path}:{line}"
        if len(cells) != 2:
            raise DataError(f"{where} has {len(cells)} columns; it must have two, folder and words.")
        key, words = (cell.strip() for cell in cells)
        if place == 0 and key.lower() in KEY_HEADERS and words.lower() in WORD_HEADERS:
            continue
        yield key, words, where
