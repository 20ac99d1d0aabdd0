"""MaPLe against a plain reading of its paper, and the hooks on the towers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.tiny_models import tiny_backbone as make_backbone
from vlprompt.backbones import Backbone
from vlprompt.backbones.deep_prompts import deep_text_prompts, image_prompts
from vlprompt.errors import BackboneError, SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.maple import MaPLe, MaPLeOptions

NAMES = ["dog", "giant_panda", "okapi"]


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def shallow(**options: object) -> MaPLeOptions:
    return MaPLeOptions(**{"depth": 2, **options})  # type: ignore[arg-type]


def test_at_depth_one_without_image_prompts_it_is_coop(tiny_backbone: Backbone, pixels: Tensor) -> None:
    options = MaPLeOptions(context_length=4, depth=1, image_prompts=False)
    maple, coop = MaPLe(tiny_backbone, NAMES, options), build_method("coop", tiny_backbone, NAMES)
    with torch.no_grad():
        for method in (maple, coop):
            method.context_vectors += 0.1 * torch.randn(4, 128, generator=torch.Generator().manual_seed(1))
    features = tiny_backbone.encode_images(pixels)
    torch.testing.assert_close(maple(pixels).logits, coop(features).logits, rtol=1e-4, atol=1e-3)
    for output in (maple(pixels), coop(features)):
        F.cross_entropy(output.logits, torch.tensor([0, 2])).backward()
    torch.testing.assert_close(maple.context_vectors.grad, coop.context_vectors.grad, rtol=1e-3, atol=1e-5)


def test_the_first_words_are_replaced_and_the_others_stay(tiny_backbone: Backbone, pixels: Tensor) -> None:
    """Before training, with prompts in the first layer of the text only, the words are those of the template."""
    maple = MaPLe(tiny_backbone, NAMES, MaPLeOptions(context_length=2, depth=1, image_prompts=False))
    zero_shot = build_method("zero-shot", tiny_backbone, NAMES)
    expected = zero_shot(tiny_backbone.encode_images(pixels)).logits
    torch.testing.assert_close(maple(pixels).logits, expected, rtol=1e-4, atol=1e-3)


def plain_text(backbone: Backbone, method: MaPLe) -> Tensor:
    """The text tower written out, with the prompts put in by hand."""
    tower, engine = backbone.text, method.encode_prompts
    pieces = torch.cat([method.context_vectors.expand(len(NAMES), -1, -1), engine.token_embeddings], dim=1)
    hidden = pieces.gather(1, engine.sources[:, :, None].expand(-1, -1, pieces.shape[2])) + tower.positional_embedding
    length = hidden.shape[1]
    mask = torch.full((length, length), float("-inf")).triu(1)
    for number, block in enumerate(tower.blocks):
        if 0 < number <= len(method.deep_vectors):
            hidden = hidden.clone()
            hidden[:, method.start : method.start + 2] = method.deep_vectors[number - 1]
        hidden = block(hidden, attn_mask=mask)
    pooled = tower.final_norm(hidden)[torch.arange(len(NAMES)), engine.token_ids.argmax(1)]
    return pooled @ tower.projection


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


def test_it_is_the_towers_with_prompts_put_in_by_hand_gradients_included(
    tiny_backbone: Backbone, pixels: Tensor
) -> None:
    method = MaPLe(tiny_backbone, NAMES, shallow())
    images = F.normalize(plain_images(tiny_backbone, method, pixels), dim=-1)
    classes = F.normalize(plain_text(tiny_backbone, method), dim=-1)
    expected = tiny_backbone.logit_scale * images @ classes.T
    output = method(pixels)
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-3)
    parameters = list(method.parameters())
    labels = torch.tensor([0, 2])
    ours = torch.autograd.grad(F.cross_entropy(output.logits, labels), parameters)
    plain = torch.autograd.grad(F.cross_entropy(expected, labels), parameters)
    for gradient, other in zip(ours, plain, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def test_prompts_leave_the_backbone_as_it_was(tiny_backbone: Backbone, pixels: Tensor) -> None:
    before = tiny_backbone.encode_images(pixels)
    MaPLe(tiny_backbone, NAMES, shallow())(pixels)
    assert torch.equal(tiny_backbone.encode_images(pixels), before)
    assert not any(parameter.requires_grad for parameter in tiny_backbone.model.parameters())


def test_prompts_of_one_thread_do_not_reach_another(tiny_backbone: Backbone, pixels: Tensor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = tiny_backbone.encode_images(pixels)
    with image_prompts(tiny_backbone.model, torch.ones(2, 64), []), ThreadPoolExecutor(1) as other:
        assert not torch.equal(tiny_backbone.encode_images(pixels), before)
        assert torch.equal(other.submit(tiny_backbone.encode_images, pixels).result(), before)


def test_an_image_tower_that_takes_no_tokens_is_refused() -> None:
    backbone = make_backbone()
    backbone.model.visual.pool_type = "avg"
    with pytest.raises(BackboneError, match="takes no prompt tokens: it pools over all tokens"):
        MaPLe(backbone, NAMES, shallow())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 7}, "depth is 7, and the towers have 2 layers"),
        ({"context_length": 5}, "context_length is 5, and no first words of context_init 'a photo of a' have so many"),
    ],
)
def test_options_that_do_not_fit_the_towers_are_refused(
    tiny_backbone: Backbone, options: dict[str, int], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        MaPLe(tiny_backbone, NAMES, shallow(**options))


def test_text_prompts_of_the_first_layer_alone_change_nothing_deeper(tiny_backbone: Backbone) -> None:
    ids = tiny_backbone.tokenizer(["a dog."])
    with deep_text_prompts(tiny_backbone.text.blocks, 1, []):
        inside = tiny_backbone.text.encode_tokens(ids)
    assert torch.equal(inside, tiny_backbone.text.encode_tokens(ids))
