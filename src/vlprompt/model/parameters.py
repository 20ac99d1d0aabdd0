"""The estimator's parameters: checked before anything is computed, and saved with a model to fit it again.

What is saved says how to train, never where: no path of a backbone, cache or checkpoint comes out of a model folder.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlprompt.data.limits import check_max_pixels
from vlprompt.errors import ModelFolderError, SettingsError, SettingsWarning, UnknownNameError, VlpromptError
from vlprompt.methods import AUTO, METHODS, method_class
from vlprompt.methods.declarations import Declaration, declaration, declarations, recipe_named, recipe_names
from vlprompt.methods.templates import check_template
from vlprompt.model.folder import DESCRIPTION_FILE
from vlprompt.plugins import is_in_a_file
from vlprompt.recipes import Recipe, TrainingSettings, published_for
from vlprompt.settings_checks import choice, plain, plain_all, seed_number, shown, truth_value, whole_number

SAVED = (
    "shots",
    "seed",
    "recipe",
    "epochs",
    "batch_size",
    "learning_rate",
    "training",
    "options",
    "template",
    "class_names",
    "on_unreadable",
    "max_pixels",
    "new_names",
)
"""What of the estimator's parameters is saved with a model."""

SHOTS_OF_TRAINING = 16
"""Pictures a class that a method which is trained step by step draws unasked, as published; others take all, which
costs them one encoding each and only helps."""

_JSON_LABELS = (str, int, float, bool)


@dataclass(frozen=True)
class FitSettings:
    """What the parameters come to.

    Attributes:
        shots: training pictures per class, None for all; never "auto".
        seed: of the draw and the method's initial values.
        uses_pictures: whether pictures change the method.
        recipe: with the changes to its training.
        options: of the method, by name: the recipe's with the changes to them.
    """

    shots: int | None
    seed: int
    uses_pictures: bool
    recipe: Recipe
    options: dict[str, Any]


def checked_settings(parameters: Mapping[str, Any]) -> FitSettings:
    """The settings of an estimator's parameters, all of them checked.

    Raises:
        SettingsError: a parameter has a value that cannot be used, or names something that does not exist.

    Warns:
        SettingsWarning: a setting is ignored, because the method has no use for it.
    """
    method = parameters["method"]
    if not isinstance(method, str):
        known = ", ".join([AUTO, *METHODS])
        raise SettingsError(f"method is {shown(method)}; it must be one of {known}, or file.py:ClassName.")
    declared = None if method == AUTO else declaration(method)
    _check_reading(parameters)
    shots, seed = parameters["shots"], seed_number(parameters["seed"])
    if shots is not None and shots != "auto":
        shots = whole_number("shots", shots, least=1, instead=", 'auto', or None for all")
    new_names = truth_value("new_names", parameters["new_names"])
    short = {name: parameters[name] for name in ("epochs", "batch_size", "learning_rate")}
    changes = {name: value for name, value in short.items() if value is not None}
    changes |= _mapping("training", parameters["training"])
    if declared is None:
        _refuse_settings_of_methods(parameters["recipe"], changes, _mapping("options", parameters["options"]))
        return FitSettings(None if shots == "auto" else shots, seed, True, Recipe(AUTO), {"new_names": new_names})
    if new_names:
        raise SettingsError(
            f"new_names=True is for method={AUTO!r}, which chooses what serves names without pictures, and "
            f"method={method!r} was named; leave one of them out."
        )
    recipe = _recipe(method, declared, parameters["recipe"], SHOTS_OF_TRAINING if shots == "auto" else shots)
    if shots == "auto":
        shots = None if recipe.training is None else SHOTS_OF_TRAINING
    recipe = _with_training(method, declared, recipe, changes, seed)
    options = _with_options(method, declared, recipe, parameters["options"])
    return FitSettings(shots, seed, declared.uses_pictures, recipe, options)


def _check_reading(parameters: Mapping[str, Any]) -> None:
    """Check what says how pictures are read, and where things are kept."""
    if parameters["template"] is not None:
        check_template(_text("template", parameters["template"]))
    choice("on_unreadable", parameters["on_unreadable"], ("fail", "skip"))
    check_max_pixels(plain(parameters["max_pixels"]))
    for name in ("cache", "checkpoint"):
        if not isinstance(parameters[name], str | os.PathLike | None):
            raise SettingsError(f"{name} is {shown(parameters[name])}; it must be a path, or None for none.")
    if parameters["progress"] is not None:
        truth_value("progress", parameters["progress"])


