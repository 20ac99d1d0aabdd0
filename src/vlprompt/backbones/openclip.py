"""Backbones from OpenCLIP: by name and tag, from a local folder or file, and the bundled `mini`.

mini                                   the bundled model
ViT-B-16/openai                        architecture and pretrained tag, from OpenCLIP's list
a name that is none of these           what an installed package offers, see `vlprompt.plugins`
path/to/folder                         open_clip_config.json with weights beside it
ViT-B-16@path/to/weights.safetensors   a built-in architecture with weights from a file
ViT-B-16/openai@path/to/weights.pt     the same, where the tag says how the weights were trained (QuickGELU)

Other packages' spellings of the same are in `names`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn

from vlprompt.backbones.backbone import Backbone, ImagePreprocessing, freeze
from vlprompt.backbones.downloads import download_weights, unasked_if_unreachable
from vlprompt.backbones.listing import MINI, extra_needed, require_extra
from vlprompt.backbones.names import has_other_spelling, listed_names, local_path, our_name
from vlprompt.backbones.weight_files import plain_folder, plain_weights, read_config, refuse_prompts
from vlprompt.errors import BackboneError, BackboneWarning, SettingsError, UnknownNameError, VlpromptError, quoted
from vlprompt.plugins import Offer, offer_named, offered_names


def list_backbones() -> list[str]:
    """Names that `load_backbone` knows, the bundled one first."""
    return [MINI, *listed_names()]


def load_backbone(name: str | os.PathLike[str] = MINI, *, device: str = "auto", precision: str = "fp32") -> Backbone:
    """Load a frozen backbone.

    Args:
        name: see the top of this file; the backbone is then called by our spelling. A `Path` is a folder or file.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
        precision: "fp32"; on CUDA also "fp16" or "bf16", in which the frozen towers then run by autocast.

    Raises:
        UnknownNameError: no such model or tag; the message names the nearest.
        BackboneError: the weights cannot be loaded, or would have to be downloaded and there is no network.
        SettingsError: device or precision cannot be used here.
    """
    where = _device(device)
    if precision not in ("fp32", "fp16", "bf16"):
        raise UnknownNameError("precision", precision, ("fp32", "fp16", "bf16"))
    if precision != "fp32" and where.type != "cuda":
        raise SettingsError(f"precision {precision} needs a CUDA device, and this is {where}; use fp32.")
    name = _as_text(name)
    if offer := installed_backbone(name):
        return _offered(offer, where, precision)
    ours = our_name(name)
    try:
        model, config_name = _open_model(ours)
        tokenizer = _tokenizer(ours, config_name)
    except BackboneError as error:
        raise BackboneError(str(error) if ours == name else f"{name} is {ours} here: {error}") from error
    preprocess = open_clip.get_model_preprocess_cfg(model)
    return freeze(
        model,
        name=ours,
        preprocessing=_preprocessing(ours, preprocess),
        tokenizer=tokenizer,
        device=where,
        precision=precision,
    )


def installed_backbone(name: str) -> Offer | None:
    """What an installed package offers as a backbone of this name, if nothing of ours and no file is called so.

    Raises:
        SettingsError: several packages offer it.
    """
    ours = name in list_backbones() or name in open_clip.list_models() or has_other_spelling(name)
    if ours or re.search(r"[@:\\]", name) or name.startswith((".", "/", "~")) or os.path.exists(name):
        return None
    return offer_named("backbone", name)


def _offered(offer: Offer, device: torch.device, precision: str) -> Backbone:
    """The backbone of an installed package, under the name by which it was asked for."""
    load = offer.load()
    try:
        made = load(device=device, precision=precision)
    except VlpromptError:
        raise
    except Exception as error:
        raise offer.refused(f"cannot be made ({type(error).__name__}: {error})") from error
    if not isinstance(made, Backbone):
        raise offer.refused(f"is a {type(made).__name__} and no vlprompt.backbones.Backbone")
    return replace(made, name=offer.name)


def _as_text(name: Any) -> str:
    """The name; of a path so that it cannot be taken for a model's."""
    if isinstance(name, os.PathLike):
        return local_path(os.fsdecode(name))
    if not isinstance(name, str):
        raise SettingsError(
            f"backbone is {quoted(name)}; it must be a name of vlprompt list backbones, a path, or a Backbone."
        )
    return name


def _device(name: Any) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise SettingsError(f"device {quoted(name)} is none that torch knows; use auto, cpu or cuda.") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise SettingsError(f"device {name!r} was asked for, but torch cannot use it here; there is {usable}.")
    return device


def _open_model(name: str) -> tuple[nn.Module, str]:
    """The model, and the name by which OpenCLIP finds its tokenizer."""
    if name == MINI:
        folder = resources.files("vlprompt.backbones") / "mini"
        return _from_folder(name, Path(str(folder)))
    if name in list_backbones():
        if os.path.isdir(name):
            warnings.warn(f"{name} is the listed backbone; the folder is ./{name}.", BackboneWarning, stacklevel=3)
        return _from_list(name)
    architecture, at, path = name.partition("@")
    if at and not path:
        raise BackboneError(f"backbone {name!r} names no file; write its path behind the @.")
    if at:
        return _from_file(name, architecture, Path(os.path.expanduser(path)))
    local = os.path.expanduser(name)
    if os.path.isdir(local):
        return _from_folder(name, Path(local))
    if name.startswith((".", "/", "~")) and not os.path.exists(local):
        raise BackboneError(f"there is no folder or file {name}, which was given as backbone.")
    if os.path.isfile(local):
        refuse_prompts(Path(local))
        raise BackboneError(
            f"{name} is a file of weights without a configuration; name its architecture too, "
            f"for instance ViT-B-16@{name}."
        )
    return _from_list(name)


