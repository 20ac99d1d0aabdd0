"""Checkpoints as the published CoOp and CoCoOp code writes them, with values of our own methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlprompt.methods.method import Method
from vlprompt.methods.prompt_learner import PromptLearner

GIVEN = Path(__file__).parent / "reference/checkpoints"
COOP = GIVEN / "coop-food-seed1.pth.tar-10"
COCOOP = GIVEN / "cocoop-food-seed1.pth.tar-10"


def published_state(method: Method, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The state of the published prompt learner with this method's values."""
    assert isinstance(method, PromptLearner)
    embedded = method.backbone.embed_tokens(method.prompts.token_ids)
    state = {
        "ctx": method.context_vectors.detach(),
        "token_prefix": embedded[:, :1],
        "token_suffix": embedded[:, 1 + method.prompts.context_length :],
    }
    state |= {name: tensor for name, tensor in method.state_dict().items() if name.startswith("meta_net.")}
    return {name: tensor.to(dtype) for name, tensor in state.items()}


def write_published(path: Path, state: dict[str, Any], **beside: Any) -> Path:
    """A checkpoint with an optimiser and a schedule that hold objects, as published."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimiser = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    content = {
        "state_dict": state,
        "epoch": 10,
        "optimizer": optimiser.state_dict(),
        "scheduler": {"successor": schedule, "last_epoch": 10},
        "val_result": None,
    }
    torch.save(content | beside, path)
    return path
