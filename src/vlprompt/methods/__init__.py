"""The methods, one file each, and how they are asked for by name.

Importing this package does not import torch; the classes load when they are built.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from vlprompt.errors import MethodError, SettingsError, UnknownNameError
from vlprompt.methods.templates import DEFAULT_TEMPLATE
from vlprompt.plugins import Offer, from_file, is_in_a_file, offer_named, offered_names

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method

METHODS = {
    "zero-shot": "vlprompt.methods.zero_shot:ZeroShot",
    "coop": "vlprompt.methods.coop:CoOp",
    "cocoop": "vlprompt.methods.cocoop:CoCoOp",
    "kgcoop": "vlprompt.methods.kgcoop:KgCoOp",
    "tcp": "vlprompt.methods.tcp:TCP",
    "maple": "vlprompt.methods.maple:MaPLe",
    "promptsrc": "vlprompt.methods.promptsrc:PromptSRC",
    "clip-lora": "vlprompt.methods.clip_lora:CLIPLoRA",
    "linear-probe": "vlprompt.methods.linear_probe:LinearProbe",
    "clap": "vlprompt.methods.clap:CLAP",
    "lp++": "vlprompt.methods.lp_plus_plus:LPPlusPlus",
    "gda": "vlprompt.methods.gda:GDA",
    "tip-adapter": "vlprompt.methods.tip_adapter:TipAdapter",
    "tip-adapter-f": "vlprompt.methods.tip_adapter:TipAdapterF",
    "blend": "vlprompt.methods.blend:Blend",
}
"""Every method's name and its class, which declares the rest. A new method is one file and one row here."""

AUTO = "auto"
"""What chooses among the methods where a method is asked for (`vlprompt.model.choosing`); no method itself."""


def method_class(name: str) -> type[Method]:
    """The class of a method: a name from `METHODS`, a user's own as "path/to/file.py:ClassName", or an installed one.

    Raises:
        UnknownNameError: no such method.
        SettingsError: a file that is not there, cannot be run, or has no such method class; or an installed package
            that cannot be used.
        MethodError: the class does not give what a method must.
    """
    if name in METHODS:
        module, _, class_name = METHODS[name].partition(":")
        return getattr(importlib.import_module(module), class_name)
    if name.endswith(".py"):
        raise SettingsError(f"method {name} names a file without its class; write {name}:ClassName.")
    if is_in_a_file(name):
        path, _, class_name = name.rpartition(":")
        return _checked_class(from_file("method", path, class_name), class_name, path)
    if offer := installed_method(name):
        return _checked_class(offer.load(), offer.entry.attr, f"the installed package {offer.package}")
    raise UnknownNameError("method", name, [AUTO, *METHODS, *offered_names("method", METHODS)])


def installed_method(name: str) -> Offer | None:
    """What an installed package offers as a method of this name, if it is none of ours.

    Raises:
        SettingsError: several packages offer it.
    """
    return None if name in (AUTO, *METHODS) else offer_named("method", name)


def _checked_class(found: Any, class_name: str, where: str) -> type[Method]:
    """A class that is a method and gives what a method must; `where` says whose it is."""
    from vlprompt.methods.method import Method

    if not (isinstance(found, type) and issubclass(found, Method)):
        raise SettingsError(f"{where} has no class {class_name} that derives from vlprompt.methods.method.Method.")
    _check_contract(found, f"the method {class_name} of {where}")
    return found


def _check_contract(method: type[Method], called: str) -> None:
    """Raise MethodError for a class that lacks what can be known before it is built."""
    missing = sorted(method.__abstractmethods__)
    if missing:
        raise MethodError(f"{called} does not give {' and '.join(missing)}.")
    options = getattr(method, "options_class", None)
    if not (isinstance(options, type) and is_dataclass(options)):
        raise MethodError(
            f"{called} has no dataclass as options_class; name one, such as "
            "vlprompt.methods.prompt_learner.PromptOptions."
        )
    bare = [option.name for option in fields(options) if option.default is option.default_factory is MISSING]
    if bare:
        raise MethodError(f"{called} has options without a default: {', '.join(bare)}.")


def build_method(
    name: str,
    backbone: Backbone,
    class_names: Sequence[str],
    *,
    options: Mapping[str, Any] | object | None = None,
    template: str = DEFAULT_TEMPLATE,
    seed: int = 1,
    one_prompt_allowed: bool = False,
) -> Method:
    """Build a method for N class names.

    Args:
        name: see `method_class`.
        options: the method's options dataclass, or a mapping of some of its fields.
        template: the data set's zero-shot template.
        seed: of the random initial values.
        one_prompt_allowed: let names pass that are one prompt to the backbone, as saved models may have them.

    Raises:
        SettingsError: an option that the method does not have, or with a value that it cannot use.
        DataError: a class name that is too long for the text tower, or two that are one prompt to it.
    """
    found = method_class(name)
    if isinstance(options, Mapping):
        known = [field.name for field in fields(found.options_class)]
        for option in options:
            if option not in known:
                raise UnknownNameError(f"option of method {name}", option, known)
        options = found.options_class(**options)
    allowed = {"one_prompt_allowed": True} if one_prompt_allowed else {}
    return found(backbone, class_names, options, template=template, seed=seed, **allowed)


__all__ = ["AUTO", "METHODS", "build_method", "installed_method", "method_class"]
