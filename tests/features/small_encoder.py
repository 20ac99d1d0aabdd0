"""A small random image encoder and images of noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from vlprompt.backbones import ImagePreprocessing

PREPROCESSING = ImagePreprocessing(size=16, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))


@dataclass(eq=False)
class SmallEncoder:
    """A random convolution that counts what it encodes."""

    fingerprint: str = "a" * 64
    name: str = "small"
    feature_size: int = 8
    image: ImagePreprocessing = PREPROCESSING
    device: torch.device = torch.device("cpu")  # noqa: RUF009
    precision: str = "fp32"
    image_code: str = ""
    batches: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._model = nn.Conv2d(3, self.feature_size, 5, stride=4).requires_grad_(False)

    def encode_images(self, batch: Tensor) -> Tensor:
        assert batch.shape[1:] == (3, self.image.size, self.image.size)
        assert batch.dtype == torch.float32
        # What fills up a batch is one colour all over and does not count.
        self.batches.append(int((batch.flatten(2).std(2) > 0).any(1).sum()))
        return self._model(batch).tanh().mean((2, 3))

    @property
    def encoded(self) -> int:
        return sum(self.batches)


def random_pixels(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
