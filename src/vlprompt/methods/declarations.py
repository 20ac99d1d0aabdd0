"""What the methods declare of themselves, read without importing torch.

The classes declare it, and their files import torch, which takes seconds. So `declarations.json` holds a copy of what
they declare, written by `python -m vlprompt.methods.declarations`. A row counts while the files that determine it have
the checksums that stand beside it; else the class itself is imported and asked, so that a change counts at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

from docstring_parser import parse as parse_docstring

from vlprompt.methods import METHODS, method_class
from vlprompt.recipes import Recipe, TrainingSettings, published_for

if TYPE_CHECKING:
    from vlprompt.methods.method import Method

PACKAGE = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("declarations.json")

_TYPES: dict[str, Any] = {
    "text": str,
    "whole number": int,
    "number": float,
    "truth value": bool,
    "texts": Sequence[str],
    "null": type(None),
}


@dataclass(frozen=True)
class Option:
    """An option of a method or of the training.

    Attributes:
        name: of the field.
        annotation: its type; None where it is none that the command line has.
        about: what the docstring of its class says.
    """

    name: str
    annotation: Any
    about: str


@dataclass(frozen=True)
class Declaration:
    """What a method's class says of itself; see `Method` for the attributes that are its own.

    Attributes:
        uses_pictures: whether labelled pictures change it, by training or in `setup`.
    """

    name: str
    title: str
    about: str
    source: str
    reads: str
    learns: bool
    uses_pictures: bool
    open_names: bool
    options: tuple[Option, ...]
    recipes: tuple[Recipe, ...]


def declaration(method: str) -> Declaration:
    """What a method declares: one of `METHODS`, or another one that `method_class` knows.

    Raises:
        UnknownNameError: no such method.
        SettingsError, MethodError: a method that cannot be used, see `method_class`.
    """
    return _tabled(method) if method in METHODS else declared_by(method_class(method))


def declarations() -> dict[str, Declaration]:
    """What all of `METHODS` declare, by name."""
    return {name: declaration(name) for name in METHODS}


def recipe_named(name: str) -> tuple[str, Recipe] | None:
    """A recipe of one of `METHODS` by its name, and the method's name; None where no method has it."""
    return next(((m, recipe) for m in METHODS for recipe in declaration(m).recipes if recipe.name == name), None)


def title_of(label: str) -> str:
    """How tables and reports write a method or recipe of the package by its name; anything else as it is."""
    if label in METHODS:
        return declaration(label).title
    _, recipe = recipe_named(label) or ("", Recipe(label))
    return recipe.title or label


def recipe_names() -> list[str]:
    """The names of all recipes of `METHODS`."""
    return [recipe.name for entry in declarations().values() for recipe in entry.recipes]


def recipe_for(method: str, protocol: str = "base-to-new", shots: int | None = 16) -> Recipe:
    """The recipe of a method under a protocol, see `published_for`.

    Raises:
        UnknownNameError: no such method or protocol.
    """
    return published_for(declaration(method).recipes, protocol, shots)


def methods_with_open_names() -> list[str]:
    """The methods that serve names which there are no pictures of."""
    return [name for name, declared in declarations().items() if declared.open_names]


def all_options(methods: Mapping[str, Declaration]) -> dict[str, tuple[list[str], Option]]:
    """The options of all methods by name, each with the methods that have it, as the first of these declares it."""
    found: dict[str, tuple[list[str], Option]] = {}
    for method, declared in methods.items():
        for option in declared.options:
            found.setdefault(option.name, ([], option))[0].append(method)
    return found


def declared_by(method: type[Method]) -> Declaration:
    """What a class declares."""
    name = getattr(method, "name", method.__name__)
    own = vars(method)  # a title and recipes are of one method, not of those that derive from it
    return Declaration(
        name=name,
        title=own.get("title") or name,
        about=method.about,
        source=method.source,
        reads=method.reads,
        learns=method.learns,
        uses_pictures=method.uses_pictures(),
        open_names=method.open_names,
        options=options_of(method.options_class),
        recipes=own.get("recipes") or (Recipe(name, TrainingSettings() if method.learns else None),),
    )


