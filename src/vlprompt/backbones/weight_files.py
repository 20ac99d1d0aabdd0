"""Weights of backbones in files and folders of strangers: read without running anything that is in them.

OpenCLIP reads safetensors itself. What `torch.save` wrote, and OpenAI's TorchScript archives, go through
`files.tensor_archives` into a temporary safetensors file, so that one reader of ours stands before every pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from vlprompt.errors import BackboneError, ForeignFileError
from vlprompt.files import read_bounded
from vlprompt.files.checkpoint_files import how_to_convert, is_checkpoint_name
from vlprompt.files.tensor_archives import read_weights

CONFIG_FILE = "open_clip_config.json"
LARGEST_CONFIG = 1_000_000
_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
_READ_BY_OPENCLIP = (".safetensors", ".npz", ".npy")
_OPENCLIPS_ORDER = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_TOKENIZER_OPTIONS = {"clean", "strip_sep_token", "language"}
"""What OpenCLIP's own configurations say about tokenizers; others reach transformers, which can be told to run code."""


@contextmanager
def plain_weights(path: Path) -> Iterator[str]:
    """The file, or for one of `torch.save` or a TorchScript archive its tensors in a safetensors file.

    Raises:
        BackboneError: the file is damaged, or holds something else than a backbone's weights.
    """
    if path.suffix.lower() in _READ_BY_OPENCLIP:
        yield str(path)
        return
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "open_clip_model.safetensors"
        _write_plain(path, plain)
        yield str(plain)


@contextmanager
def plain_folder(folder: Path) -> Iterator[Path]:
    """The model folder, or where its weights are no safetensors a temporary one with the same model.

    Raises:
        BackboneError: it has no usable configuration or no weights.
    """
    config = read_config(folder)
    weights = _chosen_weights(folder)
    if weights.suffix == ".safetensors":
        yield folder
        return
    with TemporaryDirectory() as staged:
        (Path(staged) / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
        _write_plain(weights, Path(staged) / "open_clip_model.safetensors")
        yield Path(staged)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of an OpenCLIP model folder.

    Raises:
        BackboneError: it is missing, no JSON, of another program, or asks for more than data.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(read_bounded(path, LARGEST_CONFIG))
    except FileNotFoundError as error:
        foreign = os.path.isfile(folder / "config.json")
        kind = "; this is a folder of the transformers package, whose models are not read" if foreign else ""
        raise BackboneError(f"{path} is missing; an OpenCLIP model folder has it beside the weights{kind}.") from error
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        reason = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise BackboneError(f"{path} is not valid JSON{reason}.") from error
    model = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model, dict):
        raise BackboneError(f"{path} has no 'model_cfg'; it is not the configuration of an OpenCLIP model.")
    text = model.get("text_cfg", {})
    options = text.get("tokenizer_kwargs", {}) if isinstance(text, dict) else {}
    unknown = sorted(set(options) - _TOKENIZER_OPTIONS) if isinstance(options, dict) else ["tokenizer_kwargs"]
    if unknown:
        raise BackboneError(
            f"{path} gives the tokenizer the option {unknown[0][:60]!r}; of a model folder's only "
            f"{', '.join(sorted(_TOKENIZER_OPTIONS))} are taken, because others can run code."
        )
    return config


def refuse_prompts(path: Path) -> None:
    """Raise BackboneError if a file holds the learned prompts of the published code, which are no backbone."""
    try:
        prompts = is_checkpoint_name(path) or {"ctx", "token_prefix"} <= read_weights(path).keys()
    except ForeignFileError:
        return
    if prompts:
        raise BackboneError(f"{path} holds learned prompts, not a backbone; {how_to_convert(path)}.")


def _chosen_weights(folder: Path) -> Path:
    """The weights that OpenCLIP would take: by name, then safetensors before others, then the first."""
    try:
        found = [path for path in folder.iterdir() if path.suffix in _WEIGHTS and os.path.isfile(path)]
    except OSError as error:
        raise BackboneError(f"{folder} cannot be read: {error.strerror}.") from error
    if not found:
        raise BackboneError(f"{folder} has no weights; put open_clip_model.safetensors beside the configuration.")
    places = {name: place for place, name in enumerate(_OPENCLIPS_ORDER)}
    return min(found, key=lambda path: (places.get(path.name, len(places)), path.suffix != ".safetensors", path.name))


def _write_plain(path: Path, plain: Path) -> None:
    """A file's tensors as safetensors, half precision as single, in which the model computes."""
    try:
        state = read_weights(path)
    except ForeignFileError as error:
        raise BackboneError(str(error)) from error
    if {"ctx", "token_prefix"} <= state.keys():
        raise BackboneError(f"{path} holds learned prompts, not a backbone; {how_to_convert(path)}.")
    halves = (torch.float16, torch.bfloat16)
    save_file({name: tensor.float() if tensor.dtype in halves else tensor for name, tensor in state.items()}, plain)
