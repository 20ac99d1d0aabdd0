"""What a step takes is what was predicted, and stays within the memory that was given."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny_models import tiny_backbone
from vlprompt.text_engine import PlainEngine, SegmentsEngine, build_prompts

NAMES = [f"{first}{second} {third}" for first in "abcdefgh" for second in "klmnopqr" for third in "tuv"]
IMAGES = 6

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@pytest.mark.parametrize("memory", [None, 200_000_000, 60_000_000])
def test_a_step_takes_what_was_predicted(memory: int | None) -> None:
    backbone = tiny_backbone(text={"width": 256, "layers": 6, "heads": 4})
    prompts = build_prompts(backbone, NAMES, 4)
    engine = SegmentsEngine(backbone, prompts, memory=memory)
    context = 0.05 * torch.randn(IMAGES, 1, 4, 256)
    predicted = engine.predicted_bytes(IMAGES)
    if memory is not None:
        assert predicted <= memory
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    engine(context.requires_grad_()).sum().backward()
    taken = resident("VmHWM") - before
    assert 0.5 * predicted < taken + 8e6
    assert taken < 1.2 * predicted + 24e6


@pytest.mark.parametrize("images", [1, 8])
@pytest.mark.parametrize("share", [0.6, 0.3, 0.15])
def test_a_budget_holds_for_any_number_of_images_with_few_pieces(images: int, share: float) -> None:
    backbone = tiny_backbone(text={"width": 64, "layers": 8, "heads": 2})
    prompts = build_prompts(backbone, NAMES, 4)
    whole = SegmentsEngine(backbone, prompts).predicted_bytes(images)
    memory = int(share * whole)
    engine = SegmentsEngine(backbone, prompts, memory=memory)
    assert engine.predicted_bytes(images) <= memory
    layout, at_once = engine._plan(images, True)
    assert len(layout.groups) * -(-images // at_once) <= 4 / share


def test_a_budget_below_what_no_split_reaches_is_said_and_does_not_end_in_crumbs() -> None:
    backbone = tiny_backbone(text={"width": 64, "layers": 2, "heads": 2})
    engine = SegmentsEngine(backbone, build_prompts(backbone, NAMES, 4), memory=1000)
    with pytest.warns(UserWarning, match=r"1 x 192 pairs .* 0\.0 MB of the option memory"):
        layout, _ = engine._plan(1, True)
    assert len(layout.groups) < 40


def test_training_frees_what_inference_used_and_the_other_way_round() -> None:
    backbone = tiny_backbone()
    engine = SegmentsEngine(backbone, build_prompts(backbone, NAMES[:9], 4))
    context = torch.zeros(2, 1, 4, backbone.token_width)
    for _ in range(2):
        with torch.no_grad():
            engine(context)
        assert (len(engine._training._idle), len(engine._inference._idle)) == (0, 1)
        engine(context.clone().requires_grad_()).sum().backward()
        assert (len(engine._training._idle), len(engine._inference._idle)) == (1, 0)


def test_a_split_step_has_the_gradient_of_a_whole_one() -> None:
    backbone = tiny_backbone(dtype=torch.float64)
    prompts = build_prompts(backbone, NAMES[:40], 4)
    context = 0.05 * torch.randn(3, 1, 4, backbone.token_width, dtype=torch.float64)
    gradients = []
    for engine in (
        SegmentsEngine(backbone, prompts, memory=1_000_000),
        SegmentsEngine(backbone, prompts),
        PlainEngine(backbone, prompts),
    ):
        leaf = context.clone().requires_grad_()
        engine(leaf).square().sum().backward()
        gradients.append(leaf.grad)
    split, whole, plain = gradients
    torch.testing.assert_close(split, whole, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(whole, plain, rtol=1e-7, atol=1e-10)


def test_a_graph_can_be_walked_twice_and_steps_do_not_disturb_each_other() -> None:
    backbone = tiny_backbone(dtype=torch.float64)
    engine = SegmentsEngine(backbone, build_prompts(backbone, NAMES[:9], 4))
    first, second = (0.05 * torch.randn(2, 1, 4, backbone.token_width, dtype=torch.float64) for _ in range(2))
    first.requires_grad_()
    second.requires_grad_()
    loss, other = engine(first).square().sum(), engine(second).square().sum()
    (once,) = torch.autograd.grad(loss, first, retain_graph=True)
    other.backward()
    (twice,) = torch.autograd.grad(loss, first)
    torch.testing.assert_close(once, twice)
