"""Manifests: a CSV or JSON Lines file with one image a row.

    path,label,split
    images/1.jpg,cat,train
    images/2.jpg,dog,test

`split` may be left out as a whole, or be empty (null in JSON) in every row. Labels are class names, or keys (numbers,
codes) that class words give names to. `tables.py` says how a table may be written, `COLUMNS` below what the columns may
be called, and `split_words.py` what the splits may be called.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vlprompt.data.checks import normal_name
from vlprompt.data.entries import Entry, Split
from vlprompt.data.formats import is_image_file
from vlprompt.data.inside import path_inside, refuse_missing
from vlprompt.data.split_words import splits_of, two_words_for_one
from vlprompt.data.tables import read_table
from vlprompt.errors import DataError, quoted
from vlprompt.files.json_files import parse_listed
from vlprompt.files.text_files import lines_of, read_text

COLUMNS = {
    "path": ("filepath", "file_path", "filename", "file_name", "file", "image_path", "image", "img_path", "img"),
    "label": ("class", "class_name", "classname", "category", "label_name", "name"),
    "split": (),
}
"""What a column may be called instead. Its own name goes before the others, of which only one may be there."""

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


MOST_ROWS = 2_000_000
"""ImageNet has 1.3 million pictures."""


class RepeatedRowsWarning(UserWarning):
    """A manifest lists images twice with the same label; each is taken once."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What a row says, and on which line."""

    line: int
    path: str
    label: str
    split: str


def manifest_entries(
    manifest: Path, image_root: Path | None = None, chosen: Mapping[str, str] | None = None
) -> list[Entry]:
    """The images that a manifest lists, in its order; a row that stands twice counts once.

    Args:
        manifest: .csv, .tsv, .jsonl or .ndjson.
        image_root: the folder that paths start from and must stay in; the manifest's own by default.
        chosen: what the columns "path" and "label" are called in this file.

    Raises:
        DataError: the file cannot be read, lacks a column or has two for one thing, has an empty or unknown value,
            lists a path outside the folder, or one image with two labels or splits (each with `file:line`), or lists
            files that do not exist.

    Warns:
        RepeatedRowsWarning: some rows stand twice.
    """
    root = image_root if image_root is not None else manifest.parent
    read = _json_rows if manifest.suffix.lower() in (".jsonl", ".ndjson") else _table_rows
    rows = list(islice(read(manifest, chosen or {}), MOST_ROWS + 1))
    if not rows:
        raise DataError(f"{manifest} lists no images.")
    if len(rows) > MOST_ROWS:
        raise DataError(f"{manifest} lists more than {MOST_ROWS:,} images; name fewer.")
    splits = _splits(manifest, rows)
    entries = [
        Entry(path_inside(root, row.path, f"{manifest}:{row.line}"), row.label, splits.get(row.split)) for row in rows
    ]
    entries = _without_repeats(manifest, rows, entries)
    refuse_missing([entry.path for entry in entries], manifest, f"paths start from {root}")
    return entries


def _table_rows(manifest: Path, chosen: Mapping[str, str]) -> Iterator[_Row]:
    rows = read_table(manifest, "manifest", lambda cells: _names_columns(cells, chosen))
    line, header = next(rows, (1, []))
    if any(is_image_file(Path(cell.strip())) for cell in header):
        raise DataError(
            f"{manifest}:{line} has no header but an image ({', '.join(map(quoted, header[:4]))}); write a first line "
            "with the names of the columns, such as path,label."
        )
    columns = _columns(header, chosen, str(manifest))
    needed = 1 + max(place for _, place in columns.values())
    for line, cells in rows:
        where = f"{manifest}:{line}"
        if any(cell.strip() for cell in cells[len(header) :]):
            raise DataError(
                f"{where} has {len(cells)} cells for {len(header)} columns; a cell with a separator needs quotes."
            )
        if len(cells) < needed:
            name = next(name for name, place in columns.values() if place >= len(cells))
            raise DataError(f"{where} has no value for {quoted(name)}; it has {len(cells)} of {len(header)} cells.")
        for name, place in columns.values():
            if name != columns["path"][0] and ("\n" in cells[place] or "\r" in cells[place]):
                raise DataError(
                    f"{where} has a {name} of several lines, {quoted(cells[place])}; perhaps a quotation mark is not "
                    "closed."
                )
        yield _row(line, {what: cells[place] for what, (_, place) in columns.items()}, columns, where)


def _json_rows(manifest: Path, chosen: Mapping[str, str]) -> Iterator[_Row]:
    for line, text in enumerate(lines_of(read_text(manifest, "manifest")), start=1):
        if not text.strip():
            continue
        where = f"{manifest}:{line}"
        row = parse_listed(text, where)
        if not isinstance(row, dict):
            raise DataError(f'{where} must be an object such as {{"path": "1.jpg", "label": "cat"}}.')
        names = list(row)
        columns = _columns(names, chosen, where)
        yield _row(line, {what: row[names[place]] for what, (_, place) in columns.items()}, columns, where)


