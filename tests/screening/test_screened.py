"""Screened inference: what it encodes is exact, and what it claims about agreement is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tests.tiny_models import tiny_backbone as make_backbone
from vlprompt.backbones import Backbone
from vlprompt.errors import DataError, SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.cocoop import CoCoOp
from vlprompt.screening.expansion import candidates_needed, expand
from vlprompt.screening.screened import calibrate, screened_logits

NAMES = ["dog", "cat", "okapi", "giant panda", "red fox", "hot dog", "quokka", "blue whale"]


@pytest.fixture
def cocoop(tiny_backbone: Backbone) -> CoCoOp:
    """A CoCoOp whose Meta-Net moves the context as far as a trained one does."""
    method = build_method("cocoop", tiny_backbone, NAMES, seed=2)
    assert isinstance(method, CoCoOp)
    return method


def images(count: int, width: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_pairs_are_encoded_as_the_whole_class_list_is(cocoop: CoCoOp) -> None:
    features = images(3, cocoop.backbone.feature_size)
    classes = torch.tensor([[0, 7], [3, 3], [5, 1]])
    expected = cocoop.class_features(features)[torch.arange(3)[:, None], classes]
    torch.testing.assert_close(cocoop.encode_pairs(cocoop.context(features), classes), expected, rtol=1e-4, atol=1e-5)


def test_the_expansion_is_exact_where_the_features_are_linear() -> None:
    generator = torch.Generator().manual_seed(0)
    base, slope = torch.randn(5, 6, generator=generator), 1e-3 * torch.randn(3, 5, 6, generator=generator)
    hidden = torch.randn(20, 3, generator=generator)

    def encode(some: Tensor) -> Tensor:
        return base + torch.einsum("bh,hne->bne", some, slope)

    expansion = expand(encode, hidden)
    features = images(20, 6)
    exact = torch.einsum("be,bne->bn", features, F.normalize(encode(hidden), dim=-1))
    torch.testing.assert_close(expansion.scores(features, hidden), exact, rtol=1e-3, atol=1e-5)


def test_the_slopes_are_the_derivatives_of_the_class_features() -> None:
    backbone = make_backbone(dtype=torch.float64, text={"layers": 2})
    method = build_method("cocoop", backbone, NAMES[:3])
    assert isinstance(method, CoCoOp)
    hidden = torch.full((2, backbone.feature_size // 16), 0.5, dtype=torch.float64)

    def normalised(at: Tensor) -> Tensor:
        return F.normalize(method.encode_prompts(method.context_of_hidden(at[None]))[0], dim=-1)

    jacobian = torch.autograd.functional.jacobian(normalised, hidden[0])  # (N, E, h)
    expansion = expand(lambda some: method.encode_prompts(method.context_of_hidden(some)), hidden)
    slopes = expansion.weights.unflatten(1, (1 + hidden.shape[1], -1))[:, 1:]
    # Differences over a step of 0.01 differ from the derivative by the third order.
    assert (slopes - jacobian.transpose(1, 2)).norm() < 1e-2 * jacobian.norm()


def test_candidates_have_exact_logits_and_one_of_them_wins(cocoop: CoCoOp) -> None:
    features = images(12, cocoop.backbone.feature_size)
    screen = replace(
        calibrate(cocoop, cocoop.screening(), images(30, cocoop.backbone.feature_size, seed=1)), candidates=3
    )
    logits, exact = screened_logits(cocoop, cocoop.screening(), screen, features, batch_size=5)
    assert (exact.sum(1) == 3).all()
    torch.testing.assert_close(logits[exact], cocoop.predict_logits(features)[exact], rtol=1e-4, atol=1e-3)
    assert exact.gather(1, logits.argmax(1, keepdim=True)).all()


def test_the_winner_is_an_encoded_class_also_where_approximations_are_above_it(cocoop: CoCoOp) -> None:
    features = images(200, cocoop.backbone.feature_size)
    screen = replace(
        calibrate(cocoop, cocoop.screening(), images(30, cocoop.backbone.feature_size, seed=1)), candidates=1
    )
    # Classes whose approximation is far too good, the first of all among them.
    screen.expansion.weights[:, : cocoop.backbone.feature_size] *= 3
    logits, exact = screened_logits(cocoop, cocoop.screening(), screen, features)
    for handed_on in (logits, logits.float()):
        assert bool(exact.gather(1, handed_on.argmax(1, keepdim=True)).all())


def test_all_classes_as_candidates_are_exact_inference(cocoop: CoCoOp) -> None:
    features = images(6, cocoop.backbone.feature_size)
    screen = replace(calibrate(cocoop, cocoop.screening(), features), candidates=len(cocoop.class_names))
    logits, exact = screened_logits(cocoop, cocoop.screening(), screen, features)
    assert exact.all()
    torch.testing.assert_close(logits, cocoop.predict_logits(features), rtol=1e-4, atol=1e-3)


def test_the_calibrated_candidates_reach_the_stated_agreement(cocoop: CoCoOp) -> None:
    features = images(50, cocoop.backbone.feature_size)
    screen = calibrate(cocoop, cocoop.screening(), features, agreement=0.9)
    winners = screened_logits(cocoop, cocoop.screening(), screen, features)[0].argmax(1)
    assert screen.agreement >= 0.9
    assert (winners == cocoop.predict_logits(features).argmax(1)).float().mean() >= 0.9


@given(st.integers(0, 999), st.sampled_from([0.5, 0.9, 0.999, 1.0]))
def test_the_number_of_candidates_is_the_smallest_that_reaches_the_agreement(seed: int, agreement: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores, winners = torch.randn(40, 9, generator=generator), torch.randint(0, 9, (40,), generator=generator)
    needed, share = candidates_needed(scores, winners, agreement)

    def reached(count: int) -> float:
        return int((scores.topk(count, dim=1).indices == winners[:, None]).sum()) / 40

    assert reached(needed) == share
    assert share >= agreement > reached(needed - 1)


def test_calibration_needs_images_and_a_share(cocoop: CoCoOp) -> None:
    with pytest.raises(DataError, match="there are none"):
        calibrate(cocoop, cocoop.screening(), torch.empty(0, cocoop.backbone.feature_size))
    with pytest.raises(SettingsError, match="agreement is 2"):
        calibrate(cocoop, cocoop.screening(), images(3, cocoop.backbone.feature_size), agreement=2)
