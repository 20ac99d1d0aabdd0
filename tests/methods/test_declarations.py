"""What methods declare: as the classes say it, read without torch, and at once after a change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.methods import METHODS, declarations, method_class
from vlprompt.methods.declarations import TABLE, all_options, declaration, declared_by, options_of, table_text, title_of
from vlprompt.protocols import PROTOCOLS
from vlprompt.recipes import Recipe, TrainingSettings, published_for

OWN = '''
from dataclasses import dataclass

from vlprompt.methods.coop import CoOp
from vlprompt.methods.prompt_learner import PromptOptions
from vlprompt.recipes import Recipe, TrainingSettings


@dataclass(frozen=True)
class Options(PromptOptions):
    """Options.

    Attributes:
        strength: how much.
        table: of no type that is typed.
    """

    strength: float = 1.0
    table: dict[str, int] | None = None


class Mine(CoOp):
    name = "mine"
    options_class = Options
    recipes = (Recipe("mine", TrainingSettings(epochs=3), {"strength": 2.0}, source="mine"),)


class Bare(CoOp):
    pass
'''


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return str(path)


def test_the_table_is_what_the_classes_say() -> None:
    command = "run: python -m vlprompt.methods.declarations"
    assert TABLE.read_text(encoding="utf-8") == table_text(), command


@pytest.mark.parametrize("name", METHODS)
def test_a_declaration_from_the_table_is_that_of_the_class(name: str) -> None:
    assert declaration(name) == declared_by(method_class(name))


def test_the_table_is_read_without_torch_and_within_half_a_second() -> None:
    program = (
        "import sys, time\nstart = time.process_time()\nfrom vlprompt.methods.declarations import declarations\n"
        "declarations()\nassert 'torch' not in sys.modules\nassert time.process_time() - start < 0.5"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("changed", ["a checksum", "a row"])
def test_where_the_table_is_behind_the_class_is_asked(monkeypatch, changed: str) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    table["methods"]["kgcoop"]["about"] = "of an earlier version"
    if changed == "a checksum":  # of a file of a class that it derives from
        table["checksums"]["methods/prompt_learner.py"] = "0"
    else:
        del table["methods"]["kgcoop"]
    monkeypatch.setattr(declarations, "_table", lambda: table)
    declarations._tabled.cache_clear()
    assert declaration("kgcoop").about == method_class("kgcoop").about
    declarations._tabled.cache_clear()


def test_a_row_that_is_up_to_date_is_taken_from_the_table(monkeypatch) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    table["methods"]["kgcoop"]["about"] = "from the table"
    monkeypatch.setattr(declarations, "_table", lambda: table)
    declarations._tabled.cache_clear()
    assert declaration("kgcoop").about == "from the table"
    declarations._tabled.cache_clear()


def test_a_method_of_ones_own_declares_options_and_recipes(own: str) -> None:
    mine = declaration(f"{own}:Mine")
    assert [option.name for option in mine.options][-2:] == ["strength", "table"]
    assert {option.name: option.annotation for option in mine.options}["strength"] is float
    assert {option.name: option.annotation for option in mine.options}["table"] is None
    assert {option.name: option.about for option in mine.options}["memory"].startswith("bytes for the activations")
    assert [recipe.name for recipe in mine.recipes] == ["mine"]


def test_title_and_recipes_are_not_inherited(own: str) -> None:
    bare = declaration(f"{own}:Bare")
    assert bare.title == bare.name
    assert bare.recipes == (Recipe("coop", TrainingSettings()),)


def test_an_unknown_method_declares_nothing() -> None:
    with pytest.raises(UnknownNameError, match="did you mean gda"):
        declaration("gdaa")


@pytest.mark.parametrize(
    ("label", "title"),
    [
        ("tip-adapter-f", "Tip-Adapter-F"),
        ("zero-shot-ensemble", "zero-shot CLIP (ensemble)"),
        ("cocoop-fast", "cocoop-fast"),
        ("mine.py:Mine", "mine.py:Mine"),
    ],
)
def test_tables_write_a_label_as_its_method_is_titled(label: str, title: str) -> None:
    assert title_of(label) == title


def test_methods_that_share_an_options_name_share_its_type() -> None:
    methods = {name: declaration(name) for name in METHODS}
    for having, option in all_options(methods).values():
        for method in having:
            assert {other.annotation for other in methods[method].options if other.name == option.name} == {
                option.annotation
            }


TYPES = [int, float, str, bool, Sequence[str], int | None, Literal["a", "b"], Literal["a"] | int, str | float | None]


@given(st.sampled_from(TYPES))
def test_a_type_comes_back_from_the_table(annotation: object) -> None:
    assert declarations._annotation(declarations._members(annotation)) == annotation


def test_an_option_is_documented_where_its_class_or_a_base_documents_it() -> None:
    @dataclass
    class Base:
        """Options.

        Attributes:
            one: the first,
                at some length.
        """

        one: int = 1

    @dataclass
    class Derived(Base):
        """More.

        Attributes:
            two: the second.
        """

        two: int = 2

    assert [option.about for option in options_of(Derived)] == ["the first, at some length.", "the second."]


NAMES = list(PROTOCOLS)
RECIPES = tuple(
    Recipe(f"{protocol}-{shots}", protocols=(protocol,), shots=shots) for protocol in NAMES[:2] for shots in (2, 8)
)


@given(st.sampled_from(NAMES), st.none() | st.integers(1, 50))
def test_the_recipe_of_the_next_published_number_of_shots_is_taken(protocol: str, shots: int | None) -> None:
    usual = Recipe("usual")
    found = published_for((usual, *RECIPES), protocol, shots)
    if protocol not in NAMES[:2]:
        assert found is usual
    else:
        assert found.name == f"{protocol}-{2 if shots is not None and shots <= 2 else 8}"


def test_no_number_of_shots_is_refused() -> None:
    with pytest.raises(SettingsError, match="shots is 0"):
        published_for((Recipe("usual"),), shots=0)
