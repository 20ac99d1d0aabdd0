"""CLIP-LoRA against zero-shot CLIP, against towers whose weights were changed by hand, and numeric gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.tiny_models import frozen_again, tiny_coca, tiny_siglip
from tests.tiny_models import tiny_backbone as make_backbone
from vlprompt.backbones import Backbone, load_backbone
from vlprompt.errors import BackboneError, SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.clip_lora import CLIPLoRA, CLIPLoRAOptions
from vlprompt.recipes import TrainingSettings, published_for

NAMES = ["dog", "giant_panda", "okapi"]
LABELS = torch.tensor([0, 2])


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def lora(backbone: Backbone, **options: Any) -> CLIPLoRA:
    return CLIPLoRA(backbone, NAMES, CLIPLoRAOptions(**options))


def moved(method: CLIPLoRA) -> CLIPLoRA:
    """The method with all of its parameters moved, as training would have it."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return method


@pytest.mark.parametrize("encoders", ["both", "image", "text"])
@pytest.mark.parametrize("custom_text", [False, True])
def test_before_training_it_predicts_as_zero_shot_to_the_bit(pixels: Tensor, encoders: str, custom_text: bool) -> None:
    backbone = make_backbone(custom_text=custom_text)
    method, zero_shot = lora(backbone, encoders=encoders), build_method("zero-shot", backbone, NAMES)
    images = backbone.encode_images(pixels)
    assert torch.equal(method.predict_logits(pixels), zero_shot.predict_logits(images))


def test_a_step_of_training_starts_from_zero_shot_whatever_the_dropout_leaves_out(
    tiny_backbone: Backbone, pixels: Tensor
) -> None:
    method = lora(tiny_backbone, lora_dropout=0.9).train()
    expected = build_method("zero-shot", tiny_backbone, NAMES)(tiny_backbone.encode_images(pixels)).logits
    # The towers' own code and that of prediction differ in rounding.
    torch.testing.assert_close(method(pixels).logits, expected, rtol=1e-4, atol=1e-3)


def changed_by_hand(backbone: Backbone, method: CLIPLoRA) -> Backbone:
    """A backbone whose weights are W + s B A."""
    other = copy.copy(backbone)
    object.__setattr__(other, "model", copy.deepcopy(backbone.model))
    other = frozen_again(other)
    for tower, blocks in (("image", other.model.visual.transformer.resblocks), ("text", other.text.blocks)):
        for block, change in zip(blocks, method.changes[tower], strict=True):
            for part in range(3):
                rows = slice(
                    part * len(block.attn.in_proj_weight) // 3, (part + 1) * len(block.attn.in_proj_weight) // 3
                )
                by_hand = change.up[part].detach() @ change.down[part].detach()
                block.attn.in_proj_weight.data[rows] += 2 / 4**0.5 * by_hand
    return frozen_again(other)


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_it_is_zero_shot_over_changed_weights_with_and_without_gradients(pixels: Tensor, quick_gelu: bool) -> None:
    backbone = make_backbone(quick_gelu=quick_gelu)
    method = moved(lora(backbone, rank=4, lora_alpha=2.0))
    other = changed_by_hand(backbone, method)
    expected = build_method("zero-shot", other, NAMES)(other.encode_images(pixels)).logits
    before = build_method("zero-shot", backbone, NAMES)(backbone.encode_images(pixels)).logits
    assert not torch.allclose(expected, before, atol=0.1)
    torch.testing.assert_close(method(pixels).logits, expected, rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(method.predict_logits(pixels), expected, rtol=1e-4, atol=2e-3)


def test_gradients_through_both_towers_are_those_of_finite_differences(pixels: Tensor) -> None:
    backbone = make_backbone(dtype=torch.float64)
    method = moved(lora(backbone))
    names, values = zip(*method.named_parameters(), strict=True)
    assert {tuple(name.split(".")[i] for i in (1, 3)) for name in names} == {
        (tower, part) for tower in ("image", "text") for part in ("down", "up")
    }
    values = tuple(value.detach().clone().requires_grad_() for value in values)

    def loss(*tensors: Tensor) -> Tensor:
        output = torch.func.functional_call(method, dict(zip(names, tensors, strict=True)), (pixels.double(),))
        return F.cross_entropy(output.logits, LABELS)

    assert torch.autograd.gradcheck(loss, values, fast_mode=True)


def test_texts_some_at_a_time_have_the_gradients_of_all_at_once(tiny_backbone: Backbone, monkeypatch) -> None:
    features, gradients = [], []
    for at_once in (64, 2):
        monkeypatch.setattr("vlprompt.backbones.backbone.TEXTS_AT_ONCE", at_once)
        method = moved(lora(tiny_backbone, encoders="text"))
        features.append(method.class_features(torch.empty(0)))
        toward = torch.randn(features[-1].shape, generator=torch.Generator().manual_seed(1))
        gradients.append(torch.autograd.grad((features[-1] * toward).sum(), list(method.parameters())))
    torch.testing.assert_close(features[0], features[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("tower", ["siglip", "coca"])
def test_text_towers_that_read_whole_sequences_learn_too(tower: str) -> None:
    backbone = tiny_siglip() if tower == "siglip" else tiny_coca()
    method = moved(lora(backbone, encoders="text"))
    with torch.no_grad():
        expected = method.class_features(torch.empty(0))
    torch.testing.assert_close(method.class_features(torch.empty(0)), expected, rtol=1e-4, atol=1e-4)


def test_dropout_leaves_parts_of_the_change_out_in_training_only(tiny_backbone: Backbone, pixels: Tensor) -> None:
    method = moved(lora(tiny_backbone, lora_dropout=0.5))
    assert torch.equal(method(pixels).logits, method(pixels).logits)
    method.train()
    assert not torch.allclose(method(pixels).logits, method(pixels).logits, atol=1e-3)


def test_changes_leave_the_backbone_as_it_was(tiny_backbone: Backbone, pixels: Tensor) -> None:
    before = tiny_backbone.encode_images(pixels)
    method = moved(lora(tiny_backbone))
    F.cross_entropy(method(pixels).logits, LABELS).backward()
    method.predict_logits(pixels)
    assert torch.equal(tiny_backbone.encode_images(pixels), before)
    assert not any(p.requires_grad or p.grad is not None for p in tiny_backbone.model.parameters())


def test_a_resnet_is_refused_and_learns_in_the_text_tower_alone() -> None:
    backbone = load_backbone("mini", device="cpu")
    with pytest.raises(BackboneError, match=r"image tower of the backbone 'mini' has no attention.*or encoders text"):
        lora(backbone)
    method = lora(backbone, encoders="text")
    assert method(torch.zeros(2, 3, 64, 64)).logits.shape == (2, 3)


@pytest.mark.parametrize(
    "options", [{"rank": 0}, {"lora_alpha": 0}, {"lora_dropout": 1}, {"encoders": "vision"}, {"rank": "two"}]
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        CLIPLoRAOptions(**options)


@pytest.mark.parametrize("shots", [1, 2, 4, 8, 16])
def test_the_recipes_are_the_published_ones(shots: int) -> None:
    training = published_for(CLIPLoRA.recipes, "few-shot", shots).training
    assert training is not None
    assert training == TrainingSettings(
        iterations=500 * shots,
        batch_size=32,
        learning_rate=2e-4,
        warmup_epochs=0,
        optimizer="adamw",
        weight_decay=0.01,
        views=None,
    )
    # A hundred classes: so many batches of 32 are 160 epochs, whatever the number of shots.
    assert training.for_images(100 * shots).epochs == pytest.approx(160, rel=0.25)
