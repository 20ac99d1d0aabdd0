"""PromptSRC against the prompts without what holds them, against its formulas, and across a stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.promptsrc import TEMPLATES, PromptSRC, PromptSRCOptions
from vlprompt.recipes import TrainingSettings, published_for
from vlprompt.training import train

NAMES = ["dog", "giant_panda", "okapi"]
LABELS = torch.tensor([0, 2])
FREE = {"text_weight": 0.0, "image_weight": 0.0, "logits_weight": 0.0, "averaging_mean": None}
"""With these options nothing holds the prompts."""
SETTINGS = TrainingSettings(epochs=4, batch_size=3, learning_rate=0.02, warmup_epochs=0)


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Pictures:
    """Six pictures, the same in each epoch."""

    def __init__(self) -> None:
        self.pixels = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(3))

    def batches(self, epoch: int, places: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        return (self.pixels[list(some)] for some in places)


def promptsrc(backbone: Backbone, **options: Any) -> PromptSRC:
    return PromptSRC(backbone, NAMES, PromptSRCOptions(**options))


def trained(method: PromptSRC, **more: Any) -> dict[str, Tensor]:
    train(method, Pictures(), [0, 1, 2] * 2, SETTINGS, **more)
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


class Plain(PromptSRC):
    """The prompts of both towers alone, by cross-entropy."""

    name = "plain"

    def loss(self, output: Any, labels: Tensor) -> Tensor:
        return F.cross_entropy(output.logits, labels)

    def after_epoch(self, epoch: int, epochs: int) -> None:
        pass


def test_without_what_holds_them_the_prompts_are_trained_alike_to_the_bit(tiny_backbone: Backbone) -> None:
    ours = trained(promptsrc(tiny_backbone, **FREE))
    plain = trained(Plain(tiny_backbone, NAMES))
    assert all(torch.equal(ours[name], plain[name]) for name in plain)
    held = trained(promptsrc(tiny_backbone))
    assert not torch.equal(held["context_vectors"], plain["context_vectors"])


def test_its_text_side_is_maples_and_its_images_have_tokens_of_their_own(
    tiny_backbone: Backbone, pixels: Tensor
) -> None:
    ours = promptsrc(tiny_backbone)
    maple = build_method("maple", tiny_backbone, NAMES, options={"context_length": 4})
    images = ours(pixels).image_features
    assert torch.equal(ours.class_features(images), maple.class_features(images))
    assert [tuple(tokens.shape) for tokens in ours.image_vectors] == [(4, 64)] * 2
    expected = tiny_backbone.encode_prompted_images(pixels, list(ours.image_vectors))
    assert torch.equal(images, F.normalize(expected, dim=-1))


def test_the_loss_is_that_of_the_paper(tiny_backbone: Backbone, pixels: Tensor) -> None:
    method = promptsrc(tiny_backbone, text_weight=3.0, image_weight=2.0, logits_weight=0.5)
    output = method(pixels)
    frozen = F.normalize(tiny_backbone.encode_images(pixels), dim=-1)
    one_by_one = [build_method("zero-shot", tiny_backbone, NAMES, template=template).weights for template in TEMPLATES]
    words = F.normalize(sum(one_by_one) / 60, dim=-1)
    p = (tiny_backbone.logit_scale * frozen @ words.T).softmax(1)
    ours = output.logits.softmax(1)
    expected = (
        F.cross_entropy(output.logits, LABELS)
        + 3 * (output.class_features[0] - words).abs().mean()
        + 2 * (output.image_features - frozen).abs().mean()
        + 0.5 * (p * (p.log() - ours.log())).sum() / 6
    )
    torch.testing.assert_close(method.loss(output, LABELS), expected, rtol=1e-4, atol=1e-5)


def test_the_sixty_templates_are_different_and_have_one_place_for_the_name() -> None:
    assert len(set(TEMPLATES)) == 60
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert {"a photo of a {}.", "itap of the {}."} <= set(TEMPLATES)


class Watched(PromptSRC):
    """Keeps each epoch's prompts as they were before the average took their place."""

    name = "watched"

    def prepare(self) -> None:
        super().prepare()
        self.seen: list[dict[str, Tensor]] = []

    def after_epoch(self, epoch: int, epochs: int) -> None:
        self.seen.append({name: value.detach().clone() for name, value in self.named_parameters()})
        super().after_epoch(epoch, epochs)


def test_training_ends_with_the_gaussian_average_of_the_epochs(tiny_backbone: Backbone) -> None:
    method = Watched(tiny_backbone, NAMES, PromptSRCOptions(averaging_mean=3.0, averaging_std=2.0))
    ended = trained(method)
    values = [math.exp(-0.5 * ((epoch - 3) / 2) ** 2) for epoch in range(1, 5)]
    assert method.epoch_weights(4) == pytest.approx([value / sum(values) for value in values])
    assert not torch.equal(method.seen[0]["context_vectors"], method.seen[3]["context_vectors"])
    for name, tensor in ended.items():
        by_hand = sum(value / sum(values) * seen[name] for value, seen in zip(values, method.seen, strict=True))
        torch.testing.assert_close(tensor, by_hand, rtol=1e-5, atol=1e-7)


def test_epochs_far_from_the_mean_still_have_weights_that_sum_to_one(tiny_backbone: Backbone) -> None:
    weights = promptsrc(tiny_backbone, averaging_mean=100.0).epoch_weights(2)
    assert sum(weights) == pytest.approx(1.0)
    assert weights[1] > weights[0] >= 0


class Stopped(Exception):
    pass


class Stopping(Watched):
    name = "promptsrc"

    def after_epoch(self, epoch: int, epochs: int) -> None:
        if epoch == 3:
            raise Stopped
        super().after_epoch(epoch, epochs)


def test_a_stopped_run_goes_on_with_its_average_to_the_same_bits(tiny_backbone: Backbone, tmp_path: Path) -> None:
    options = PromptSRCOptions(averaging_mean=2.0, averaging_std=2.0)
    whole = trained(PromptSRC(tiny_backbone, NAMES, options))
    with pytest.raises(Stopped):
        trained(Stopping(tiny_backbone, NAMES, options), checkpoint=tmp_path / "run")
    again = trained(PromptSRC(tiny_backbone, NAMES, options), checkpoint=tmp_path / "run")
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


def test_the_recipes_are_the_published_ones() -> None:
    found = {protocol: published_for(PromptSRC.recipes, protocol) for protocol in ("base-to-new", "few-shot")}
    across = published_for(PromptSRC.recipes, "cross-dataset")
    for recipe, epochs in ((found["base-to-new"], 20), (found["few-shot"], 50), (across, 20)):
        assert recipe.training is not None
        assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.learning_rate) == (
            epochs,
            4,
            0.0025,
        )
    usual = PromptSRCOptions()
    assert (usual.text_weight, usual.image_weight, usual.averaging_mean, usual.averaging_std) == (25, 10, 15, 1)
    assert found["few-shot"].options == {"averaging_mean": 30, "averaging_std": 30}
    assert across.options == {"depth": 3, "averaging_mean": 6, "averaging_std": 10}


@pytest.mark.parametrize(
    "options",
    [{"text_weight": -1}, {"image_weight": "much"}, {"averaging_mean": 0}, {"averaging_std": 0}, {"depth": 0}],
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        PromptSRCOptions(**options)
