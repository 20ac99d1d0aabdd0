"""The card shows names as they are, and none of them becomes a part of the card."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from vlprompt.model_card import model_card
from vlprompt.model_folder import SavedModel

HOSTILE = "<script>alert(1)</script> [x](javascript:y) ![z](http://z) | `a` **b**\n# forged\x1b[2J\u202e"


def card(name: str) -> str:
    return model_card(
        SavedModel(
            method=name,
            method_file_hash=None,
            options={name: name},
            template=name,
            class_names=[name, "light"],
            trained_class_names=[name, "light"],
            backbone=name,
            fingerprint="f",
            training={"data": {"name": name, "source": name}, "settings": {name: [name]}, "losses": [1.0, 0.5]},
            evaluation={name: {"accuracy": 50.0, "macro_f1": 40.0, "total": 2}},
        )
    )


def parts(markdown: str) -> list[str]:
    """The tags of the page that GitHub makes of it."""
    page = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    return re.findall(r"</?(\w+)", page)


def test_a_hostile_name_makes_no_heading_link_picture_row_or_script():
    text = card(HOSTILE)
    assert parts(text) == parts(card("name"))
    assert not {"script", "a", "img"} & set(parts(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_plain_names_stand_in_the_card_as_they_are():
    assert "## Classes\ncafé au lait, light" in card("café au lait")
