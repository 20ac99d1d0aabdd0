"""A frozen dual encoder: f for images, g for text, and the logit scale between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlprompt.backbones.fingerprints import fingerprint_of
from vlprompt.backbones.image_prompts import image_layers, image_width, why_no_image_prompts, with_image_prompts
from vlprompt.backbones.image_tower import IMAGES_AT_ONCE, ImageEncoder, image_encoder_of
from vlprompt.backbones.text_tower import TextTower, text_tower_of
from vlprompt.backbones.tower_attention import attention_of, with_tower
from vlprompt.errors import BackboneError
from vlprompt.process.forking import survive_forks

Tokenizer = Callable[..., Tensor]

TEXTS_AT_ONCE = 64

LISTS_KEPT = 4
"""Of texts whose features a backbone keeps: a data set's names, its halves, and another template."""


@dataclass(frozen=True)
class ImagePreprocessing:
    """What an image goes through before the image encoder.

    Attributes:
        size: height and width in pixels.
        mean, std: per channel, for values in [0, 1].
        interpolation: "bicubic" or "bilinear".
        resize_mode: "shortest" (short side to `size`, then centre crop), "longest" or "squash", as OpenCLIP names them.
        fill_color: of the border that "longest" adds, 0 to 255.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0


@dataclass(frozen=True, eq=False)
class Backbone:
    """A frozen vision-language model behind one small interface; no method ever changes it.

    Attributes:
        name: as given to `load_backbone`.
        fingerprint: SHA-256 of the weights and of what else determines the features; see `fingerprints`.
        feature_size: E, the width of image and text features.
        logit_scale: exp(s) of the logits exp(s) * cos(f, g), already exponentiated.
        logit_bias: added to the logits (0 but for SigLIP).
        image: what an image goes through first.
        text: the pieces of the text tower.
        tokenizer: texts -> ids (n, context length).
        device: where the weights are.
        precision: "fp32", or "fp16"/"bf16" for autocast of the frozen towers on CUDA.
        encode_pixels: images (B, 3, H, W) -> features (B, E), in the model's type.
        image_code: how `encode_pixels` computes, for cache keys; see `image_tower`.
    """

    name: str
    fingerprint: str
    feature_size: int
    logit_scale: float
    logit_bias: float
    image: ImagePreprocessing
    text: TextTower
    tokenizer: Tokenizer
    device: torch.device
    precision: str
    model: Any
    encode_pixels: ImageEncoder
    image_code: str
    _kept_texts: dict[bytes, Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def token_width(self) -> int:
        """D, the width of a token embedding and of a context vector."""
        return self.text.token_width

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights and of what is learned beside them."""
        return self.text.token_embedding.weight.dtype

    def autocast(self) -> torch.autocast:
        """The context in which the frozen towers run: half precision on CUDA by choice, else a no-op."""
        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.precision)
        return torch.autocast(self.device.type, dtype=half or torch.bfloat16, enabled=half is not None)

    def __repr__(self) -> str:
        return f"<Backbone {self.name!r} on {self.device}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Backbone:
        """Itself: nothing ever changes it, and scikit-learn copies an estimator's parameters with each `clone`."""
        return self

    @contextmanager
    def constants(self) -> Iterator[None]:
        """For what is computed once and used ever after: nothing of the caller's modes may stay in it.

        Inference mode would make tensors that training cannot use, autocast rounded ones.
        """
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            yield

    @torch.no_grad()
    def encode_images(self, batch: Tensor) -> Tensor:
        """Image features f(x), not normalised: (B, 3, H, W), preprocessed -> (B, E)."""
        with self.autocast():
            features = self.encode_pixels(batch.to(self.device, self.dtype, non_blocking=True))
        return features.to(self.dtype)

    def image_prompt_places(self) -> tuple[int, int]:
        """How many layers of the image tower take tokens beside the patches, and their width W.

        Raises:
            BackboneError: the image tower takes none; says why.
        """
        visual = self.model.visual
        if why := why_no_image_prompts(visual):
            raise BackboneError(
                f"the image tower of the backbone {self.name!r} takes no prompt tokens: {why}; choose ViT-B-16/openai, "
                "say."
            )
        return image_layers(visual), image_width(visual)

    def encode_prompted_images(self, batch: Tensor, layers: Sequence[Tensor]) -> Tensor:
        """`encode_images` with a method's own tokens beside the patches, and with gradients to them.

        The text tower's hook for the same is `text_engine.SegmentsEngine`, which takes contexts of deeper layers.

        Args:
            batch: (B, 3, H, W), preprocessed.
            layers: tokens (T, W) for the first layer of the tower, the second, ...; see `image_prompts`.

        Raises:
            BackboneError: the image tower takes no tokens, or has fewer layers.
        """
        deepest, _ = self.image_prompt_places()
        if len(layers) > deepest:
            raise BackboneError(
                f"the image tower of the backbone {self.name!r} has {deepest} layers, not {len(layers)}."
            )
        tower = with_image_prompts(self.model.visual, layers)
        images = batch.to(self.device, self.dtype, non_blocking=True)
        with self.autocast():
            features = torch.cat([tower(some) for some in images.split(IMAGES_AT_ONCE)])
        return features.to(self.dtype)

    def encode_texts(self, token_ids: Tensor) -> Tensor:
        """Features g(t), not normalised, of whole token sequences (n, L): (n, E).

        Those of the last few lists are kept: heads, zero-shot and a benchmark's runs ask for the same names.
        """
        key = token_ids.cpu().numpy().tobytes()
        if key not in self._kept_texts:
            with self.constants(), self.autocast():
                batches = token_ids.to(self.device).split(TEXTS_AT_ONCE)
                features = torch.cat([self.text.encode_tokens(some) for some in batches]).to(self.dtype)
            for oldest in list(self._kept_texts)[: 1 - LISTS_KEPT]:
                self._kept_texts.pop(oldest, None)
            self._kept_texts[key] = features
        return self._kept_texts[key].clone()

    def attention_modules(self, tower: Literal["image", "text"]) -> list[nn.MultiheadAttention]:
        """The attention modules of the blocks of a tower, frozen; a method may put others in their place.

        Raises:
            BackboneError: the tower has other blocks.
        """
        found = attention_of(self.model.visual if tower == "image" else getattr(self.model, "text", self.model))
        if not found:
            raise BackboneError(
                f"the {tower} tower of the backbone {self.name!r} has no attention that can be changed: its blocks are "
                "not OpenCLIP's own; choose ViT-B-16/openai, say."
            )
        return found

    def encode_images_through(self, batch: Tensor, attention: Sequence[nn.Module]) -> Tensor:
        """`encode_images` with other attention in the blocks of the image tower, and with gradients to it.

        Args:
            batch: (B, 3, H, W), preprocessed.
            attention: for each of `attention_modules` what is called in its place. Without gradients the blocks run as
                in `encode_images`, which takes weights and no calls: then each is an `nn.MultiheadAttention`.
        """
        model = with_tower(self.model, "image", attention)
        images = batch.to(self.device, self.dtype, non_blocking=True)
        encode = model.encode_image if torch.is_grad_enabled() else image_encoder_of(model, self.device)[0]
        with self.autocast():
            features = torch.cat([encode(some) for some in images.split(IMAGES_AT_ONCE)])
        return features.to(self.dtype)

    def encode_texts_through(self, token_ids: Tensor, attention: Sequence[nn.Module]) -> Tensor:
        """`encode_texts` with other attention in the blocks of the text tower, and with gradients to it.

        Of many texts some at a time hold activations; those of the others are computed again in the backward pass.

        Args:
            token_ids: (n, L).
            attention: as in `encode_images_through`.
        """
        tower = text_tower_of(with_tower(self.model, "text", attention), self.text.context_length)
        batches = token_ids.to(self.device).split(TEXTS_AT_ONCE)
        with self.autocast():
            if not torch.is_grad_enabled():
                features = [tower.encode_tokens(some) for some in batches]
            elif len(batches) == 1:
                features = [tower.encode_to_the_end(some) for some in batches]
            else:
                features = [checkpoint(tower.encode_to_the_end, some, use_reentrant=False) for some in batches]
        return torch.cat(features).to(self.dtype)

    @torch.no_grad()
    def embed_tokens(self, token_ids: Tensor) -> Tensor:
        """Token embeddings without positions: ids (..., L) -> (..., L, D)."""
        return self.text.token_embedding(token_ids.to(self.device))


def freeze(
    model: Any,
    *,
    name: str,
    preprocessing: ImagePreprocessing,
    tokenizer: Tokenizer,
    device: torch.device,
    precision: str = "fp32",
) -> Backbone:
    """Make a backbone of an OpenCLIP model: evaluation mode, no gradients, fingerprinted."""
    survive_forks()
    model.eval().requires_grad_(False)
    text = text_tower_of(model, getattr(tokenizer, "context_length", None))
    fingerprint = fingerprint_of(model, preprocessing, text, tokenizer)
    model.to(device)
    bias = getattr(model, "logit_bias", None)
    encode_pixels, image_code = image_encoder_of(model, device)
    return Backbone(
        name=name,
        fingerprint=fingerprint,
        feature_size=text.feature_size,
        logit_scale=float(model.logit_scale.exp()),
        logit_bias=float(bias) if bias is not None else 0.0,
        image=preprocessing,
        text=text,
        tokenizer=tokenizer,
        device=device,
        precision=precision,
        model=model,
        encode_pixels=encode_pixels,
        image_code=image_code,
    )
