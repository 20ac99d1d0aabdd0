"""The segments path against the plain path, over random towers, prompts, contexts and splits.

The plain path runs the tower's own code over whole sequences. The two differ by rounding only: below 1e-5 relative in
fp32, 1e-9 in fp64.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny_models import tiny_backbone, tiny_coca
from vlprompt.backbones import Backbone
from vlprompt.text_engine import POSITIONS, PlainEngine, Prompts, SegmentsEngine, build_prompts, segments, text_engine

# Some of the budgets below are smaller than any step.
pytestmark = pytest.mark.filterwarnings("ignore:.*of the option memory")

NAMES = [
    "dog",
    "golden_retriever",
    "giant panda",
    "crème brûlée",
    "U.S.A.",
    "jack-o'-lantern",
    "Boeing 737-200",
    "a",
    "日本",
    "hot dog",
    "the mathematician Ramanujan's third notebook, page 12 (of 33)",
]

TOWERS: dict[str, dict[str, Any]] = {
    "openai": {"quick_gelu": True},
    "laion": {},
    "custom text": {"custom_text": True},
    "layer scale": {"custom_text": True, "quick_gelu": True, "text": {"ls_init_value": 0.3, "layers": 2}},
    "one layer, four heads": {"text": {"layers": 1, "heads": 4}},
    "end token pooled by its id": {"custom_text": True, "text": {"pool_type": "eos", "eos_id": 49407}},
    "wide MLP": {"text": {"mlp_ratio": 6.0, "layers": 2}},
    "narrow MLP": {"text": {"mlp_ratio": 2.0}},
    "tanh GELU": {"custom_text": True, "text": {"act_kwargs": {"approximate": "tanh"}}},
    "projection with a bias": {"custom_text": True, "text": {"proj_bias": True}},
    "class token": {"coca": True},
    "class token that sees itself": {"coca": True, "shifted": False},
}


@cache
def tower(name: str, dtype: torch.dtype) -> Backbone:
    options = dict(TOWERS[name])
    return tiny_coca(dtype=dtype, **options) if options.pop("coca", False) else tiny_backbone(dtype=dtype, **options)


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.sampled_from(sorted(TOWERS)))
    short = NAMES[:-1] if TOWERS[chosen].get("coca") else NAMES
    names = draw(st.lists(st.sampled_from(short), min_size=1, max_size=6, unique=True))
    return {
        "tower": chosen,
        "names": names,
        "length": draw(st.integers(1, 6)),
        "position": draw(st.sampled_from(POSITIONS)),
        "class_specific": draw(st.booleans()),
        "images": draw(st.sampled_from([1, 2, 3])),
        "memory": draw(st.sampled_from([None, 1, 100_000, 300_000, 1_000_000])),
        "tile_rows": draw(st.sampled_from([128, 32, 5])),
        "seed": draw(st.integers(0, 99)),
    }


def features_and_gradient(engine: Any, context: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    leaf = context.clone().requires_grad_()
    features = engine(leaf)
    (gradient,) = torch.autograd.grad((features * cotangent).sum(), leaf)
    return features.detach(), gradient


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def assert_same(problem: dict[str, Any], dtype: torch.dtype, tolerance: float) -> None:
    backbone = tower(problem["tower"], dtype)
    prompts = build_prompts(backbone, problem["names"], problem["length"], problem["position"])
    generator = torch.Generator().manual_seed(problem["seed"])
    contexts = len(problem["names"]) if problem["class_specific"] else 1
    context = 0.05 * torch.randn(
        problem["images"], contexts, problem["length"], backbone.token_width, generator=generator, dtype=dtype
    )
    cotangent = torch.randn(
        problem["images"], len(problem["names"]), backbone.feature_size, generator=generator, dtype=dtype
    )
    context_of = range(contexts) if problem["class_specific"] else None
    engine = SegmentsEngine(
        backbone, prompts, context_of=context_of, memory=problem["memory"], tile_rows=problem["tile_rows"]
    )
    features, gradient = features_and_gradient(engine, context, cotangent)
    plain_features, plain_gradient = features_and_gradient(
        PlainEngine(backbone, prompts, context_of=context_of), context, cotangent
    )
    assert features.dtype == gradient.dtype == dtype
    assert relative(features, plain_features) < tolerance
    assert relative(gradient, plain_gradient) < tolerance


@given(problems())
@settings(max_examples=40, deadline=None)
def test_segments_give_the_plain_features_and_gradients_in_single_precision(problem: dict[str, Any]) -> None:
    assert_same(problem, torch.float32, 1e-5)


@given(problems())
@settings(max_examples=40, deadline=None)
def test_segments_give_the_plain_features_and_gradients_in_double_precision(problem: dict[str, Any]) -> None:
    assert_same(problem, torch.float64, 1e-9)


@given(problems())
@settings(max_examples=20, deadline=None)
def test_products_in_a_narrower_type_than_the_tower_keep_its_accuracy_and_type(problem: dict[str, Any]) -> None:
    # What half precision does on a GPU, with types that a CPU is exact enough for.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_product_type", lambda backbone: torch.float32)
        assert_same(problem, torch.float64, 1e-5)


@pytest.mark.parametrize("position", POSITIONS)
def test_gradients_are_those_of_finite_differences(position: str) -> None:
    backbone = tiny_backbone(dtype=torch.float64, text={"width": 8, "layers": 2}, embed_dim=4)
    engine = SegmentsEngine(backbone, build_prompts(backbone, ["dog", "red fox"], 2, position))
    context = (0.1 * torch.randn(2, 1, 2, 8, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(engine, (context,))


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("name", ["dog", "dog dog dog dog dog dog dog dog dog dog dog dog dog", "wow!-!", "wow!-! dog"])
def test_a_class_token_sees_what_the_towers_own_mask_shows_it(shifted: bool, name: str) -> None:
    """Also where no token is padding, and where a name holds the token that the mask takes for padding."""
    backbone = tiny_coca(shifted=shifted)
    prompts = build_prompts(backbone, [name, "red fox"], 4)
    words = backbone.embed_tokens(prompts.token_ids[0, 1:5])[None, None]
    features = text_engine(backbone, prompts)(words)[0]
    torch.testing.assert_close(features, backbone.model.encode_text(prompts.token_ids), rtol=1e-4, atol=1e-5)
    holds_padding = int((prompts.token_ids[0, : prompts.ends[0]] == 0).sum()) > 0
    assert holds_padding == isinstance(text_engine(backbone, prompts), PlainEngine) == ("!-" in name)


def test_a_tower_with_a_class_token_takes_the_segments_path() -> None:
    backbone = tiny_coca()
    assert isinstance(text_engine(backbone, build_prompts(backbone, ["cat", "red fox"], 2)), SegmentsEngine)


def prompts_of(backbone: Backbone) -> Prompts:
    return build_prompts(backbone, ["dog", "cat", "red fox", "giant panda", "hot dog", "okapi"], 4)


def linear_operations(tokens: int, width: int, layers: int) -> int:
    """Multiply-adds (times two) of the projections and MLPs of `layers` whole layers over `tokens` tokens."""
    return 2 * tokens * layers * 12 * width * width


def product_operations(_: Any, left: Any, right: Any, **__: Any) -> int:
    """Of a product added in place, which torch's counter does not know: shapes (..., n, k) and (..., k, m)."""
    return 2 * math.prod(left) * int(right[-1])


