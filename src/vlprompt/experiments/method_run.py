"""A method as it takes part in a benchmark: by a name, with what differs from its published recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vlprompt.methods import AUTO, METHODS
from vlprompt.methods.declarations import recipe_for, recipe_named

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone


@dataclass(frozen=True)
class MethodRun:
    """A method as it takes part in a benchmark.

    Attributes:
        method: a name, or "path/to/file.py:ClassName".
        label: what tables call it; the method's name by default.
        options: fields of the method's options that differ from the published recipe; a function gives the value for a
            backbone.
        training: fields of `TrainingSettings` that differ from the published recipe.
    """

    method: str
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def named(cls, name: str, protocol: str) -> MethodRun:
        """The method run of a name: a method's, or a recipe's ("cocoop-fast").

        Args:
            protocol: by name; what differs from its published recipe are the run's changes.
        """
        found = None if name in (AUTO, *METHODS) else recipe_named(name)
        if found is None:
            return cls(name, name)
        method, recipe = found
        usual = recipe_for(method, protocol).training
        if recipe.training is None or usual is None:
            return cls(method, name, recipe.options)
        changes = {option: value for option, value in asdict(recipe.training).items() if value != asdict(usual)[option]}
        return cls(method, name, recipe.options, changes)

    def over(self, backbone: Backbone) -> MethodRun:
        """The run with the values that its options have over a backbone."""
        values = {name: value(backbone) if callable(value) else value for name, value in self.options.items()}
        return replace(self, options=values)
