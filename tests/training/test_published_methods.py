"""The loop with the real methods: the published figures, and the same bits after a stop."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.methods.test_reference_numbers import (
    CASES,
    LABELS,
    LOGIT_TOLERANCE,
    backbone,  # noqa: F401 (a fixture)
    build,
    image_features,  # noqa: F401 (a fixture)
    reference,
)
from vlprompt.errors import CheckpointError, MethodError, SettingsError
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.methods.method import TrainingSet
from vlprompt.recipes import TrainingSettings
from vlprompt.training import train

NAMES = ["red panda", "okapi", "grey heron", "quokka", "newt"]


class Fixed:
    """The same features in every epoch."""

    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)

    def epoch(self, epoch):
        return self.features


@pytest.mark.parametrize("case", CASES)
def test_three_steps_have_the_published_losses_and_end_at_the_published_parameters(case, backbone, image_features):  # noqa: F811
    method = build(backbone, case, "auto")
    settings = TrainingSettings(epochs=3, batch_size=6, warmup_epochs=0, schedule="constant")
    history = train(method, Fixed(image_features), LABELS, settings)
    losses = [epoch.loss for epoch in history.epochs]
    assert losses == pytest.approx(reference(case, "losses").tolist(), rel=1e-4)
    for name, parameter in method.named_parameters():
        # both sides compute in fp32 at a logit scale of 100
        torch.testing.assert_close(parameter.detach(), reference(case, "final", name), rtol=1e-3, atol=1e-5)
    logits = method.predict_logits(image_features)
    assert float((logits - reference(case, "final_logits")).abs().max()) < LOGIT_TOLERANCE


@pytest.fixture
def features():
    return Fixed(torch.randn(12, 64, generator=torch.Generator().manual_seed(3)))


class FixedPixels:
    """The same pictures in every epoch."""

    def __init__(self, count=12):
        self.pixels = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(3))

    def batches(self, epoch, places):
        return (self.pixels[some] for some in places)


LABELS_12 = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def stopping_in_the_third_epoch(inputs):
    """The same inputs, with a Ctrl-C in the third epoch; of pixels, after its first batch."""
    stopping = copy.copy(inputs)
    if isinstance(inputs, Fixed):
        stopping.epoch = lambda epoch: inputs.epoch(epoch) if epoch < 2 else _interrupt()
    else:
        stopping.batches = lambda epoch, places: _until_a_batch(inputs, epoch, places)
    return stopping


def _until_a_batch(inputs, epoch, places):
    for number, batch in enumerate(inputs.batches(epoch, places)):
        if (epoch, number) == (2, 1):
            _interrupt()
        yield batch


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", [name for name in METHODS if method_class(name).learns])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_stopped_method_goes_on_to_the_same_bits(
    name, optimizer, tiny_backbone, features, tmp_path, learned, same_bits
):
    settings = TrainingSettings(epochs=3, batch_size=4, optimizer=optimizer)
    inputs = features if method_class(name).reads == "features" else FixedPixels()

    whole, stopped, resumed = (build_method(name, tiny_backbone, NAMES, seed=4) for _ in range(3))
    for method in (whole, stopped, resumed):
        method.setup(TrainingSet(torch.nn.functional.normalize(features.features, dim=-1), torch.tensor(LABELS_12)))
    train(whole, inputs, LABELS_12, settings)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, stopping_in_the_third_epoch(inputs), LABELS_12, settings, checkpoint=tmp_path)
    history = train(resumed, inputs, LABELS_12, settings, checkpoint=tmp_path)
    assert history.resumed_after == 2
    assert same_bits(learned(whole), learned(resumed))


def test_a_checkpoint_of_another_prompt_is_refused(tiny_backbone, features, tmp_path):
    settings = TrainingSettings(epochs=2, batch_size=4)
    train(build_method("coop", tiny_backbone, NAMES), features, LABELS_12, settings, checkpoint=tmp_path)
    middle = build_method("coop", tiny_backbone, NAMES, options={"position": "middle"})
    with pytest.raises(CheckpointError, match="options.position is 'end' there and 'middle' here"):
        train(middle, features, LABELS_12, settings, checkpoint=tmp_path)


def test_zero_shot_cannot_be_trained(tiny_backbone, features):
    with pytest.raises(SettingsError, match="'zero-shot' learns nothing"):
        train(build_method("zero-shot", tiny_backbone, NAMES), features, LABELS_12, TrainingSettings())


@pytest.mark.parametrize(("name", "inputs"), [("coop", "features"), ("maple", "pixels")])
def test_training_with_what_a_method_does_not_read_is_refused(name, inputs, tiny_backbone, features):
    wrong = FixedPixels() if name == "coop" else features
    with pytest.raises(MethodError, match=f"the method {name} reads {inputs}, and training was given"):
        train(build_method(name, tiny_backbone, NAMES), wrong, LABELS_12, TrainingSettings(epochs=2))


@pytest.mark.parametrize("name", ["coop", "cocoop", "maple"])
def test_the_frozen_backbone_gets_no_gradients(name, tiny_backbone, features):
    method = build_method(name, tiny_backbone, NAMES)
    train(
        method,
        features if method.reads == "features" else FixedPixels(),
        LABELS_12,
        TrainingSettings(epochs=2, batch_size=4),
    )
    assert all(tensor.grad is None for tensor in tiny_backbone.model.parameters())
