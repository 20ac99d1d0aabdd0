"""Heads on image features: each against a plain version of its paper's formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.backbones import Backbone
from vlprompt.errors import DataError, SettingsError
from vlprompt.methods.blend import Blend
from vlprompt.methods.clap import CLAP
from vlprompt.methods.gda import ALPHAS, GDA, GDAOptions, gaussians
from vlprompt.methods.head import Head
from vlprompt.methods.linear_probe import LinearProbe, LinearProbeOptions
from vlprompt.methods.lp_plus_plus import LPPlusPlus, LPPlusPlusOptions
from vlprompt.methods.method import TrainingSet
from vlprompt.methods.tip_adapter import TipAdapter, TipAdapterF, TipAdapterOptions

NAMES = ["dog", "giant_panda", "okapi"]
HEADS: list[type[Head]] = [LinearProbe, LPPlusPlus, GDA, TipAdapter, TipAdapterF, CLAP, Blend]


def pictures(per_class: int, *, width: int = 64, seed: int = 0) -> TrainingSet:
    """Features that lie around three directions."""
    stream = torch.Generator().manual_seed(seed)
    centers = torch.randn(len(NAMES), width, generator=stream)
    labels = torch.arange(len(NAMES)).repeat_interleave(per_class)
    features = centers[labels] + 0.7 * torch.randn(len(labels), width, generator=stream)
    return TrainingSet(F.normalize(features, dim=-1), labels)


def set_up(head: type[Head], backbone: Backbone, training_set: TrainingSet, options: object = None) -> Head:
    method = head(backbone, NAMES, options)
    method.setup(training_set)
    return method


def words_logits(method: Head, features: Tensor) -> np.ndarray:
    return method.zero_shot_logits(features).double().numpy()


@pytest.mark.parametrize("per_class", [2, 5])
def test_gda_is_the_closed_form_of_its_paper(tiny_backbone: Backbone, per_class: int) -> None:
    training_set = pictures(per_class)
    method = set_up(GDA, tiny_backbone, training_set, GDAOptions(alpha=0.3))
    x, y = training_set.features.double().numpy(), training_set.labels.numpy()
    mu = np.stack([x[y == k].mean(0) for k in range(3)])
    centered = x - mu[y]
    covariance = centered.T @ centered / (len(x) - 1)
    width = x.shape[1]
    inverse = width * np.linalg.inv((len(x) - 1) * covariance + np.trace(covariance) * np.eye(width))
    weight = mu @ inverse
    bias = np.log(1 / 3) - 0.5 * np.einsum("ke,ef,kf->k", mu, inverse, mu)
    expected = words_logits(method, training_set.features) + 0.3 * (x @ weight.T + bias)
    np.testing.assert_allclose(method(training_set.features).logits.numpy(), expected, rtol=1e-4, atol=1e-3)


def test_gda_of_single_pictures_takes_the_nearest_one(tiny_backbone: Backbone) -> None:
    training_set = pictures(1)
    weight, bias = gaussians(training_set.features, training_set.labels, 3)
    torch.testing.assert_close(weight, training_set.features.double())
    near = F.normalize(training_set.features + 0.02 * torch.randn(3, 64), dim=-1).double()
    assert (near @ weight.T + bias).argmax(1).tolist() == [0, 1, 2]


def test_gda_picks_its_alpha_on_the_training_pictures_alone(tiny_backbone: Backbone) -> None:
    method = set_up(GDA, tiny_backbone, pictures(6))
    assert isinstance(method, GDA)
    assert any(float(method.alpha) == pytest.approx(alpha) for alpha in ALPHAS)
    # The words of a random backbone know nothing: what was learned from the pictures must count.
    assert (method(pictures(20).features).logits.argmax(1) == pictures(20).labels).float().mean() > 0.9


@pytest.mark.parametrize("strength", [1.0, 1e4])
def test_the_linear_probe_is_scikit_learns(tiny_backbone: Backbone, strength: float) -> None:
    from sklearn.linear_model import LogisticRegression

    training_set = pictures(5)
    x, y = training_set.features.double().numpy(), training_set.labels.numpy()
    expected = LogisticRegression(C=strength, max_iter=1000).fit(x, y).predict_proba(x)
    method = set_up(LinearProbe, tiny_backbone, training_set, LinearProbeOptions(strength))
    np.testing.assert_allclose(method(training_set.features).logits.softmax(1).numpy(), expected, atol=1e-4)


def test_the_linear_probe_of_two_classes_is_scikit_learns(tiny_backbone: Backbone) -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = pictures(5).features[:10], pictures(5).labels[:10]
    method = LinearProbe(tiny_backbone, NAMES[:2], LinearProbeOptions(10.0))
    method.setup(TrainingSet(features, labels))
    x = features.double().numpy()
    expected = LogisticRegression(C=10.0, max_iter=1000).fit(x, labels.numpy()).predict_proba(x)
    np.testing.assert_allclose(method(features).logits.softmax(1).numpy(), expected, atol=1e-4)


def test_tip_adapter_is_its_two_equations_by_hand(tiny_backbone: Backbone) -> None:
    training_set = pictures(2)
    method = set_up(TipAdapter, tiny_backbone, training_set, TipAdapterOptions(alpha=2.0, beta=3.0))
    query = training_set.features[:1]
    by_hand = words_logits(method, query)[0]
    for key, label in zip(training_set.features.numpy(), training_set.labels.tolist(), strict=True):
        by_hand[label] += 2.0 * np.exp(-3.0 * (1 - float(query[0].numpy() @ key)))
    np.testing.assert_allclose(method(query).logits[0].numpy(), by_hand, rtol=1e-5, atol=1e-3)


def test_lp_plus_plus_is_the_descent_that_autograd_makes(tiny_backbone: Backbone) -> None:
    training_set = pictures(4)
    method = set_up(LPPlusPlus, tiny_backbone, training_set, LPPlusPlusOptions(steps=25))
    features, labels = training_set.features.double(), training_set.labels
    words = method.text_features.double()
    text_logits = features @ words.T
    truth = F.one_hot(labels, 3).double()
    probe = nn.Linear(64, 3).double()
    with torch.no_grad():
        probe.weight.copy_(truth.T @ features)
        probe.bias.zero_()
        start = 250 * torch.stack([text_logits[labels == k, k].mean() for k in range(3)]).mean()
    alpha = start.expand(3).clone().requires_grad_()
    step = 4 * len(features) / float(torch.linalg.eigvalsh(features.T @ features)[-1])
    alpha_step = len(features) / (4 * float(text_logits.square().sum(0).max()))
    descent = torch.optim.SGD(probe.parameters(), step, momentum=0.9)
    for number in range(1, 26):
        loss = F.cross_entropy(probe(features) + alpha * text_logits, labels)
        descent.zero_grad()
        alpha.grad = None
        loss.backward()
        descent.step()
        if number % 10 == 0:
            with torch.no_grad():
                alpha -= alpha_step * alpha.grad
    expected = (probe(features) + alpha * text_logits).detach()
    torch.testing.assert_close(method(training_set.features).logits.double(), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("head", [head for head in HEADS if head is not CLAP])  # which starts as the words
def test_a_head_learns_from_pictures_what_the_words_do_not_know(tiny_backbone: Backbone, head: type[Head]) -> None:
    method, others = set_up(head, tiny_backbone, pictures(4)), pictures(30)
    assert (method(others.features).logits.argmax(1) == others.labels).float().mean() > 0.9


@pytest.mark.parametrize("head", HEADS)
def test_a_state_of_another_shape_is_refused(tiny_backbone: Backbone, head: type[Head]) -> None:
    state = set_up(head, tiny_backbone, pictures(3)).state_dict()
    name = next(name for name, tensor in state.items() if tensor.ndim == 2)
    with pytest.raises(RuntimeError, match="size mismatch"):
        head(tiny_backbone, NAMES).load_learned(state | {name: state[name][:, 1:]})


def test_a_cache_with_labels_of_other_classes_is_refused(tiny_backbone: Backbone) -> None:
    state = set_up(TipAdapter, tiny_backbone, pictures(3)).state_dict()
    with pytest.raises(RuntimeError, match="labels must be from 0 to 2"):
        TipAdapter(tiny_backbone, NAMES).load_learned(state | {"labels": state["labels"] + 1})


def test_a_cache_of_too_many_pictures_is_refused_with_what_to_do(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlprompt.methods.tip_adapter.MOST_PICTURES", 8)
    with pytest.raises(DataError, match="tip-adapter keeps every training picture, and 9 are more than 8; .* gda"):
        set_up(TipAdapter, tiny_backbone, pictures(3))


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (GDAOptions, {"alpha": -1.0}),
        (LinearProbeOptions, {"strength": 0.0}),
        (TipAdapterOptions, {"beta": float("inf")}),
        (LPPlusPlusOptions, {"steps": 0}),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: type, values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(values))} is"):
        options(**values)


def test_one_picture_a_class_needs_no_warning_of_scikit_learns(
    tiny_backbone: Backbone, recwarn: pytest.WarningsRecorder
) -> None:
    set_up(LinearProbe, tiny_backbone, pictures(1))
    assert not [str(warning.message) for warning in recwarn]