def _names_columns(cells: Sequence[str], chosen: Mapping[str, str]) -> bool:
    try:
        _columns(cells, chosen, "")
    except DataError:
        return False
    return True


def _columns(names: Sequence[str], chosen: Mapping[str, str], where: str) -> dict[str, tuple[str, int]]:
    """The name and place of each column that is needed, and of `split` where there is one."""
    plain = [normal_name(name).lower() for name in names]
    found: dict[str, tuple[str, int]] = {}
    for what, others in COLUMNS.items():
        wanted = normal_name(chosen.get(what, what)).lower()
        places = [place for place, name in enumerate(plain) if name == wanted]
        if not places and what not in chosen:
            places = [place for place, name in enumerate(plain) if name in others]
        if len(places) > 1:
            both = " and ".join(quoted(names[place].strip()) for place in places[:2])
            choose = f", or name the right one with {what}_column (--{what}-column)" if what != "split" else ""
            raise DataError(f"{where} has two columns for the {what}, {both}; rename one{choose}.")
        if places:
            found[what] = (names[places[0]].strip(), places[0])
        elif what != "split":
            there = ", ".join(map(quoted, [name.strip() for name in names][:12])) or "none"
            raise DataError(
                f"{where} has no column {quoted(chosen.get(what, what))}; its columns are {there}. Name the right one "
                f"with {what}_column (--{what}-column)."
            )
    if found["path"][1] == found["label"][1]:
        raise DataError(f"{where} has one column, {quoted(found['path'][0])}, named for both the path and the label.")
    return found


def _row(line: int, values: Mapping[str, Any], columns: Mapping[str, tuple[str, int]], where: str) -> _Row:
    path, label, split = values["path"], values["label"], values.get("split")
    for what, value, kinds in (("path", path, str), ("label", label, (str, int))):
        name = columns[what][0]
        if isinstance(value, bool) or not isinstance(value, kinds):
            number = " or a whole number" if what == "label" else ""
            raise DataError(f"{where} has {quoted(value)} as its {name}; it must be text{number}.")
        if not str(value).strip():
            raise DataError(f"{where} has no value for {quoted(name)}.")
    # What pandas writes for a missing value: an empty cell, null or NaN, which alone differs from itself.
    missing = split is None or split != split
    word = "" if missing else str(split).strip()
    return _Row(line, path, sys.intern(normal_name(str(label))), sys.intern(word))


def _splits(manifest: Path, rows: Sequence[_Row]) -> dict[str, Split]:
    """The split of each word in the column."""
    first = {row.split: row.line for row in reversed(rows) if row.split}
    splits = splits_of(dict.fromkeys(row.split for row in rows if row.split))
    for word, line in sorted(first.items(), key=lambda item: item[1]):
        if word not in splits:
            raise DataError(f"{manifest}:{line} has the split {quoted(word)}; it must be train, val or test.")
    if clash := two_words_for_one(splits):
        one, other = clash
        raise DataError(
            f"{manifest} has both the splits {one!r} (line {first[one]}) and {other!r} (line {first[other]}), both "
            f"of which mean {splits[one]}; use one word."
        )
    return splits


def _without_repeats(manifest: Path, rows: Sequence[_Row], entries: Sequence[Entry]) -> list[Entry]:
    """The entries, each image once.

    Raises:
        DataError: an image stands twice with different labels or splits.
    """
    seen: dict[Path, int] = {}
    repeats: list[tuple[int, int]] = []
    kept: list[Entry] = []
    for place, entry in enumerate(entries):
        earlier = seen.setdefault(entry.path, place)
        if earlier == place:
            kept.append(entry)
            continue
        before, line, first = entries[earlier], rows[place].line, rows[earlier].line
        if before != entry:
            what, one, other = (
                ("label", before.class_key, entry.class_key)
                if before.class_key != entry.class_key
                else ("split", before.split, entry.split)
            )
            raise DataError(
                f"{manifest}:{line} gives {quoted(rows[place].path)} the {what} {quoted(other)}, and line {first} "
                f"the {what} {quoted(one)}; an image must have one."
            )
        repeats.append((line, first))
    if repeats:
        warnings.warn(
            f"{len(repeats)} row{'s' if len(repeats) > 1 else ''} of {manifest} repeat earlier ones (line "
            f"{repeats[0][0]} is as line {repeats[0][1]}); each image is taken once.",
            RepeatedRowsWarning,
            stacklevel=2,
        )
    return kept
