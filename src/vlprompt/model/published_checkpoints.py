"""Models from the checkpoints of the published CoOp and CoCoOp code (KaiyangZhou/CoOp): `model.pth.tar-10`.

Such a file holds, beside an optimiser, the state of the prompt learner for K classes with M context vectors:

    ctx                       (M, D), or (K, M, D) for class-specific contexts
    token_prefix              (K, 1, D), the embeddings of [SOS]
    token_suffix              (K, L - 1 - M, D), the embeddings of name, full stop, [EOS] and padding
    meta_net.linear1.*        CoCoOp only: (E/16, E) and (E/16,)
    meta_net.linear2.*        CoCoOp only: (D, E/16) and (D,)

It has neither the classes' names nor the backbone, but the embeddings of both, so that names and backbone are checked:
each row is looked up in the backbone's table of token embeddings, and the tokens are those of one of the names.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vlprompt.data.samples import Dataset
from vlprompt.errors import BackboneError, DataError, ForeignFileError, ForeignFileWarning
from vlprompt.files import open_regular
from vlprompt.files.checkpoint_files import checkpoint_in, epoch_in_name
from vlprompt.files.tensor_archives import ArchivedTensor, open_archive
from vlprompt.methods import build_method
from vlprompt.methods.prompt_learner import PromptOptions
from vlprompt.methods.templates import DEFAULT_TEMPLATE, check_template
from vlprompt.model.card import package_versions
from vlprompt.model.fitted import FittedClassifier
from vlprompt.text_engine import build_prompts

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method

PROMPT = ("ctx", "token_prefix", "token_suffix")
META_NET = tuple(f"meta_net.{layer}.{kind}" for layer in ("linear1", "linear2") for kind in ("weight", "bias"))
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class PublishedCheckpoint:
    """What a checkpoint holds, its shapes checked against one another.

    Attributes:
        path: where it was read from.
        epoch: the epochs that it was trained, counted from 1.
        context: (M, D), or (K, M, D) for class-specific contexts; as the others in single precision.
        prefix: (K, 1, D).
        suffix: (K, L - 1 - M, D).
        meta_net: its tensors by name, without "meta_net."; empty for CoOp.
    """

    path: Path
    epoch: int
    context: Tensor
    prefix: Tensor
    suffix: Tensor
    meta_net: dict[str, Tensor]

    @property
    def method(self) -> str:
        """The method that it was trained with."""
        return "cocoop" if self.meta_net else "coop"

    @property
    def context_length(self) -> int:
        """M."""
        return self.context.shape[-2]


def convert_checkpoint(
    checkpoint: str | Path,
    classes: Sequence[str] | Dataset,
    *,
    backbone: str | Backbone = "mini",
    position: str = "end",
    template: str | None = None,
    device: str = "auto",
) -> FittedClassifier:
    """The classifier that a checkpoint of the published CoOp or CoCoOp code was trained to be; `save` writes it.

    Args:
        checkpoint: the file `model.pth.tar-N` in a run's `prompt_learner` folder. Nothing in it is run.
        classes: the data set that it was trained on, or the names of its classes, in any order. Names that it was not
            trained on, such as those of the other half, may be among them.
        backbone: what it was trained with: a name for `load_backbone`, or a `Backbone`.
        position: where its class names stand, "end", "middle" or "front" (CLASS_TOKEN_POSITION, which the file does not
            tell).
        template: the zero-shot prompt that is kept with the model; None takes the data set's.
        device: as in `load_backbone`.

    Raises:
        ForeignFileError: the file is damaged or none of the published code's.
        BackboneError: it was trained with another backbone.
        DataError: one of its classes is not among `classes`.

    Example:
        convert_checkpoint("prompt_learner/model.pth.tar-10", load_dataset("emoji-food")).save("model")
        PromptClassifier.load("model")
    """
    from vlprompt.backbones import Backbone, load_backbone

    names = classes.class_names if isinstance(classes, Dataset) else _checked_names(classes)
    if template is None:
        template = classes.template if isinstance(classes, Dataset) else DEFAULT_TEMPLATE
    check_template(template)
    asked = PromptOptions(context_init=None, position=position)  # type: ignore[arg-type]
    read = read_published_checkpoint(Path(checkpoint))
    frozen = backbone if isinstance(backbone, Backbone) else load_backbone(backbone, device=device)
    trained = _names_in_order(read, frozen, names)
    options = replace(asked, context_length=read.context_length, class_specific=read.context.ndim == 3)
    method = build_method(read.method, frozen, trained, options=options, template=template, one_prompt_allowed=True)
    _fill(method, read)
    record = {
        "data": {
            "name": classes.name if isinstance(classes, Dataset) else f"{len(trained)} named classes",
            "classes": len(trained),
        },
        "origin": f"imported from the published implementation's checkpoint {read.path.name}",
        "checkpoint_sha256": _sha256(read.path),
        "checkpoint_epochs": read.epoch,
        "versions": package_versions(),
    }
    return FittedClassifier(frozen, method, read.method, trained, record)


def read_published_checkpoint(path: Path) -> PublishedCheckpoint:
    """Read a checkpoint's prompt learner, and check everything that can be checked without names and backbone.

    Raises:
        ForeignFileError: the file is damaged, or no checkpoint of CoOp or CoCoOp; says what is wrong.
    """
    if os.path.isdir(path):
        inside = checkpoint_in(path)
        raise ForeignFileError(f"{path} is a folder; name the checkpoint itself, {inside or 'model.pth.tar-N'}.")
    with open_archive(path) as archive:
        value = archive.value if isinstance(archive.value, dict) else {}
        state = value.get("state_dict")
        if not isinstance(state, dict) or not {"ctx", "module.ctx"} & state.keys():
            raise ForeignFileError(f"{path} holds no prompts of CoOp or CoCoOp: it has no 'state_dict' with 'ctx'.")
        epoch = _checked_epoch(path, value.get("epoch"))
        named = _without_module(path, state)
        tensors = {name: archive.expect_tensor(name, tensor) for name, tensor in named.items()}
        _check_names_and_types(path, tensors)
        read = {name: archive.read(tensor).float() for name, tensor in tensors.items()}
    for name, tensor in read.items():
        if not torch.isfinite(tensor).all():
            raise ForeignFileError(f"{path} has values in {name} that are not finite; its training failed.")
    _check_shapes(path, read)
    meta_net = {name.removeprefix("meta_net."): read[name] for name in META_NET if name in read}
    return PublishedCheckpoint(path, epoch, read["ctx"], read["token_prefix"], read["token_suffix"], meta_net)


def _checked_names(names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not all(isinstance(name, str) and name.strip(" _") for name in names):
        raise DataError("the names of the classes must be a list of text, none of it empty.")
    return list(names)


def _checked_epoch(path: Path, epoch: object) -> int:
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch < 10**9:
        raise ForeignFileError(f"{path} has no epoch, which a checkpoint of the published code has.")
    named = epoch_in_name(path)
    if named is not None and named != epoch:
        warnings.warn(f"{path} is named for epoch {named}, and holds epoch {epoch}.", ForeignFileWarning, stacklevel=4)
    return epoch


def _without_module(path: Path, state: dict[Any, Any]) -> dict[str, Any]:
    """The state without the "module." that training on several GPUs puts before every name."""
    named: dict[str, Any] = {}
    for name, value in state.items():
        short = str(name).removeprefix("module.")
        if short in named:
            raise ForeignFileError(f"{path} has {short[:60]!r} twice, with and without 'module.'.")
        named[short] = value
    return named


def _check_names_and_types(path: Path, tensors: dict[str, ArchivedTensor]) -> None:
    """Exactly the tensors of CoOp or of CoCoOp, all of them numbers with fractions."""
    needed = {*PROMPT, *META_NET} if set(META_NET) & tensors.keys() else set(PROMPT)
    for name in sorted(needed - tensors.keys()):
        raise ForeignFileError(f"{path} is incomplete: it has no {name}.")
    for name in sorted(tensors.keys() - needed):
        raise ForeignFileError(
            f"{path} has {name[:60]!r}, which neither CoOp nor CoCoOp has; other methods cannot be converted."
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ForeignFileError(f"{path} has {name} in the type {tensor.dtype}; it must be a floating-point type.")


def _check_shapes(path: Path, tensors: dict[str, Tensor]) -> None:
    """The shapes fit one another; whether they fit the backbone is known later."""
    context, prefix, suffix = (tensors[name] for name in PROMPT)
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    fit = context.ndim in (2, 3) and suffix.ndim == 3 and 0 not in (*context.shape, *suffix.shape)
    fit = fit and prefix.shape == (len(suffix), 1, context.shape[-1]) and suffix.shape[-1] == context.shape[-1]
    fit = fit and len(suffix) >= 2 and (context.ndim == 2 or len(context) == len(suffix))
    if fit and META_NET[0] in tensors:
        first, bias, second, last = (tensors[name].shape for name in META_NET)
        width = context.shape[-1]
        fit = context.ndim == 2 and len(first) == len(second) == 2 and second == (width, first[0])
        fit = fit and bias == (first[0],) and last == (width,)
    if not fit:
        raise ForeignFileError(f"{path} has tensors that do not belong together: {shapes}.")


def _names_in_order(read: PublishedCheckpoint, backbone: Backbone, names: Sequence[str]) -> list[str]:
    """The names that the checkpoint was trained on, in its order, found by their tokens.

    Raises:
        BackboneError: the embeddings are none of the backbone's.
        DataError: a class of the checkpoint is none of `names`.
    """
    _check_widths(read, backbone)
    table = _TokenTable(backbone)
    prompts = build_prompts(backbone, names, read.context_length)
    start = int(prompts.token_ids[0, 0])
    tokens = table.tokens_of(read.suffix)
    if tokens is None or table.tokens_of(read.prefix) != [(table.canonical(start),)] * len(read.suffix):
        raise BackboneError(
            f"{read.path} was trained with another backbone than {backbone.name}, whose token embeddings are others; "
            "name its own as backbone='PATH'."
        )
    waiting: dict[tuple[int, ...], list[str]] = {}
    for name, row in zip(names, prompts.token_ids.tolist(), strict=True):
        waiting.setdefault(tuple(map(table.canonical, row[1 + read.context_length :])), []).append(name)
    found = []
    for place, row in enumerate(tokens):
        if not waiting.get(row):
            words = _words(backbone, row)
            raise DataError(
                f"class {place + 1} of the {len(tokens)} in {read.path} is {words!r}, which is not among the "
                f"{len(names)} given names (such as {str(names[0])[:60]!r}); give the names that it was trained on."
            )
        found.append(waiting[row].pop(0))
    return found


def _check_widths(read: PublishedCheckpoint, backbone: Backbone) -> None:
    """Widths of tokens and features, and the length of prompts, are the backbone's."""
    length = 1 + read.context_length + read.suffix.shape[1]
    pairs = [
        ("token embeddings", read.context.shape[-1], backbone.token_width),
        ("prompts", length, backbone.text.context_length),
    ]
    if read.meta_net:
        pairs.append(("image features", read.meta_net["linear1.weight"].shape[1], backbone.feature_size))
    for what, its, ours in pairs:
        if its != ours:
            raise BackboneError(
                f"{read.path} was trained with another backbone than {backbone.name}: its {what} have the length "
                f"{its}, and here {ours}; name its own as backbone='PATH'."
            )


