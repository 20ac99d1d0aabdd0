"""The card shows names as they are, and none of them becomes a part of the card."""

from __future__ import annotations

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from vlprompt.model.card import model_card
from vlprompt.model.description import SavedModel

HOSTILE = "<script>alert(1)</script> [x](javascript:y) ![z](http://z) | `a` **b**\n# forged\x1b[2J\u202e"


def card(name: str) -> str:
    return model_card(saved(name))


def saved(name: str) -> SavedModel:
    return SavedModel(
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


def test_a_model_that_learned_nothing_is_not_said_to_have_learned_prompts():
    assert "in which nothing is learned" in card("zero-shot")
    assert "zero-shot learned" not in card("zero-shot")
    assert "what CoOp learned for the frozen backbone" in card("coop")


def test_a_model_of_a_method_in_a_file_is_used_by_naming_the_file():
    own = replace(saved("mine.py:Mine"), method_file_hash="f")
    assert 'load("this folder", method="path/to/file.py:ClassName")' in model_card(own)
    assert "picture.png --method path/to/file.py:ClassName" in model_card(own)
    assert "ClassName" not in card("coop")
