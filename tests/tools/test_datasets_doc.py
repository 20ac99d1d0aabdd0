"""The tables of docs/datasets.md are those of the declarations."""

from __future__ import annotations

from tests.tools.tool_modules import tool
from vlprompt.data.published.root import DEFAULT_ROOT, ROOT_VARIABLE
from vlprompt.data.published.sets import PUBLISHED


def test_the_document_has_the_tables_of_the_declarations():
    doc = tool("datasets_doc")
    text = doc.DOCUMENT.read_text()
    assert doc.rewritten(text) == text, "python tools/datasets_doc.py writes them anew"
    assert all(f"<!-- {name} -->" in text for name in doc.PARTS)


def test_every_data_set_and_every_file_is_in_the_document():
    text = tool("datasets_doc").DOCUMENT.read_text()
    for declared in PUBLISHED.values():
        assert f"| `{declared.name}` |" in text
        for source in declared.sources:
            assert all(f"`{place}`" in text for place in source.places)
    assert DEFAULT_ROOT in text
    assert ROOT_VARIABLE in text


def test_a_changed_declaration_changes_the_document(monkeypatch):
    doc = tool("datasets_doc")
    monkeypatch.delitem(PUBLISHED, "dtd")
    text = doc.DOCUMENT.read_text()
    assert doc.rewritten(text) != text
