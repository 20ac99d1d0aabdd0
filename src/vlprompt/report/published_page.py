"""What the page shows of published numbers: ours beside them where it is the same cell, else averages as context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vlprompt.protocols.published import PublishedRow, PublishedTable, published_table, published_tables
from vlprompt.report.few_shot import OWN_STYLE, FewShotSummary
from vlprompt.report.published import ComparedTable

PICTURES = "CLIP ViT-B/16 on 11 data sets of photographs"


def context_of(
    compared: Sequence[ComparedTable], has_new_names: bool, few: FewShotSummary | None, others: Iterable[str]
) -> dict[str, Any]:
    """What was published of the stories that have no cell in common with a published table.

    Args:
        others: the protocols of the other stories.
    """
    protocols = {one.table.protocol for one in compared}
    tables = [t for t in published_tables().values() if t.protocol in others and t.protocol not in protocols]
    return {
        "others": [{"columns": table.columns, **_block(table, table.rows)} for table in tables],
        "new": _new_names() if has_new_names and "base-to-new" not in protocols else None,
        "few": _with_pictures(few) if few is not None and "few-shot" not in protocols else None,
    }


def _new_names() -> dict[str, Any]:
    table, later = published_table("cocoop-table-1"), published_table("later-base-to-new")
    return {"setting": PICTURES, **_block(table), "later": _block(later)}


def _with_pictures(summary: FewShotSummary) -> dict[str, Any]:
    """The averages, with ours of the same method and shots below them."""
    table = published_table("later-few-shot")
    ours = summary.averages if OWN_STYLE in summary.tests else {}
    block = _block(table)
    for row in block["rows"]:
        row["ours"] = [ours.get((OWN_STYLE, row["method"], shots)) for shots in table.shots]
        row["here"] = any(row["ours"])
    return {"setting": PICTURES, "shots": table.shots, **block}


def _block(table: PublishedTable, rows: Sequence[PublishedRow] | None = None) -> dict[str, Any]:
    """Rows of a table, by default its averages, with numbered notes."""
    shown = table.averages if rows is None else rows
    notes = list(dict.fromkeys(note for row in shown for note in _notes(row)))
    made = [
        {"method": row.method, "values": row.values, "notes": [notes.index(note) + 1 for note in _notes(row)]}
        for row in shown
    ]
    return {"rows": made, "notes": notes, "source": table.paper, "read": table.read}


def _notes(row: PublishedRow) -> list[str]:
    source = f"Read in {row.source}" if row.source else ""
    doubt = f"Sources differ: {row.doubt}" if row.doubt else ""
    return [note.rstrip(".") for note in (row.chosen_on, doubt, source) if note]
