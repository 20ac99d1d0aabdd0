"""Prompt tokens for the deeper layers of the text tower, and tokens in the image tower, by hooks on the frozen towers.

The towers' own code runs; hooks change what some blocks are given (VPT, arXiv 2203.12119; MaPLe, arXiv 2210.03117,
section 3.2):

    text   [SOS] v_1 .. v_M name . [EOS]     before block l, the rows of v become prompts of that layer
    image  [CLS] patches p_1 .. p_T          p is appended before the first norm, and replaced before block l

Hooks heed only the thread that set them, so that another thread may run the same tower without prompts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vlprompt.errors import BackboneError

Change = Callable[[Tensor], Tensor]
"""Hidden states (n, L, W) -> (n, L', W)."""


@contextmanager
def deep_text_prompts(blocks: Sequence[nn.Module], start: int, layers: Sequence[Tensor]) -> Iterator[None]:
    """While the block runs, the rows from `start` on are replaced before the second, third, ... text block.

    Args:
        blocks: of the text tower, first to last.
        start: the row of the first context vector.
        layers: prompts (M, D) of the second block, the third, and so on; fewer than there are blocks.
    """

    def replacing(prompts: Tensor) -> Change:
        def change(hidden: Tensor) -> Tensor:
            own = prompts.to(hidden.dtype).expand(len(hidden), -1, -1)
            return torch.cat([hidden[:, :start], own, hidden[:, start + prompts.shape[0] :]], dim=1)

        return change

    with _changing({block: replacing(prompts) for block, prompts in zip(blocks[1:], layers, strict=False)}):
        yield


@contextmanager
def image_prompts(model: Any, first: Tensor, layers: Sequence[Tensor]) -> Iterator[None]:
    """While the block runs, the image tower has T more tokens behind its patches.

    Args:
        model: an OpenCLIP model whose image tower is a `VisionTransformer`.
        first: tokens (T, W) that are appended before the first norm.
        layers: tokens (T, W) that take their places before the second block, the third, and so on.

    Raises:
        BackboneError: the image tower is of another kind, or pools over all tokens.
    """
    visual = check_takes_image_prompts(model)
    count = len(first)

    def appended(hidden: Tensor) -> Tensor:
        return torch.cat([hidden, first.to(hidden.dtype).expand(len(hidden), -1, -1)], dim=1)

    def replacing(tokens: Tensor) -> Change:
        return lambda hidden: torch.cat(
            [hidden[:, :-count], tokens.to(hidden.dtype).expand(len(hidden), -1, -1)], dim=1
        )

    blocks = list(visual.transformer.resblocks)
    changes: dict[nn.Module, Change] = {visual.ln_pre: appended}
    changes |= {block: replacing(tokens) for block, tokens in zip(blocks[1:], layers, strict=False)}
    with _changing(changes):
        yield


def check_takes_image_prompts(model: Any) -> Any:
    """The image tower of an OpenCLIP model, if tokens can be added to it.

    Raises:
        BackboneError: it cannot; says why.
    """
    visual = model.visual
    why = ""
    if not hasattr(getattr(visual, "transformer", None), "resblocks") or not hasattr(visual, "ln_pre"):
        why = f"it is a {type(visual).__name__}, not one of OpenCLIP's own vision transformers"
    elif getattr(visual, "attn_pool", None) is not None or visual.pool_type != "tok":
        why = "it pools over all tokens"
    elif not visual.transformer.batch_first:
        why = "its blocks take the tokens first"
    if why:
        raise BackboneError(
            f"the image tower of this model takes no prompt tokens: {why}; choose ViT-B-16/openai, say."
        )
    return visual


@contextmanager
def _changing(changes: dict[nn.Module, Change]) -> Iterator[None]:
    """While the block runs, these modules get their first argument changed, in this thread only."""
    mine = threading.get_ident()

    def hook(change: Change) -> Any:
        def before(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            return (change(arguments[0]), *arguments[1:]) if threading.get_ident() == mine else None

        return before

    with ExitStack() as stack:
        for module, change in changes.items():
            handle = module.register_forward_pre_hook(hook(change))
            stack.callback(handle.remove)
        yield
