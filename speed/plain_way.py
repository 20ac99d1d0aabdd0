"""CoCoOp and its images the published way, written plainly: the baseline of the speed claims.

For every image, the prompts of all classes are put together as whole 77-token sequences and run through the whole text
encoder; the images of a batch follow one another in a loop. Only OpenCLIP's own modules are used.
"""

from __future__ import annotations

import copy
from typing import Any

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from vlprompt.backbones import ImagePreprocessing
from vlprompt.methods.cocoop import CoCoOp


def training_transform(image: ImagePreprocessing) -> Any:
    """A Pillow image -> a random crop, mirrored or not, (3, H, W) float32, normalised."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(image.size, scale=(0.08, 1), interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(image.mean, image.std),
        ]
    )


def evaluation_transform(image: ImagePreprocessing) -> Any:
    """A Pillow image -> its centre, (3, H, W) float32, normalised; OpenCLIP's own."""
    return open_clip.image_transform(image.size, is_train=False, mean=image.mean, std=image.std)


class PlainCoCoOp(nn.Module):
    """Context vectors and Meta-Net over an OpenCLIP model in OpenAI's layout.

    Args:
        model: a frozen OpenCLIP `CLIP`.
        token_ids: (N, 77) ids of "X X X X name.".
        context: (M, D) initial context vectors.
        meta_net: the Meta-Net.
    """

    def __init__(self, model: nn.Module, token_ids: Tensor, context: Tensor, meta_net: nn.Module) -> None:
        super().__init__()
        self.frozen = (model,)
        self.token_ids = token_ids
        self.context = nn.Parameter(context.clone())
        self.meta_net = meta_net
        with torch.no_grad():
            embeddings = model.token_embedding(token_ids)
        self.prefix = embeddings[:, :1]
        self.suffix = embeddings[:, 1 + len(context) :]

    @classmethod
    def like(cls, method: CoCoOp, classes: int) -> PlainCoCoOp:
        """With the values of a method of ours, over its first classes."""
        ids, context = method.prompts.token_ids[:classes], method.context_vectors.detach()
        return cls(method.backbone.model, ids, context, copy.deepcopy(method.meta_net))

    def forward(self, image_features: Tensor) -> Tensor:
        """Logits (B, N) of L2-normalised image features (B, E)."""
        (model,) = self.frozen
        shifts = self.meta_net(image_features)
        logits = []
        for image, shift in zip(image_features, shifts, strict=True):
            context = (self.context + shift).expand(len(self.token_ids), -1, -1)
            text = self.encode(torch.cat([self.prefix, context, self.suffix], dim=1))
            logits.append(model.logit_scale.exp() * image @ F.normalize(text, dim=-1).T)
        return torch.stack(logits)

    def encode(self, embeddings: Tensor) -> Tensor:
        """Text features (N, E) of whole sequences (N, 77, D)."""
        (model,) = self.frozen
        hidden = embeddings + model.positional_embedding
        hidden = model.transformer(hidden, attn_mask=model.attn_mask)
        hidden = model.ln_final(hidden)
        ends = hidden[torch.arange(len(hidden)), self.token_ids.argmax(dim=-1)]
        return ends @ model.text_projection
