"""Which backbone a name means: ours, or the spelling of OpenAI's package, OpenCLIP or the Hugging Face hub.

ViT-B/16, RN50x4                                OpenAI's package
ViT-B-16,openai                                 OpenCLIP's pairs
local-dir:path/to/folder                        OpenCLIP's folders
hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K    OpenCLIP's repositories, also without hf-hub:
openai/clip-vit-base-patch16                    repositories of the transformers package
https://huggingface.co/openai/clip-vit-large-patch14    the page of either
"""

from __future__ import annotations

import os
import re

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from vlprompt.errors import BackboneError
from vlprompt.wording import others

LOCAL_FOLDER, REPOSITORY = "local-dir:", "hf-hub:"

_OPENAI_PACKAGE = {
    **{name: f"{name}/openai" for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")},
    **{f"ViT-{size}": f"ViT-{size.replace('/', '-')}/openai" for size in ("B/32", "B/16", "L/14")},
    "ViT-L/14@336px": "ViT-L-14-336/openai",
}
"""How OpenAI's package spells its models."""

_ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/]+/[^/]+)(?:/.*)?")
"""The page of a repository, as people copy it."""

_SIZES = {"base": "B", "large": "L", "so400m": "SO400M", "giant-opt": "gopt"}
_TRANSFORMERS = re.compile(
    r"(?:openai/clip-vit|google/(?P<siglip>siglip2?))-(?P<size>base|large|so400m|giant-opt)-patch(?P<patch>\d+)"
    r"(?:-(?P<pixels>\d+))?(?P<multilingual>-multilingual)?"
)
"""Repositories of the transformers package whose weights OpenCLIP's list has, too."""


def listed_names() -> list[str]:
    """Every architecture and pretrained tag of OpenCLIP's list, as ours: ViT-B-16/openai."""
    return [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]


def has_other_spelling(name: str) -> bool:
    """Whether it is how OpenAI's package spells a model of the list."""
    return name in _OPENAI_PACKAGE


def our_name(name: str) -> str:
    """The name as `load_backbone` uses it, itself where it is that already; a file or folder of the name comes first.

    Raises:
        BackboneError: a repository that is none of the list's, or an architecture without its weights; the message says
            what to write instead.
    """
    if name.startswith(LOCAL_FOLDER):
        return _folder(name)
    if os.path.exists(os.path.expanduser(name)):
        return name
    if name.startswith((".", "/", "~")):
        return name
    if address := _ADDRESS.fullmatch(name):
        return _of_repository(address[1], name)
    if name.startswith(REPOSITORY):
        return _of_repository(name.removeprefix(REPOSITORY), name)
    if name in _OPENAI_PACKAGE:
        return _OPENAI_PACKAGE[name]
    # ViT-B/16/openai and ViT-B/16@weights.pt: OpenAI's slash before a tag or a file.
    plain = re.sub(r"^(ViT-[A-Za-z0-9]+)/(\d+)(?=[/,:@]|$)", r"\1-\2", name)
    plain = re.sub(r"^([^@,:]+?)\s*[,:]\s*([^@,:/\s]+)(?=@|$)", r"\1/\2", plain)
    architectures = open_clip.list_models()
    if plain in architectures:
        raise BackboneError(_without_weights(plain))
    if plain.count("/") == 1 and plain.partition("/")[0] not in architectures:
        return _known_repository(plain) or plain
    return plain


def _folder(name: str) -> str:
    folder = name.removeprefix(LOCAL_FOLDER)
    if not folder:
        raise BackboneError(f'{name} names no folder; write the folder\'s path, as in backbone="path/to/folder".')
    return local_path(folder)


def local_path(folder: str) -> str:
    """The path, so that a folder's name is not taken for a model's."""
    return folder if os.path.isabs(os.path.expanduser(folder)) else os.path.join(os.curdir, folder)


def _of_repository(repository: str, name: str) -> str:
    found = _known_repository(repository)
    if found is None:
        raise BackboneError(
            f"{name!r} is a repository that vlprompt list backbones does not have; download it (hf download "
            f'{repository or "REPOSITORY"} --local-dir FOLDER) and name the folder, as in backbone="FOLDER".'
        )
    return found


def _known_repository(repository: str) -> str | None:
    """The listed name of a repository's weights, None where the list does not have them."""
    if match := _TRANSFORMERS.fullmatch(repository):
        return _of_transformers(match)
    for architecture, tag in open_clip.list_pretrained():
        # Of several the first, whose activation follows from the tag.
        if (get_pretrained_cfg(architecture, tag).get("hf_hub") or "").rstrip("/") == repository:
            return f"{architecture}/{tag}"
    return None


def _of_transformers(match: re.Match[str]) -> str | None:
    """The listed name of a repository of the transformers package, by its size, patch and pixels."""
    architecture, tag = f"ViT-{_SIZES[match['size']]}-{match['patch']}", "openai"
    if match["siglip"]:
        architecture, tag = f"{architecture}-{match['siglip'].replace('siglip', 'SigLIP')}", "webli"
    if match["multilingual"]:
        architecture += "-i18n"
    pixels = int(match["pixels"] or 224)
    for candidate in (f"{architecture}-{pixels}", architecture):
        config = open_clip.get_model_config(candidate)
        if config and config["vision_cfg"]["image_size"] == pixels and tag in _tags(candidate):
            return f"{candidate}/{tag}"
    return None


def _without_weights(architecture: str) -> str:
    # OpenAI's first: the ones that most people mean.
    tags = sorted(_tags(architecture), key=lambda tag: tag != "openai")
    of_a_file = f"a file of weights as {architecture}@path/to/weights.safetensors"
    if not tags:
        return f"{architecture!r} is an architecture that has no published weights; name {of_a_file}."
    named = ", ".join(f"{architecture}/{tag}" for tag in tags[:6])
    more = f" and {others(len(tags) - 6)}" if len(tags) > 6 else ""
    return f"{architecture!r} is an architecture without its weights; say which: {named}{more}, or {of_a_file}."


def _tags(architecture: str) -> list[str]:
    return open_clip.list_pretrained_tags_by_model(architecture)
