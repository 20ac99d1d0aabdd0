"""Weights of a frozen tower as products take them: same values, laid out once, and only where that pays."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.text_engine.test_segments import NAMES, features_and_gradient, relative
from tests.tiny_models import tiny_backbone
from vlprompt.text_engine import POSITIONS, PlainEngine, SegmentsEngine, blocks, build_prompts

FORWARD = {
    "in_forward": "in_weight",
    "out_forward": "out_weight",
    "fc_forward": "fc_weight",
    "proj_forward": "proj_weight",
}


@given(
    rows=st.integers(1, 40),
    columns=st.one_of(st.integers(1, 40), st.sampled_from([1024, 2048])),
    transposed=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_a_matrix_laid_out_has_its_values_in_contiguous_rows_that_are_no_page_apart(
    rows: int, columns: int, transposed: bool, dtype: torch.dtype
) -> None:
    matrix = torch.randn(columns, rows, dtype=dtype).T if transposed else torch.randn(rows, columns, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "WORTH_LAYING_OUT", 0)
        laid_out = blocks._rows_of(matrix)
    assert torch.equal(laid_out, matrix)
    assert laid_out.dtype == dtype
    assert laid_out.stride(1) == 1 or columns == 1 or rows == 1
    assert rows == 1 or laid_out.stride(0) * laid_out.element_size() % blocks.PAGE


def test_the_weights_of_a_small_tower_are_its_own() -> None:
    backbone = tiny_backbone()
    for block in blocks.frozen_blocks(backbone.text, torch.float32):
        for forward, weight in FORWARD.items():
            assert getattr(block, forward).data_ptr() == getattr(block, weight).data_ptr()


def test_blocks_are_made_once_for_a_tower_and_a_type_and_go_with_it() -> None:
    backbone = tiny_backbone()
    prompts = build_prompts(backbone, NAMES[:3], 2)
    first, second = (SegmentsEngine(backbone, prompts).blocks for _ in range(2))
    assert first is second
    assert blocks.frozen_blocks(backbone.text, torch.float64) is not first
    tower = weakref.ref(backbone.text)
    del backbone, prompts, first, second
    gc.collect()
    assert tower() is None


@pytest.mark.parametrize("position", POSITIONS)
def test_features_and_gradients_do_not_depend_on_the_layout(monkeypatch: pytest.MonkeyPatch, position: str) -> None:
    monkeypatch.setattr(blocks, "WORTH_LAYING_OUT", 0)
    monkeypatch.setattr(blocks, "PAGE", 512)  # so that rows of 128 numbers get a gap
    backbone = tiny_backbone(text={"ls_init_value": 0.3}, custom_text=True, seed=7)
    prompts = build_prompts(backbone, NAMES, 3, position)
    context = 0.05 * torch.randn(2, 1, 3, backbone.token_width)
    cotangent = torch.randn(2, len(NAMES), backbone.feature_size)
    engine = SegmentsEngine(backbone, prompts)
    assert all(
        not getattr(block, forward).is_contiguous()
        for block in engine.blocks
        for forward in ("in_forward", "out_forward", "fc_forward", "proj_forward")
    )
    ours = features_and_gradient(engine, context, cotangent)
    plain = features_and_gradient(PlainEngine(backbone, prompts), context, cotangent)
    for mine, theirs in zip(ours, plain, strict=True):
        assert relative(mine, theirs) < 1e-5