class _TokenTable:
    """From token embeddings to tokens; compared in half precision, in which the published code keeps them."""

    def __init__(self, backbone: Backbone) -> None:
        table = backbone.text.token_embedding.weight.detach().cpu()
        self._rows: dict[bytes, int] = {}
        # Tokens with equal embeddings, such as those that no training has touched, count as the first of them.
        self._canonical = [self._rows.setdefault(row, token) for token, row in enumerate(_bytes_of_rows(table))]

    def canonical(self, token: int) -> int:
        return self._canonical[token]

    def tokens_of(self, embeddings: Tensor) -> list[tuple[int, ...]] | None:
        """The tokens of embeddings (K, L, D), row by row; None if one is in no row of the table."""
        found = [self._rows.get(row) for row in _bytes_of_rows(embeddings.flatten(0, 1))]
        if None in found:
            return None
        length = embeddings.shape[1]
        tokens = [token for token in found if token is not None]
        return [tuple(tokens[start : start + length]) for start in range(0, len(tokens), length)]


def _bytes_of_rows(rows: Tensor) -> list[bytes]:
    # Adding zero makes -0.0 the same as 0.0.
    return [row.tobytes() for row in (rows.half() + 0.0).numpy()]


def _words(backbone: Backbone, tokens: tuple[int, ...]) -> str:
    """What the tokens say, for a message: without [EOS], full stop and padding."""
    decode = getattr(backbone.tokenizer, "decode", None)
    if decode is None:
        return f"tokens {tokens[:8]}"
    text = str(decode(list(tokens))).split("<end_of_text>")[0].strip().removesuffix(".").strip()
    return text[:60]


def _fill(method: Method, read: PublishedCheckpoint) -> None:
    """Give the method the checkpoint's values."""
    state = {"context_vectors": read.context} | {f"meta_net.{name}": value for name, value in read.meta_net.items()}
    try:
        method.load_state_dict(state)
    except RuntimeError as error:
        raise BackboneError(
            f"{read.path} does not fit {method.backbone.name}: {' '.join(str(error).split())[:200]}"
        ) from error


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
