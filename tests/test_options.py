"""No option is accepted and then ignored: each is read somewhere, as an attribute of what holds the options."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from vlprompt.classifier import PromptClassifier
from vlprompt.cli import arguments
from vlprompt.methods import METHODS, method_class
from vlprompt.methods.declarations import declarations
from vlprompt.model.parameters import checked_settings
from vlprompt.recipes import Recipe, TrainingSettings, learning_rate_at

SOURCE = Path(arguments.__file__).parents[1]
METHOD_OPTIONS = {option.name for declared in declarations().values() for option in declared.options}
TRAINING = {entry.name for entry in fields(TrainingSettings)}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def read_of(holders: Iterable[str], trees: Iterable[ast.AST]) -> set[str]:
    """The attributes of `settings`, `self.settings`, ... and the keys of `parameters["..."]` that some code reads."""
    return {name for tree in trees for name in _names(tree, set(holders))}


def _names(tree: ast.AST, holders: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Load):
            holder = node.value
            if getattr(holder, "attr", getattr(holder, "id", None)) not in holders:
                continue
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node.slice, ast.Constant):
                yield str(node.slice.value)


def function(found: object) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(found)))  # type: ignore[arg-type]


def test_every_training_option_is_read_by_what_trains() -> None:
    rooms = [*SOURCE.glob("training/*.py"), *SOURCE.glob("features/*.py"), SOURCE / "model" / "fitting.py"]
    read = read_of({"settings", "training"}, [*map(parsed, rooms), function(learning_rate_at)])
    assert read | read_of({"self"}, [function(TrainingSettings.for_images)]) >= TRAINING


def test_training_precision_decides_what_the_towers_compute_in() -> None:
    """The one option that is read by what checks it, too."""
    assert "precision" in read_of({"training"}, [parsed(SOURCE / "model" / "fitting.py")])


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_a_method_is_read_by_its_class_or_a_base(name: str) -> None:
    found = method_class(name)
    files = {Path(inspect.getfile(base)) for base in found.__mro__ if base.__module__.startswith("vlprompt.methods")}
    asked = read_of({"options"}, map(parsed, files))
    properties = {name: p.fget for name, p in vars(found.options_class).items() if isinstance(p, property)}
    through = read_of({"self"}, [function(getter) for name, getter in properties.items() if name in asked])
    assert asked | through >= {entry.name for entry in fields(found.options_class)}


def test_every_field_of_a_recipe_is_read() -> None:
    assert read_of({"recipe"}, map(parsed, SOURCE.rglob("*.py"))) >= {entry.name for entry in fields(Recipe)}


def test_every_parameter_of_the_classifier_is_read() -> None:
    known = set(inspect.signature(PromptClassifier).parameters)
    read = read_of({"self"}, [parsed(SOURCE / "classifier.py")])
    checked = read_of({"parameters"}, [function(checked_settings)])
    in_a_loop = {"epochs", "batch_size", "learning_rate"}  # `short` in checked_settings
    assert read | checked | in_a_loop >= known


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "convert", "benchmark base-to-new", "report"])
def test_every_option_of_a_command_is_read_by_its_module(command: str) -> None:
    parser = arguments.build_parser()
    for word in command.split():
        parser = parser._subcommands_action._name_parser_map[word]  # type: ignore[attr-defined]
    module = arguments.FUNCTIONS[command].split(":")[0]
    with_it = ["launching"] if command.startswith("benchmark") else []
    read = read_of({"options"}, [parsed(SOURCE / "cli" / f"{name}.py") for name in (module, *with_it)])
    known = {action.dest for action in parser._actions} - {"help", "config", "print_shtab"}
    taken_together = (METHOD_OPTIONS | TRAINING) if command in ("fit", "benchmark base-to-new") else set()
    assert read | taken_together >= known
