"""Weights by name: from the hub's cache on this machine, else from the network, which may not be there."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import huggingface_hub
from open_clip.pretrained import download_pretrained

from vlprompt.errors import BackboneError

_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def download_weights(name: str, config: dict[str, Any]) -> str:
    """The file of a pretrained model's weights, downloaded if it is not yet here.

    Args:
        name: the backbone's, for messages.
        config: OpenCLIP's entry for the pretrained tag ("hf_hub" or "url").

    Raises:
        BackboneError: the file is not here and cannot be had; says so at once when there is no network.
    """
    cached = cached_file(config)
    if cached:
        return cached
    address = huggingface_hub.constants.ENDPOINT if config.get("hf_hub") else config.get("url", "")
    if not reachable(address):
        raise BackboneError(_unavailable(name, "there is no network"))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return str(download_pretrained(config))
    except Exception as error:
        raise BackboneError(_unavailable(name, str(error).splitlines()[0])) from error


@contextmanager
def unasked_if_unreachable() -> Iterator[None]:
    """Where the hub cannot be reached it is not asked: what is here serves, and the rest fails at once.

    The transformers package would ask again and again, for half a minute a file.
    """
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = before or not reachable(huggingface_hub.constants.ENDPOINT)
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


def _unavailable(name: str, reason: str) -> str:
    return (
        f"the weights of {name} are not on this machine and cannot be downloaded ({reason}); fetch them elsewhere and "
        f"name the file, as {name}@path/to/weights.safetensors, or a folder with open_clip_config.json and the weights."
    )


def cached_file(config: dict[str, Any]) -> str | None:
    """What an earlier download left, found without asking the network (which would retry for a minute)."""
    if config.get("hf_hub"):
        repository, file = os.path.split(config["hf_hub"])
        for candidate in [f"{os.path.splitext(file)[0]}.safetensors", file] if file else _HUB_FILES:
            path = huggingface_hub.try_to_load_from_cache(repository, candidate)
            if isinstance(path, str):
                return path
        return None
    path = Path(os.path.expanduser("~/.cache/clip")) / os.path.basename(config.get("url", "-"))
    return str(path) if os.path.isfile(path) else None


def reachable(address: str) -> bool:
    """Whether the host's name resolves; behind a proxy only the proxy could tell, so try."""
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlparse(address).hostname, 443)
    except OSError:
        return False
    return True
