"""CLAP, Tip-Adapter-F and KgCoOp: what their losses and their training add."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.methods.test_heads import NAMES, pictures
from vlprompt.backbones import Backbone
from vlprompt.features import CachedViews
from vlprompt.methods import build_method
from vlprompt.methods.clap import CLAP, CLAPOptions
from vlprompt.methods.kgcoop import KgCoOp, KgCoOpOptions
from vlprompt.methods.method import TrainingSet
from vlprompt.methods.tip_adapter import TipAdapter, TipAdapterF, TipAdapterOptions
from vlprompt.recipes import TrainingSettings
from vlprompt.training import train

SETTINGS = TrainingSettings(epochs=3, warmup_epochs=0, batch_size=4, learning_rate=0.01)


def trained(method: torch.nn.Module, training_set: TrainingSet, settings: TrainingSettings = SETTINGS) -> None:
    views = CachedViews(training_set.features[:, None].numpy())
    train(method, views, training_set.labels, settings)  # type: ignore[arg-type]


def test_kgcoop_without_its_regulariser_is_coop_to_the_bit(tiny_backbone: Backbone) -> None:
    kgcoop, coop = (
        KgCoOp(tiny_backbone, NAMES, KgCoOpOptions(words_weight=0.0)),
        build_method("coop", tiny_backbone, NAMES),
    )
    for method in (kgcoop, coop):
        trained(method, pictures(3))
    assert torch.equal(kgcoop.context_vectors, coop.context_vectors)


def test_kgcoops_loss_adds_the_mean_distance_to_the_words(tiny_backbone: Backbone) -> None:
    method, training_set = KgCoOp(tiny_backbone, NAMES, template="a drawing of a {}."), pictures(2)
    output = method(training_set.features)
    words = build_method("zero-shot", tiny_backbone, NAMES, template="a drawing of a {}.").weights
    learned = method.class_features(training_set.features)[0]
    half_squares = (F.normalize(learned, dim=1) - F.normalize(words, dim=1)).square().sum(1) / 2
    expected = F.cross_entropy(output.logits, training_set.labels) + 8 * half_squares.mean()
    torch.testing.assert_close(method.loss(output, training_set.labels), expected)


def test_a_strong_regulariser_keeps_the_context_near_the_words(tiny_backbone: Backbone) -> None:
    distances = []
    for weight in (0.0, 50.0):
        method = KgCoOp(tiny_backbone, NAMES, KgCoOpOptions(words_weight=weight))
        trained(method, pictures(3), TrainingSettings(epochs=8, warmup_epochs=0, batch_size=9, learning_rate=0.05))
        learned = F.normalize(method.class_features(pictures(1).features)[0].detach(), dim=1)
        distances.append(float((learned - method.words).norm()))
    assert distances[1] < distances[0] / 2


def test_clap_starts_as_zero_shot_and_holds_firmer_what_the_words_know(tiny_backbone: Backbone) -> None:
    method, training_set = CLAP(tiny_backbone, NAMES), pictures(4)
    zero_shot = build_method("zero-shot", tiny_backbone, NAMES)(training_set.features).logits
    torch.testing.assert_close(method(training_set.features).logits, zero_shot)
    method.setup(training_set)
    shares = zero_shot.softmax(1)
    expected = [float(shares[training_set.labels == label, label].mean()) for label in range(3)]
    torch.testing.assert_close(method.multipliers, torch.tensor(expected))


def test_claps_loss_is_the_cross_entropy_and_the_weighted_distance(tiny_backbone: Backbone) -> None:
    method, training_set = CLAP(tiny_backbone, NAMES), pictures(2)
    method.setup(training_set)
    with torch.no_grad():
        method.weight += 0.5
    output = method(training_set.features)
    distance = sum(float(method.multipliers[label]) * 0.25 * 64 for label in range(3)) / 3
    expected = F.cross_entropy(output.logits, training_set.labels) + distance
    torch.testing.assert_close(method.loss(output, training_set.labels), expected, rtol=1e-4, atol=1e-4)
    plain = CLAP(tiny_backbone, NAMES, CLAPOptions(constraint=False))
    assert torch.equal(plain.loss(output, training_set.labels), F.cross_entropy(output.logits, training_set.labels))


def test_tip_adapter_f_starts_as_tip_adapter_and_trains_its_keys(tiny_backbone: Backbone) -> None:
    training_set, options = pictures(3), TipAdapterOptions(alpha=2.0, beta=3.0)
    fixed, method = TipAdapter(tiny_backbone, NAMES, options), TipAdapterF(tiny_backbone, NAMES, options)
    for head in (fixed, method):
        head.setup(training_set)
    assert torch.equal(method(training_set.features).logits, fixed(training_set.features).logits)
    before = F.cross_entropy(method(training_set.features).logits, training_set.labels)
    trained(method, training_set, TrainingSettings(epochs=10, warmup_epochs=0, optimizer="adamw", learning_rate=0.001))
    assert F.cross_entropy(method(training_set.features).logits, training_set.labels) < before
    assert not torch.equal(method.keys, training_set.features)
