"""Rewrites the tables of docs/datasets.md from the declarations in `vlprompt.data.published`."""

from __future__ import annotations

import re
from pathlib import Path

from vlprompt.data.published.published_set import PublishedSet, Source
from vlprompt.data.published.sets import PUBLISHED

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "datasets.md"


def counts_table() -> str:
    """Names, folders, classes, pictures, templates and licences."""
    rows = [
        f"| `{one.name}` | [{one.title}]({one.page}) | `{one.folder}/` | {one.counts.classes:,} | "
        f"{_count(one.counts.train)} | {_count(one.counts.val)} | {_count(one.counts.test)} | `{one.template}` | "
        f"{one.licence} |"
        for one in PUBLISHED.values()
    ]
    heads = ("name", "data set", "folder", "classes", "train", "val", "test", "template", "licence")
    return _table(heads, rows)


def layout_table() -> str:
    """What each folder must hold, how it is split without its split file, and how classes are renamed."""
    rows = [
        f"| `{one.name}` | {_places(one.pictures)} | {_split(one)} | {one.rule.value} | {one.renamed or 'no'} |"
        for one in PUBLISHED.values()
    ]
    return _table(("name", "pictures", "split file or annotations", "split without the file", "renamed"), rows)


def sources_list() -> str:
    """Where each file comes from."""
    lines = []
    for one in PUBLISHED.values():
        lines.append(f"- **{one.title}**")
        lines += [f"  - {_places((source,))}: {_from(source)}" for source in one.sources]
    return "\n".join(lines)


PARTS = {"counts": counts_table, "layout": layout_table, "sources": sources_list}


def rewritten(text: str) -> str:
    """The document with each generated part made anew between its marks."""
    for name, part in PARTS.items():
        marks = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text = re.sub(marks, lambda match, part=part: f"{match[1]}{part()}\n{match[2]}", text, flags=re.DOTALL)
    return text


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |", *rows])


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _places(sources: tuple[Source, ...]) -> str:
    return ", ".join(f"`{place}`" for source in sources for place in source.places)


def _split(one: PublishedSet) -> str:
    return " or ".join(filter(None, [_places((one.split,)) if one.split else "", _places(one.annotations)])) or "-"


def _from(source: Source) -> str:
    checked = source.checksum.partition(":")[0]
    how = f"downloaded, {checked} checked" if checked else "downloaded, no checksum known" if source.url else "by hand"
    called = source.file_name if source.url or source.inside else "there"
    parts = [
        f"[{called}]({source.page or source.url})" if source.page or source.url else source.file_name,
        how,
    ]
    if source.size >= 1_000_000:
        parts.append(f"{source.size / 1e6:,.0f} MB")
    return ", ".join(parts) + (f". {source.hint}" if source.hint else "")


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text()))