def _refuse_settings_of_methods(recipe: Any, training: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise SettingsError where a setting is given that only a method has, and which one is not known yet."""
    if recipe is not None:
        found = recipe_named(_text("recipe", recipe))
        if found is None:
            raise UnknownNameError("recipe", recipe, recipe_names())
        raise SettingsError(f"recipe {recipe} belongs to the method {found[0]}; name it: method={found[0]!r}.")
    declared = declarations()
    if training:
        TrainingSettings.from_dict({"warmup_epochs": 0, **training})  # what is wrong for all methods is wrong here, too
        trained = [name for name, entry in declared.items() if entry.recipes[0].training is not None]
        raise SettingsError(
            f"{', '.join(training)} belong{'s' if len(training) == 1 else ''} to methods that are trained, and "
            f"method={AUTO!r} may choose another; name one of {', '.join(trained)} as the method."
        )
    for name in options:
        having = [method for method, entry in declared.items() if any(name == option.name for option in entry.options)]
        if not having:
            raise UnknownNameError(
                "option", name, [option.name for entry in declared.values() for option in entry.options]
            )
        raise SettingsError(
            f"{name} belongs to the method{'s' if len(having) > 1 else ''} {', '.join(having)}, and "
            f"method={AUTO!r} may choose another; name the one that you mean as the method."
        )


def parameters_to_save(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters to save, as plain JSON values.

    Raises:
        SettingsError: a parameter holds what JSON cannot.
    """
    saved = {name: plain_all(parameters[name]) for name in SAVED}
    names = parameters["class_names"]
    if isinstance(names, Mapping):  # pairs, because JSON's keys are text
        saved["class_names"] = [[_saved_label(label), plain(words)] for label, words in names.items()]
    for name, value in saved.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{name} is {shown(value)}, which cannot be saved ({error}).") from error
    return saved


def saved_parameters(
    training: Mapping[str, Any],
    method: str,
    options: dict[str, Any],
    template: str,
    folder: str | Path,
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """The parameters that a saved model was fitted with.

    Args:
        training: the model's record of its training.
        method: as it was asked for.
        options, template: of the fitted method, for models saved before parameters were.
        defaults: of all parameters, for those that are younger than the model.

    Raises:
        ModelFolderError: somebody has changed them to what cannot be used.
    """
    path = Path(folder) / DESCRIPTION_FILE
    saved = training.get("parameters")
    if saved is None:
        settings = training.get("settings")
        found = {"shots": training.get("shots"), "seed": training.get("seed", 1), "options": options}
        return found | {"template": template, "training": dict(settings) if isinstance(settings, dict) else None}
    if not isinstance(saved, dict):
        raise ModelFolderError(f"{path} was changed: training.parameters is {saved!r:.80}.")
    for name in saved:
        if name not in SAVED:
            raise ModelFolderError(
                f"{path} was changed: training.parameters has {name!r:.80}, which this vlprompt does not know (a "
                "newer one may have written it)."
            )
    try:
        with warnings.catch_warnings(action="ignore", category=SettingsWarning):
            checked_settings({**defaults, **saved, "method": method})
        return {**saved, "class_names": _saved_class_names(saved.get("class_names"))}
    except (VlpromptError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).rstrip(".")
        raise ModelFolderError(f"{path} was changed: training.parameters cannot be used ({reason:.200}).") from error


def _saved_label(label: Any) -> Any:
    """A label as JSON has it; what JSON has not, as its text, as which it comes back (see `data.labels`)."""
    label = plain(label)
    return label if isinstance(label, _JSON_LABELS) else str(label)


def is_method_file(method: str) -> bool:
    """Whether the method is a class in a file of the user's own."""
    return is_in_a_file(method)


def _saved_class_names(names: Any) -> list[str] | dict[Any, str] | None:
    """What `parameters_to_save` wrote: a list of words, or of pairs of a label and its words."""
    if names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return names
    if not isinstance(names, list) or not all(_is_pair(entry) for entry in names):
        raise SettingsError(f"class_names is {shown(names)}")
    return dict(names)


def _is_pair(entry: Any) -> bool:
    is_pair = isinstance(entry, list) and len(entry) == 2
    return is_pair and isinstance(entry[0], _JSON_LABELS) and isinstance(entry[1], str)


def _recipe(method: str, declared: Declaration, name: Any, shots: int | None) -> Recipe:
    """The recipe by name, or the method's usual one.

    One of the package's may train a method of the user's own.
    """
    if name is None:
        return published_for(declared.recipes, shots=shots)
    own = {recipe.name: recipe for recipe in declared.recipes}
    if (recipe := own.get(_text("recipe", name))) is not None:
        return recipe
    found = recipe_named(name)
    if found is None:
        raise UnknownNameError("recipe", name, dict.fromkeys([*own, *recipe_names()]))
    if not is_method_file(method):
        raise SettingsError(f"recipe {name} is for the method {found[0]}, and method is {method}.")
    return found[1]


def _with_training(method: str, declared: Declaration, recipe: Recipe, changes: dict[str, Any], seed: int) -> Recipe:
    if recipe.training is None:
        TrainingSettings.from_dict({"warmup_epochs": 0, **changes})  # what is wrong for all methods is wrong here, too
        _warn_of_ignored(changes, method, "has no training settings" if declared.uses_pictures else "learns nothing")
        return recipe
    return recipe.with_training(**{"seed": seed, **changes})


def _with_options(method: str, declared: Declaration, recipe: Recipe, options: Any) -> dict[str, Any]:
    """The recipe's options with the changes; those of other methods are left out.

    A length without words means random vectors of that length.
    """
    changes = _mapping("options", options)
    known = [option.name for option in declared.options]
    elsewhere = {option.name for other in declarations().values() for option in other.options}
    ignored = [name for name in changes if name not in known and name in elsewhere and known]
    _warn_of_ignored(ignored, method, "has no such option")
    changes = {name: value for name, value in changes.items() if name not in ignored}
    for name in changes:
        if known and name not in known:
            raise UnknownNameError(f"option of method {method}", name, known)
    if "context_length" in changes and "context_init" not in changes:
        changes["context_init"] = None
    merged = {**recipe.options, **changes}
    if not is_method_file(method):
        method_class(method).options_class(**merged)  # checks itself
    return merged


def _warn_of_ignored(names: Any, method: str, why: str) -> None:
    if names:
        listed = ", ".join(names)
        are = "is" if len(list(names)) == 1 else "are"
        warnings.warn(f"{listed} {are} ignored: the method {method} {why}.", SettingsWarning, stacklevel=4)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(f"{name} is {shown(value)}; it must be a mapping from names to values, or None.")
    return dict(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{name} is {shown(value)}; it must be text, or None.")
    return value