def test_no_padding_is_computed(tiny_backbone: Backbone) -> None:
    """Fails when the engine computes more than the real tokens, counted in operations and not by a clock."""
    prompts = prompts_of(tiny_backbone)
    images, trunk = 3, 4
    tails = sum(end - 1 - trunk for end in prompts.ends)
    width, layers = tiny_backbone.token_width, len(tiny_backbone.text.blocks)
    rows = images * (trunk + tails)
    # The last layer: keys and values of all rows, but only [EOS] has the rest; attention comes on top (under 10%).
    most = linear_operations(rows, width, layers - 1) + 2 * rows * 3 * width**2
    most += 2 * images * len(prompts.ends) * 9 * width**2 + 2 * images * len(prompts.ends) * width * 64
    engine = SegmentsEngine(tiny_backbone, prompts)
    context = torch.randn(images, 1, 4, width, requires_grad=True)
    in_place = {torch.ops.aten.addmm_: product_operations, torch.ops.aten.baddbmm_: product_operations}
    with FlopCounterMode(display=False, custom_mapping=in_place) as forward:
        features = engine(context)
    # Below by the first layer's constants; a count far below would mean that operations are not seen.
    assert 0.75 * most < forward.get_total_flops() < 1.1 * most
    with FlopCounterMode(display=False, custom_mapping=in_place) as backward:
        features.sum().backward()
    # Frozen weights get no gradient, so backward costs what forward did (attention: twice).
    assert 0.75 * most < backward.get_total_flops() < 1.2 * most


def test_frozen_weights_get_no_gradient(tiny_backbone: Backbone) -> None:
    context = torch.randn(1, 1, 4, tiny_backbone.token_width, requires_grad=True)
    SegmentsEngine(tiny_backbone, prompts_of(tiny_backbone))(context).sum().backward()
    assert all(parameter.grad is None for parameter in tiny_backbone.model.parameters())
