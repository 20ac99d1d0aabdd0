"""Image features are those of the model's own code, whatever the tower, and its weights keep their values."""

from __future__ import annotations

import math
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny_models import VISION, tiny_backbone
from vlprompt.backbones.image_tower import BLOCKS, IMAGES_AT_ONCE, OWN_CODE, image_encoder_of

TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}

TAKEN_OVER: dict[str, dict[str, Any]] = {
    "laion": {},
    "openai": {"quick_gelu": True},
    "tanh GELU": {"vision": {"act_kwargs": {"approximate": "tanh"}}},
    "layer scale": {"vision": {"ls_init_value": 0.3}, "quick_gelu": True},
    "mean of the patches": {"vision": {"pool_type": "avg"}},
    "norm after pooling": {"vision": {"final_ln_after_pool": True, "pool_type": "avg"}},
    "no first norm": {"vision": {"no_ln_pre": True}},
    "one layer": {"vision": {"layers": 1}},
    "narrow MLP": {"vision": {"mlp_ratio": 1.5}},
    "attentional pool": {"vision": {"attentional_pool": True, "attn_pooler_heads": 2}},
}

LEFT_ALONE: dict[str, dict[str, Any]] = {
    "a convolutional tower": {"vision": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 32}},
    "blocks with other norms": {"vision": {"block_type": "custom", "qk_norm": True}},
    "tokens beside the feature": {"vision": {"output_tokens": True}},
}


def model_of(vision: dict[str, Any] | None = None, *, quick_gelu: bool = False) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = CLIP(16, VISION | (vision or {}), TEXT, quick_gelu=quick_gelu).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def images(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(count)).to(dtype)


@pytest.mark.parametrize("count", [1, IMAGES_AT_ONCE, IMAGES_AT_ONCE + 3])
@pytest.mark.parametrize("tower", TAKEN_OVER)
def test_features_are_those_of_the_models_own_code(tower: str, count: int) -> None:
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        model, batch = model_of(**TAKEN_OVER[tower]).to(dtype), images(count, dtype)
        with torch.no_grad():
            expected = model.encode_image(batch)
            encode, code = image_encoder_of(model, torch.device("cpu"))
            features = encode(batch)
        assert code == BLOCKS
        assert features.dtype == dtype
        assert (features - expected).norm() < tolerance * expected.norm()


@pytest.mark.parametrize("tower", LEFT_ALONE)
def test_a_tower_of_another_kind_keeps_its_own_code(tower: str) -> None:
    model = model_of(**LEFT_ALONE[tower])
    assert image_encoder_of(model, torch.device("cpu")) == (model.encode_image, OWN_CODE)


def test_a_gpu_keeps_the_models_own_code() -> None:
    model = model_of()
    assert image_encoder_of(model, torch.device("cuda")) == (model.encode_image, OWN_CODE)


def test_the_images_and_the_models_weights_keep_their_values() -> None:
    model, batch = model_of(), images(3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = batch.clone()
    with torch.no_grad():
        encode, _ = image_encoder_of(model, torch.device("cpu"))
        first = encode(batch)
        second = encode(batch)
        own = model.encode_image(batch)
    assert torch.equal(first, second)
    assert torch.equal(batch, before)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    torch.testing.assert_close(own, first, rtol=1e-4, atol=1e-5)


def product_operations(_: Any, left: Any, right: Any, **__: Any) -> int:
    """Of a product added in place, which torch's counter does not know: shapes (n, k) and (k, m)."""
    return 2 * math.prod(left) * int(right[-1])


def test_the_last_block_computes_the_class_token_only() -> None:
    """Counted in operations: of the last block, only keys and values of the other tokens."""
    batch = images(4)
    encode, _ = image_encoder_of(model_of({"layers": 2}), torch.device("cpu"))
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: product_operations})
    with torch.no_grad(), counter:
        encode(batch)
    rows, ends, width = 4 * 17, 4, 64
    patches, projection = 2 * 4 * 16 * 192 * width, 2 * ends * width * 16
    blocks = 2 * rows * 12 * width**2 + 2 * rows * 2 * width**2 + 2 * ends * 10 * width**2
    needed = patches + blocks + projection  # torch's counter does not see attention on the CPU
    assert needed <= counter.get_total_flops() < 1.01 * needed


def test_a_backbone_encodes_with_these_blocks_and_says_so() -> None:
    backbone = tiny_backbone()
    assert backbone.image_code == BLOCKS
    batch = images(2)
    expected = backbone.model.encode_image(batch)
    torch.testing.assert_close(backbone.encode_images(batch), expected, rtol=1e-4, atol=1e-5)


def test_the_listed_vision_transformers_are_of_the_kind_that_is_taken_over() -> None:
    with torch.device("meta"):
        model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-16"))
    assert image_encoder_of(model, torch.device("cpu"))[1] == BLOCKS
