"""Manifests: a CSV or JSON Lines file with one image a row.

    path,label,split
    images/1.jpg,cat,train
    images/2.jpg,dog,test

`split` may be left out as a whole, or be empty (null in JSON) in every row. Labels are class names, or
keys (numbers, codes) that class words give names to.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlprompt.data.entries import SPLIT_WORDS, Entry, Split
from vlprompt.data.inside import path_inside, refuse_missing
from vlprompt.errors import DataError
from vlprompt.text_files import read_text

COLUMNS = ("path", "label")
"""What each row must have."""

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


def manifest_entries(manifest: Path, image_root: Path | None = None) -> list[Entry]:
    """The images that a manifest lists, in its order.

    Args:
        manifest: .csv, .tsv (tab-separated), .jsonl or .ndjson.
        image_root: the folder that paths start from and must stay in; the manifest's own by default.

    Raises:
        DataError: the file cannot be read, lacks a column, has an empty or unknown value, lists a path outside the
            folder (each with `file:line`), or lists files that do not exist.
    """
    root = image_root if image_root is not None else manifest.parent
    rows = _json_rows(manifest) if manifest.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(manifest)
    entries: list[Entry] = []
    for line, row in rows:
        where = f"{manifest}:{line}"
        path, label = (_value(row, column, where) for column in COLUMNS)
        entries.append(Entry(path_inside(root, path, where), label, _split_of(row, where)))
    if not entries:
        raise DataError(f"{manifest} lists no images.")
    refuse_missing([entry.path for entry in entries], manifest, f"paths start from {root}")
    return entries


def are_numbers(entries: list[Entry]) -> bool:
    """Whether every label is a whole number, so that only class words can say what it means."""
    return all(entry.class_key.isdecimal() for entry in entries)


def check_numbers_have_words(manifest: Path, entries: list[Entry], words: Mapping[str, str]) -> None:
    """Raises a `DataError` that names the labels which are numbers without words, if any."""
    bare = sorted({entry.class_key for entry in entries if entry.class_key not in words}, key=int)
    if bare:
        raise DataError(
            f"the labels of {manifest} are numbers; give class words for {', '.join(bare[:10])}"
            f"{' and others' if len(bare) > 10 else ''}, in a file with lines such as `{bare[0]}: giant panda`."
        )


def _csv_rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    separator = "\t" if manifest.suffix.lower() == ".tsv" else ","
    # Kept line ends: a quoted cell may hold a line break.
    reader = csv.reader(read_text(manifest, "manifest").splitlines(keepends=True), delimiter=separator)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        for column in COLUMNS:
            if column not in header:
                there = ", ".join(map(repr, header)) or "none"
                raise DataError(f"{manifest} has no column {column!r}; its columns are {there}.")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise DataError(
                    f"{manifest}:{reader.line_num} has {len(cells)} cells for {len(header)} columns; a cell with a "
                    "comma needs quotes."
                )
            yield reader.line_num, dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise DataError(f"{manifest}:{reader.line_num} is not CSV: {error}") from error


def _json_rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(read_text(manifest, "manifest").split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{manifest}:{line} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f'{manifest}:{line} must be an object such as {{"path": "1.jpg", "label": "cat"}}.')
        for column in COLUMNS:
            if column not in row:
                raise DataError(
                    f"{manifest}:{line} has no {column!r}; it has {', '.join(map(repr, row)) or 'nothing'}."
                )
        yield line, row


def _value(row: dict[str, Any], column: str, where: str) -> str:
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(
            f"{where} has {value!r} as its {column}; it must be text{' or a whole number' * (column == 'label')}."
        )
    if not str(value).strip():
        raise DataError(f"{where} has no value for {column!r}.")
    return str(value).strip()


def _split_of(row: dict[str, Any], where: str) -> Split | None:
    value = row.get("split")
    # What pandas writes for a missing value: an empty cell, null or NaN, which alone differs from itself.
    word = "" if value is None or value != value else str(value).strip()
    if not word:
        return None
    if word.lower() not in SPLIT_WORDS:
        raise DataError(f"{where} has the split {word!r}; it must be train, val or test.")
    return SPLIT_WORDS[word.lower()]