def _from_folder(name: str, folder: Path) -> tuple[nn.Module, str]:
    config = read_config(folder)["model_cfg"]
    require_extra(name, config)
    with plain_folder(folder) as plain, _hub_for(config):
        model = _create(name, f"local-dir:{plain}", str(folder))
    return model, f"local-dir:{folder}"


def _from_file(name: str, architecture: str, path: Path) -> tuple[nn.Module, str]:
    architecture, _, tag = architecture.partition("/")
    if architecture not in open_clip.list_models():
        raise UnknownNameError("architecture", architecture, open_clip.list_models())
    if not os.path.isfile(path):
        raise BackboneError(f"backbone {name!r}: there is no file {path}.")
    config = open_clip.get_model_config(architecture)
    require_extra(name, config)
    if not tag and f"{architecture}-quickgelu" in open_clip.list_models():
        warnings.warn(
            f"{architecture} exists with GELU and with QuickGELU; this takes GELU. For OpenAI's weights, which need "
            f"QuickGELU, say {architecture}/openai@{path}.",
            BackboneWarning,
            stacklevel=2,
        )
    trained_as = _trained_as(architecture, tag) if tag else _trained_alike(architecture, path)
    with plain_weights(path) as weights, _hub_for(config):
        return _create(name, architecture, str(path), pretrained=weights, **_options(trained_as)), architecture


def _trained_alike(architecture: str, path: Path) -> dict[str, Any]:
    """Preprocessing of weights without a tag: that of the architecture's tags, if they agree on it."""
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    known = [_trained_as(architecture, tag) for tag in tags]
    keys = ("mean", "std", "interpolation", "resize_mode")
    kinds = {json.dumps({key: config.get(key) for key in keys}) for config in known}
    if len(kinds) > 1:
        raise BackboneError(
            f"weights of {architecture} were trained with several kinds of preprocessing; say which these are, for "
            f"instance {architecture}/{tags[0]}@{path} (there are {', '.join(tags)})."
        )
    return {key: known[0][key] for key in keys if key in known[0]} if known else {}


def _from_list(name: str) -> tuple[nn.Module, str]:
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models() or not tag:
        ours = list_backbones()
        raise UnknownNameError("backbone", name, [*ours, *offered_names("backbone", ours)])
    trained_as = _trained_as(architecture, tag)
    config = open_clip.get_model_config(architecture)
    require_extra(name, config)
    weights = download_weights(name, trained_as)
    with _hub_for(config):
        return _create(name, architecture, weights, pretrained=weights, **_options(trained_as)), architecture


def _trained_as(architecture: str, tag: str) -> dict[str, Any]:
    """What OpenCLIP's list says about a pretrained tag: activation, normalisation, where the weights are."""
    config = open_clip.pretrained.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise UnknownNameError("backbone", f"{architecture}/{tag}", [f"{architecture}/{known}" for known in tags])
    return config


def _options(trained_as: dict[str, Any]) -> dict[str, Any]:
    """Model options that follow from the weights; of a missing QuickGELU OpenCLIP itself would only warn."""
    preprocess = {key: trained_as[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in trained_as}
    options: dict[str, Any] = {"force_preprocess_cfg": preprocess}
    return options | {"force_quick_gelu": True} if trained_as.get("quick_gelu") else options


def _create(name: str, config_name: str, source: str, **options: Any) -> nn.Module:
    with _quiet():
        try:
            return open_clip.create_model(config_name, require_pretrained=True, weights_only=True, **options)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BackboneError(f"backbone {name!r}: {source} cannot be loaded ({reason}).") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without OpenCLIP's own messages, which speak of its arguments and not of ours."""
    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _hub_for(model_config: Mapping[str, Any]) -> AbstractContextManager[None]:
    """How the Hugging Face hub is asked for what the transformers package needs of a model; not at all for others."""
    return unasked_if_unreachable() if extra_needed(model_config) else nullcontext()


def _tokenizer(name: str, config_name: str) -> Any:
    try:
        with _quiet(), _hub_for(open_clip.get_model_config(config_name)):
            return open_clip.get_tokenizer(config_name)
    except Exception as error:
        raise BackboneError(
            f"the tokenizer of {name} is not on this machine and cannot be downloaded ({type(error).__name__}); "
            "put its files (tokenizer.json and tokenizer_config.json, for instance) into the model's folder."
        ) from error


def _preprocessing(name: str, config: dict[str, Any]) -> ImagePreprocessing:
    size = config["size"]
    if isinstance(size, (tuple, list)):
        if size[0] != size[1]:
            raise BackboneError(f"backbone {name!r} takes images of {size[0]}x{size[1]}; only square ones work here.")
        size = size[0]
    return ImagePreprocessing(
        size=int(size),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config.get("interpolation", "bicubic"),
        resize_mode=config.get("resize_mode", "shortest"),
        fill_color=int(config.get("fill_color", 0)),
    )
