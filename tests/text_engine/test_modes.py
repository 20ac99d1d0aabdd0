"""The engines give the same numbers whatever modes, threads and batches of the caller they meet."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from tests.tiny_models import tiny_backbone
from vlprompt.backbones import Backbone
from vlprompt.text_engine import POSITIONS, PlainEngine, SegmentsEngine, build_prompts

NAMES = ["dog", "red fox", "red fish", "owl"]
ENGINES = [PlainEngine, SegmentsEngine]

pytestmark = pytest.mark.parametrize("engine_class", ENGINES)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


def context_for(backbone: Backbone, images: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 0.05 * torch.randn(images, 1, 3, backbone.token_width, generator=generator)


def autocast() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("mode", [autocast, torch.inference_mode, torch.enable_grad])
def test_the_mode_of_the_first_use_leaves_nothing_behind(
    backbone: Backbone, engine_class: type, position: str, mode: contextlib.AbstractContextManager
) -> None:
    prompts, context = build_prompts(backbone, NAMES, 3, position), context_for(backbone)
    with mode():
        engine = engine_class(backbone, prompts)
        engine(context)
    results = []
    for each in (engine, engine_class(backbone, prompts)):
        leaf = context.clone().requires_grad_()
        features = each(leaf)
        features.square().sum().backward()
        results.append((features.detach(), leaf.grad))
    for mine, fresh in zip(*results, strict=True):
        assert torch.equal(mine, fresh)


@pytest.mark.parametrize("memory", [None, 50_000])
@pytest.mark.filterwarnings("ignore:.*of the option memory")
def test_the_callers_autocast_does_not_get_in(backbone: Backbone, engine_class: type, memory: int | None) -> None:
    prompts, context = build_prompts(backbone, NAMES, 3), context_for(backbone)
    engine = engine_class(backbone, prompts, **({"memory": memory} if engine_class is SegmentsEngine else {}))
    results = []
    for mode in (contextlib.nullcontext, autocast):
        leaf = context.clone().requires_grad_()
        with mode():
            features = engine(leaf)
            features.square().sum().backward()
        results.append((features.detach(), leaf.grad))
    (features, gradient), (same, close) = results
    assert torch.equal(features, same)
    # torch's own backward runs its products in the mode of whoever calls it.
    assert (gradient - close).norm() < 0.05 * gradient.norm()


def test_no_images_have_no_features(backbone: Backbone, engine_class: type) -> None:
    engine = engine_class(backbone, build_prompts(backbone, NAMES, 3))
    assert engine(context_for(backbone, 0)).shape == (0, len(NAMES), backbone.feature_size)


def test_threads_do_not_disturb_each_other(backbone: Backbone, engine_class: type) -> None:
    engine = engine_class(backbone, build_prompts(backbone, NAMES, 3))
    contexts = [factor * context_for(backbone) for factor in range(1, 9)]

    def features(context: Tensor) -> Tensor:
        with torch.no_grad():
            return engine(context)

    expected = [features(context) for context in contexts]
    with ThreadPoolExecutor(4) as threads:
        for given, found in zip(10 * expected, threads.map(features, 10 * contexts), strict=True):
            torch.testing.assert_close(found, given)
