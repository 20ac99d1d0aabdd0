"""MaPLe against CoOp, against a plain reading of its paper, and against numeric gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.tiny_models import tiny_backbone as make_backbone
from tests.tiny_models import tiny_siglip
from vlprompt.backbones import Backbone
from vlprompt.errors import BackboneError, SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.maple import MaPLe, MaPLeOptions
from vlprompt.recipes import TrainingSettings, learning_rate_at, published_for
from vlprompt.text_engine import PlainEngine
from vlprompt.training import train

NAMES = ["dog", "giant_panda", "okapi"]
LABELS = torch.tensor([0, 2])
COOP = {"context_length": 4, "depth": 1, "image_prompts": False}
"""With these options it is CoOp."""


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def maple(backbone: Backbone, **options: Any) -> MaPLe:
    return MaPLe(backbone, NAMES, MaPLeOptions(**options))


def test_at_depth_one_without_image_prompts_it_is_coop(tiny_backbone: Backbone, pixels: Tensor) -> None:
    ours, coop = maple(tiny_backbone, **COOP), build_method("coop", tiny_backbone, NAMES)
    with torch.no_grad():
        for method in (ours, coop):
            method.context_vectors += 0.1 * torch.randn(4, 128, generator=torch.Generator().manual_seed(1))
    outputs = ours(pixels), coop(tiny_backbone.encode_images(pixels))
    # Both compute in fp32 at a logit scale of 55.
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, rtol=1e-4, atol=1e-3)
    for output in outputs:
        F.cross_entropy(output.logits, LABELS).backward()
    torch.testing.assert_close(ours.context_vectors.grad, coop.context_vectors.grad, rtol=1e-3, atol=1e-5)


class Crops:
    """Other pictures in each epoch, as pixels or as the features of the same pixels."""

    def __init__(self, backbone: Backbone, count: int = 12) -> None:
        self.backbone = backbone
        self.pixels = torch.randn(4, count, 3, 32, 32, generator=torch.Generator().manual_seed(3))

    def batches(self, epoch: int, places: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        return (self.pixels[epoch][list(some)] for some in places)


class Features:
    """Features of the same crops."""

    def __init__(self, crops: Crops) -> None:
        self.crops = crops

    def epoch(self, epoch: int) -> Tensor:
        return self.crops.backbone.encode_images(self.crops.pixels[epoch])


def test_trained_on_the_same_crops_it_is_coop(tiny_backbone: Backbone) -> None:
    settings = TrainingSettings(epochs=4, batch_size=4, learning_rate=0.02)
    labels, crops = [0, 1, 2] * 4, Crops(tiny_backbone)
    ours, coop = maple(tiny_backbone, **COOP), build_method("coop", tiny_backbone, NAMES)
    before = coop.context_vectors.detach().clone()
    histories = train(ours, crops, labels, settings), train(coop, Features(crops), labels, settings)
    assert [e.loss for e in histories[0].epochs] == pytest.approx([e.loss for e in histories[1].epochs], rel=1e-4)
    moved = float((coop.context_vectors - before).detach().norm())
    assert float((ours.context_vectors - coop.context_vectors).detach().norm()) < 1e-3 * moved


def test_the_first_words_are_replaced_and_the_others_stay(tiny_backbone: Backbone, pixels: Tensor) -> None:
    """Before training, with prompts in the first layer of the text only, the words are those of the template."""
    ours = maple(tiny_backbone, depth=1, image_prompts=False)
    assert ours.context_vectors.shape == (2, 128)
    expected = build_method("zero-shot", tiny_backbone, NAMES)(tiny_backbone.encode_images(pixels)).logits
    torch.testing.assert_close(ours(pixels).logits, expected, rtol=1e-4, atol=1e-3)


def plain_text(backbone: Backbone, method: MaPLe) -> Tensor:
    """The text tower written out, with the prompts put in by hand."""
    tower, engine = backbone.text, PlainEngine(backbone, method.prompts)
    pieces = torch.cat([method.context_vectors.expand(len(NAMES), -1, -1), engine.token_embeddings], dim=1)
    hidden = pieces.gather(1, engine.sources[:, :, None].expand(-1, -1, pieces.shape[2])) + tower.positional_embedding
    mask = torch.full((hidden.shape[1], hidden.shape[1]), float("-inf"), dtype=hidden.dtype).triu(1)
    for number, block in enumerate(tower.blocks):
        if 0 < number <= len(method.deep_vectors):
            hidden = hidden.clone()
            hidden[:, 1:3] = method.deep_vectors[number - 1]
        hidden = block(hidden, attn_mask=mask)
    return tower.final_norm(hidden)[torch.arange(len(NAMES)), engine.token_ids.argmax(1)] @ tower.projection


def plain_images(backbone: Backbone, method: MaPLe, pixels: Tensor) -> Tensor:
    """The image tower written out, likewise."""
    visual = backbone.model.visual
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(len(pixels), 1, -1)
    hidden = torch.cat([first, patches], dim=1) + visual.positional_embedding
    vectors = [method.context_vectors, *method.deep_vectors]
    tokens = [project(layer) for project, layer in zip(method.projections, vectors, strict=True)]
    hidden = visual.ln_pre(torch.cat([hidden, tokens[0].expand(len(pixels), -1, -1)], dim=1))
    for number, block in enumerate(visual.transformer.resblocks):
        if 0 < number < len(tokens):
            hidden = torch.cat([hidden[:, :-2], tokens[number].expand(len(pixels), -1, -1)], dim=1)
        hidden = block(hidden)
    return visual.ln_post(hidden[:, 0]) @ visual.proj


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_it_is_the_towers_with_prompts_put_in_by_hand_gradients_included(
    pixels: Tensor, depth: int, quick_gelu: bool
) -> None:
    backbone = make_backbone(quick_gelu=quick_gelu)
    method = maple(backbone, depth=depth)
    images = F.normalize(plain_images(backbone, method, pixels), dim=-1)
    classes = F.normalize(plain_text(backbone, method), dim=-1)
    expected, output = backbone.logit_scale * images @ classes.T, method(pixels)
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-3)
    parameters = list(method.parameters())
    assert len(parameters) == 1 + (depth - 1) + 2 * depth
    ours = torch.autograd.grad(F.cross_entropy(output.logits, LABELS), parameters)
    plain = torch.autograd.grad(F.cross_entropy(expected, LABELS), parameters)
    for gradient, other in zip(ours, plain, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("memory", ["auto", 1])
@pytest.mark.filterwarnings("ignore:.*of the option memory")
def test_gradients_through_both_towers_are_those_of_finite_differences(pixels: Tensor, memory: str | int) -> None:
    backbone = make_backbone(dtype=torch.float64)
    method = maple(backbone, memory=memory)
    names, values = zip(*method.named_parameters(), strict=True)
    assert {name.split(".")[0] for name in names} == {"context_vectors", "deep_vectors", "projections"}
    values = tuple(value.detach().clone().requires_grad_() for value in values)

    def loss(*tensors: Tensor) -> Tensor:
        output = torch.func.functional_call(method, dict(zip(names, tensors, strict=True)), (pixels.double(),))
        return F.cross_entropy(output.logits, LABELS)

    assert torch.autograd.gradcheck(loss, values, fast_mode=True)


def test_auto_depth_is_nine_layers_or_all_and_is_kept_in_the_options(tiny_backbone: Backbone) -> None:
    assert maple(tiny_backbone).options.depth == 2  # of the image tower's 2 layers and the text tower's 3
    assert maple(tiny_backbone, image_prompts=False).options.depth == 3
    deep = make_backbone(text={"layers": 10, "width": 32, "heads": 1})
    assert maple(deep, image_prompts=False).options.depth == 9
    assert maple(deep, image_prompts=False, depth=10).options.depth == 10


def test_the_layers_of_the_deeper_prompts_start_alike_as_published() -> None:
    backbone = make_backbone(vision={"layers": 3})
    first, second, third = maple(backbone).projections
    assert torch.equal(second.weight, third.weight)
    assert not torch.equal(first.weight, second.weight)
    assert second.weight is not third.weight


def test_prompts_leave_the_backbone_as_it_was(tiny_backbone: Backbone, pixels: Tensor) -> None:
    before = tiny_backbone.encode_images(pixels)
    F.cross_entropy(maple(tiny_backbone)(pixels).logits, LABELS).backward()
    assert torch.equal(tiny_backbone.encode_images(pixels), before)
    assert not any(p.requires_grad or p.grad is not None for p in tiny_backbone.model.parameters())


def resnet() -> Backbone:
    from vlprompt.backbones import load_backbone

    return load_backbone("mini", device="cpu")


def test_image_towers_that_take_no_tokens_are_refused_by_name() -> None:
    pooled = make_backbone()
    pooled.model.visual.pool_type = "avg"
    with pytest.raises(BackboneError, match="backbone 'tiny' takes no prompt tokens: it pools over all tokens"):
        maple(pooled)
    with pytest.raises(BackboneError, match=r"backbone 'mini' takes no prompt tokens: it is a ResNet.*image_prompts"):
        maple(resnet())


def test_a_resnet_takes_prompts_in_the_text_tower_alone() -> None:
    backbone = resnet()
    method = maple(backbone, image_prompts=False)
    assert method.options.depth == 3
    assert method(torch.zeros(2, 3, 64, 64)).logits.shape == (2, 3)


def test_a_text_tower_that_is_not_causal_is_refused() -> None:
    with pytest.raises(SettingsError, match="'tiny-siglip' takes no contexts in deeper layers: its attention"):
        maple(tiny_siglip())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 7}, "depth is 7, and a tower of the backbone 'tiny' has 2 layers"),
        ({"context_length": 5}, "context_length is 5, and no first words of context_init 'a photo of a' have so many"),
        ({"memory": "much"}, "memory is 'much'"),
    ],
)
def test_options_that_do_not_fit_the_towers_are_refused(
    tiny_backbone: Backbone, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        maple(tiny_backbone, **options)


@pytest.mark.parametrize(
    "options",
    [{"depth": 0}, {"depth": "deep"}, {"context_length": 0}, {"context_init": " "}, {"image_prompts": "perhaps"}],
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        MaPLeOptions(**options)


def test_the_recipes_are_the_published_ones() -> None:
    settings = published_for(MaPLe.recipes).training
    assert settings is not None
    assert (settings.epochs, settings.batch_size, settings.views) == (5, 4, None)
    rates = [learning_rate_at(settings, epoch) for epoch in range(5)]
    assert rates == pytest.approx([1e-5, 3.5e-3, 3.165780e-3, 2.290780e-3, 1.209220e-3], rel=1e-5)
    across = published_for(MaPLe.recipes, "cross-dataset")
    assert across.training is not None
    assert (across.training.epochs, across.training.learning_rate, across.options) == (2, 0.0026, {"depth": 3})
