"""The pass that autograd writes against the written-out one and, with deeper contexts, against the tower's own code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.text_engine.test_segments import NAMES, TOWERS, relative, tower
from tests.tiny_models import tiny_backbone, tiny_siglip
from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError
from vlprompt.text_engine import POSITIONS, PlainEngine, Prompts, SegmentsEngine, build_prompts, segments, text_engine

pytestmark = pytest.mark.filterwarnings("ignore:.*of the option memory")


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.sampled_from(sorted(TOWERS)))
    short = NAMES[:-1] if TOWERS[chosen].get("coca") else NAMES
    return {
        "tower": chosen,
        "names": draw(st.lists(st.sampled_from(short), min_size=1, max_size=6, unique=True)),
        "length": draw(st.integers(1, 5)),
        "position": draw(st.sampled_from(POSITIONS)),
        "class_specific": draw(st.booleans()),
        "images": draw(st.sampled_from([1, 2, 3])),
        "memory": draw(st.sampled_from([None, 1, 300_000])),
        "tile_rows": draw(st.sampled_from([32, 5])),
        "deep": draw(st.integers(0, 2)),
        "deep_per_image": draw(st.booleans()),
        "seed": draw(st.integers(0, 99)),
    }


def contexts_for(problem: dict[str, Any], backbone: Backbone) -> list[Tensor]:
    """The first context, and as many deeper ones as asked for and as the tower has layers for."""
    generator = torch.Generator().manual_seed(problem["seed"])
    contexts = len(problem["names"]) if problem["class_specific"] else 1
    deep = min(problem["deep"], len(backbone.text.blocks) - 1)
    images = [problem["images"], *[problem["images"] if problem["deep_per_image"] else 1] * deep]
    shapes = [(count, contexts, problem["length"], backbone.token_width) for count in images]
    return [0.05 * torch.randn(shape, generator=generator, dtype=backbone.dtype) for shape in shapes]


def engine_for(problem: dict[str, Any], backbone: Backbone, prompts: Prompts, autograd: bool) -> SegmentsEngine:
    context_of = range(len(problem["names"])) if problem["class_specific"] else None
    limits = {"memory": problem["memory"], "tile_rows": problem["tile_rows"]}
    return SegmentsEngine(backbone, prompts, context_of=context_of, autograd=autograd, **limits)


def features_and_gradients(encode: Any, contexts: Sequence[Tensor]) -> list[Tensor]:
    leaves = [context.clone().requires_grad_() for context in contexts]
    features = encode(leaves)
    cotangent = torch.randn(features.shape, generator=torch.Generator().manual_seed(5), dtype=features.dtype)
    return [features.detach(), *torch.autograd.grad((features * cotangent).sum(), leaves)]


class PlainDeep:
    """Whole sequences through the tower's own blocks, the context's hidden states replaced before each deeper one."""

    def __init__(self, backbone: Backbone, prompts: Prompts, context_of: Sequence[int] | None) -> None:
        self.plain = PlainEngine(backbone, prompts, context_of=context_of)
        self.backbone, self.sources = backbone, prompts.sources
        self.context_of = list(context_of or [0] * len(prompts.sources))

    def __call__(self, contexts: Sequence[Tensor]) -> Tensor:
        first, *deeper = contexts
        images = []
        for image in range(len(first)):
            below = [context[image if len(context) > 1 else 0] for context in deeper]
            handles = [
                self.backbone.text.blocks[layer].register_forward_pre_hook(self._replacing(context))
                for layer, context in enumerate(below, 1)
            ]
            try:
                images.append(self.plain(first[image : image + 1]))
            finally:
                for handle in handles:
                    handle.remove()
        return torch.cat(images)

    def _replacing(self, context: Tensor) -> Any:
        """(n, M, D) in the place of what a block is given at the context's tokens."""
        is_context = self.sources < context.shape[1]
        chosen = context[self.context_of]  # (N, M, D)
        places = self.sources.clamp(max=context.shape[1] - 1)[..., None].expand(-1, -1, context.shape[2])

        def replace(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens = is_context.shape[1]  # CoCa's class token stands behind the sequence
            hidden = torch.where(is_context[..., None], chosen.gather(1, places), arguments[0][:, :tokens])
            return (torch.cat([hidden, arguments[0][:, tokens:]], dim=1), *arguments[1:])

        return replace


@given(problems())
@settings(max_examples=20, deadline=None)
def test_values_and_gradients_are_those_of_the_written_out_pass(problem: dict[str, Any]) -> None:
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        backbone = tower(problem["tower"], dtype)
        prompts = build_prompts(backbone, problem["names"], problem["length"], problem["position"])
        context, *_ = contexts_for(problem, backbone)
        ours, written = (
            features_and_gradients(lambda leaves: engine(*leaves), [context])  # noqa: B023  # called at once
            for engine in (engine_for(problem, backbone, prompts, autograd) for autograd in (True, False))
        )
        for mine, theirs in zip(ours, written, strict=True):
            assert mine.dtype == theirs.dtype == dtype
            assert relative(mine, theirs) < tolerance


@given(problems())
@settings(max_examples=20, deadline=None)
def test_deeper_contexts_take_the_contexts_place_as_in_the_towers_own_code(problem: dict[str, Any]) -> None:
    backbone = tower(problem["tower"], torch.float64)
    prompts = build_prompts(backbone, problem["names"], problem["length"], problem["position"])
    contexts = contexts_for(problem, backbone)
    engine = engine_for(problem, backbone, prompts, True)
    context_of = range(len(problem["names"])) if problem["class_specific"] else None
    ours = features_and_gradients(lambda leaves: engine(leaves[0], leaves[1:]), contexts)
    plain = features_and_gradients(PlainDeep(backbone, prompts, context_of), contexts)
    for mine, theirs in zip(ours, plain, strict=True):
        assert relative(mine, theirs) < 1e-9


@given(problems())
@settings(max_examples=8, deadline=None)
def test_products_in_a_narrower_type_keep_the_towers_accuracy_and_type(problem: dict[str, Any]) -> None:
    backbone = tower(problem["tower"], torch.float64)
    prompts = build_prompts(backbone, problem["names"], problem["length"], problem["position"])
    contexts = contexts_for(problem, backbone)
    exact = engine_for(problem, backbone, prompts, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_product_type", lambda backbone: torch.float32)
        narrow = engine_for(problem, backbone, prompts, True)
    for mine, theirs in zip(
        *(features_and_gradients(lambda leaves: each(leaves[0], leaves[1:]), contexts) for each in (narrow, exact)),  # noqa: B023
        strict=True,
    ):
        assert mine.dtype == torch.float64
        assert relative(mine, theirs) < 1e-5


def test_the_engine_is_asked_for_by_name() -> None:
    backbone = tiny_backbone()
    engine = text_engine(backbone, build_prompts(backbone, NAMES[:3], 2), engine="autograd")
    assert isinstance(engine, SegmentsEngine)
    assert engine.autograd


def test_a_tower_that_takes_whole_sequences_only_refuses_it() -> None:
    backbone = tiny_siglip()
    with pytest.raises(SettingsError, match="engine 'autograd' cannot serve"):
        text_engine(backbone, build_prompts(backbone, NAMES[:3], 2), engine="autograd")


def test_deeper_contexts_are_refused_where_they_cannot_be_served() -> None:
    backbone = tiny_backbone()
    prompts = build_prompts(backbone, NAMES[:3], 2)
    context = torch.zeros(1, 1, 2, backbone.token_width)
    with pytest.raises(SettingsError, match="autograd"):
        SegmentsEngine(backbone, prompts)(context, [context])
    with pytest.raises(SettingsError, match="3 deeper contexts were given; the text tower has 3 layers"):
        SegmentsEngine(backbone, prompts, autograd=True)(context, [context] * 3)


def test_a_callers_autocast_does_not_get_in() -> None:
    backbone = tiny_backbone()
    engine = SegmentsEngine(backbone, build_prompts(backbone, NAMES[:3], 2), autograd=True)
    context = 0.05 * torch.randn(2, 1, 2, backbone.token_width)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = engine(context)
    assert torch.equal(inside, engine(context))
