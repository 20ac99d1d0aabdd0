"""Files of class names: one a line, or as CSV, JSON, JSON Lines or YAML write a list or the words of labels.

| ending | content |
| --- | --- |
| .csv, .tsv | one name a row, one row of names, or a header with a column of names (`HEADERS`) |
| .json | a list of names, or an object from labels to names |
| .jsonl, .ndjson | one name, or one object with a name (`HEADERS`), a line |
| .yaml, .yml | a list of names, or one `label: name` a line |
| any other | one name a line |

Labels that are whole numbers put the names in their order; otherwise it is that of the file. Names are text as it was
written, in Unicode's normal form (`checks.normal_name`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from vlprompt.data.checks import is_whole_number, normal_name
from vlprompt.data.tables import read_table
from vlprompt.errors import DataError, quoted
from vlprompt.files.json_files import parse_listed
from vlprompt.files.text_files import lines_of, read_text
from vlprompt.files.yaml_files import compose_yaml

HEADERS = ("words", "name", "names", "class_name", "classname", "class", "classes", "category", "label_name", "label")
"""What a column of names may be called; of several the first in this order holds them."""

MOST_BYTES = 2_000_000

_MARKUP = re.compile(r"""[\[\]{}],?|- .*|".*",?|'.*',?|\[.*\]|\{.*\}|\d+[:;,\t].*""")
"""Lines as JSON, YAML and CSV have them."""


def read_class_names(path: Path) -> list[str]:
    """The class names in a file, in the order of their labels.

    Raises:
        DataError: the file cannot be read, has another form than its ending says, or a name that is empty or no text.
    """
    read = READERS.get(path.suffix.lower(), _lines)
    names: list[str] = []
    for place, name in enumerate(read(path), start=1):
        if not isinstance(name, str):
            raise DataError(f"{path} has {quoted(name)} as its class name {place}; class names must be text.")
        if not normal_name(name):
            raise DataError(f"{path} has an empty class name, number {place}; take it out or write a name.")
        names.append(normal_name(name))
    if not names:
        raise DataError(f"{path} holds no class names.")
    return names


def _text(path: Path) -> str:
    return read_text(path, "class names file", MOST_BYTES)


def _lines(path: Path) -> list[str]:
    lines = [line for line in lines_of(_text(path)) if line.strip()]
    if lines and all(_MARKUP.fullmatch(line.strip()) for line in lines):
        raise DataError(
            f"{path} must have one name a line, and nothing else; it begins with {quoted(lines[0].strip())}, as lists "
            "of JSON, YAML or CSV do: call it .json, .yaml or .csv."
        )
    return lines


def _table(path: Path) -> list[str]:
    found = read_table(path, "class names file", lambda cells: len(cells) > 1 and _names_column(cells) is not None)
    rows = list(found)
    if not rows:
        return []
    _, first = rows[0]
    column = _names_column(first)
    if column is not None:
        for line, cells in rows[1:]:
            if len(cells) <= column:
                raise DataError(f"{path}:{line} has {len(cells)} cells and no {quoted(first[column].strip())}.")
        return [cells[column] for _, cells in rows[1:]]
    if len(rows) == 1:
        return first
    for line, cells in rows:
        if any(cell.strip() for cell in cells[1:]):
            raise DataError(
                f"{path}:{line} has {len(cells)} cells; it must be one name a row (with quotes, where a name has a "
                "separator), or have a first row with `name` above the names."
            )
    return [cells[0] for _, cells in rows]


def _names_column(cells: Sequence[str]) -> int | None:
    plain = [cell.strip().lower() for cell in cells]
    return next((plain.index(header) for header in HEADERS if header in plain), None)


def _json(path: Path) -> list[Any]:
    content = parse_listed(_text(path), str(path))
    if isinstance(content, dict):
        return _by_label(list(content.items()))
    if isinstance(content, list):
        return content
    raise DataError(f"{path} must be a list of class names, or an object from labels to names.")


def _json_lines(path: Path) -> list[Any]:
    names = []
    for line, text in enumerate(lines_of(_text(path)), start=1):
        if not text.strip():
            continue
        value = parse_listed(text, f"{path}:{line}")
        if isinstance(value, dict):
            column = _names_column(list(value))
            if column is None:
                raise DataError(f"{path}:{line} has none of the keys {', '.join(HEADERS)}.")
            value = list(value.values())[column]
        names.append(value)
    return names


def _yaml(path: Path) -> list[str]:
    root = compose_yaml(_text(path), str(path))
    if root is None:
        return []
    if isinstance(root, yaml.SequenceNode) and _are_scalars(root.value):
        return [item.value for item in root.value]
    if not isinstance(root, yaml.MappingNode) or not all(map(_are_scalars, root.value)):
        raise DataError(f"{path} must be a list of class names (`- giant panda`), or have one `label: name` a line.")
    names: dict[str, str] = {}
    for key, value in root.value:
        if key.value in names:
            raise DataError(f"{path}:{key.start_mark.line + 1} has the label {quoted(key.value)} a second time.")
        names[key.value] = value.value
    return _by_label(list(names.items()))


def _are_scalars(nodes: Sequence[yaml.Node]) -> bool:
    return all(isinstance(node, yaml.ScalarNode) for node in nodes)


def _by_label(pairs: list[tuple[str, Any]]) -> list[Any]:
    if all(is_whole_number(label) for label, _ in pairs):
        pairs = sorted(pairs, key=lambda pair: int(pair[0]))
    return [name for _, name in pairs]


READERS: dict[str, Callable[[Path], list[Any]]] = {
    ".csv": _table,
    ".tsv": _table,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".txt": _lines,
}
"""By the ending; a file of another one has one name a line."""