def options_of(settings: type) -> tuple[Option, ...]:
    """The fields of a dataclass of options, with what its docstring and those of its bases say of them."""
    about: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        for entry in parse_docstring(base.__doc__ or "").params if is_dataclass(base) else ():
            about[entry.arg_name] = re.sub(r"\s+", " ", entry.description or "")
    try:
        hints = typing.get_type_hints(settings)
    except NameError:  # of a module that the user's file imports for type checkers only
        hints = {}
    return tuple(
        Option(entry.name, hint if _members(hint := hints.get(entry.name)) else None, about.get(entry.name, ""))
        for entry in fields(settings)
    )


def _members(annotation: Any) -> list[str | list[str]] | None:
    """A type as JSON: the names of `_TYPES` and lists of choices; None where it has something else."""
    union = typing.get_origin(annotation) in (typing.Union, UnionType)
    names = {value: name for name, value in _TYPES.items()}
    found: list[str | list[str]] = []
    for one in typing.get_args(annotation) if union else (annotation,):
        choices = [str(word) for word in typing.get_args(one)] if typing.get_origin(one) is typing.Literal else None
        if choices is None and one not in names:
            return None
        found.append(names[one] if choices is None else choices)
    return found


def _annotation(members: Sequence[str | list[str]] | None) -> Any:
    """The type that `_members` wrote."""
    if members is None:
        return None
    return reduce(or_, (_TYPES[one] if isinstance(one, str) else typing.Literal[tuple(one)] for one in members))


@cache
def _tabled(name: str) -> Declaration:
    """The table's row, if the files that determine it have not changed since; else what the class says."""
    table = _table()
    row = table["methods"].get(name)
    if row is None or any(_checksum(file) != table["checksums"][file] for file in row["files"]):
        return declared_by(method_class(name))
    options = (Option(entry["name"], _annotation(entry["type"]), entry["about"]) for entry in row["options"])
    values = {entry.name: row[entry.name] for entry in fields(Declaration)}
    return Declaration(**{**values, "options": tuple(options), "recipes": tuple(map(_recipe, row["recipes"]))})


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {"methods": {}}


def _recipe(row: Mapping[str, Any]) -> Recipe:
    training = row["training"]
    training = None if training is None else TrainingSettings.from_dict(training)
    return Recipe(**{**row, "training": training, "protocols": tuple(row["protocols"])})


@cache
def _checksum(file: str) -> str:
    """Of a file of the package; "" where it is not there."""
    path = PACKAGE / file
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() if path.is_file() else ""


def row_of(method: type[Method]) -> dict[str, Any]:
    """A method's row of the table, with the files that determine it.

    These are the files of its class, of its options and of recipes, and those of the classes they derive from. What
    such a file imports beside these (a constant in the middle of a recipe, say) is no part: keep it in the file.
    """
    found = declared_by(method)
    classes = {*method.__mro__, *method.options_class.__mro__, Recipe}
    modules = {one.__module__ for one in classes if one.__module__.startswith("vlprompt.")}
    files = sorted(Path(str(sys.modules[name].__file__)).relative_to(PACKAGE).as_posix() for name in modules)
    return {
        **asdict(found),
        "options": [{"name": o.name, "type": _members(o.annotation), "about": o.about} for o in found.options],
        "recipes": [
            {**asdict(recipe), "training": recipe.training.as_dict() if recipe.training else None}
            for recipe in found.recipes
        ],
        "files": files,
    }


def table_text() -> str:
    """The table as the classes have it now."""
    rows = {name: row_of(method_class(name)) for name in METHODS}
    files = sorted({file for row in rows.values() for file in row["files"]})
    table = {"checksums": {file: _checksum(file) for file in files}, "methods": rows}
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table_text(), encoding="utf-8")
