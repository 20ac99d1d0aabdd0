"""TCP against KgCoOp, against a plain reading of the published computation, and against numeric gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.test_heads import pictures
from tests.tiny_models import tiny_backbone as make_backbone
from tests.tiny_models import tiny_siglip
from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError
from vlprompt.features import CachedViews
from vlprompt.methods import build_method
from vlprompt.methods.kgcoop import KgCoOp
from vlprompt.methods.tcp import TCP, TCPOptions
from vlprompt.recipes import TrainingSettings, published_for
from vlprompt.text_engine import PlainEngine
from vlprompt.training import train

NAMES = ["dog", "giant_panda", "okapi"]


def tcp(backbone: Backbone, template: str = "a photo of a {}.", **options: Any) -> TCP:
    return TCP(backbone, NAMES, TCPOptions(**options), template=template)


def trained(method: KgCoOp) -> list[float]:
    training_set = pictures(3)
    settings = TrainingSettings(epochs=4, warmup_epochs=0, batch_size=9, learning_rate=0.02)
    views = CachedViews(training_set.features[:, None].numpy())
    history = train(method, views, training_set.labels, settings)  # type: ignore[arg-type]
    return [epoch.loss for epoch in history.epochs]


def test_without_the_classes_own_vectors_it_is_kgcoop(tiny_backbone: Backbone) -> None:
    ours, kgcoop = tcp(tiny_backbone, injection_weight=0.0), build_method("kgcoop", tiny_backbone, NAMES)
    features = pictures(2).features
    # The layouts of the prompts differ, and with them the last bits.
    torch.testing.assert_close(ours(features).logits, kgcoop(features).logits, rtol=1e-4, atol=1e-3)
    before = kgcoop.context_vectors.detach().clone()
    assert trained(ours) == pytest.approx(trained(kgcoop), rel=1e-4)
    moved = float((kgcoop.context_vectors - before).detach().norm())
    assert float((ours.context_vectors - kgcoop.context_vectors).detach().norm()) < 1e-3 * moved


def test_with_them_it_is_another_method(tiny_backbone: Backbone) -> None:
    features = pictures(2).features
    with torch.no_grad():
        whole, half, none = (tcp(tiny_backbone, injection_weight=w)(features).logits for w in (1.0, 0.5, 0.0))
    assert not torch.allclose(whole, half, atol=0.01)
    assert not torch.allclose(half, none, atol=0.01)


def plain_text(backbone: Backbone, method: TCP, layer: int, weight: float) -> Tensor:
    """The text tower written out, with the classes' vectors put in by hand."""
    tower, engine = backbone.text, PlainEngine(backbone, method.prompts)
    pieces = torch.cat([method.context_vectors.expand(len(NAMES), -1, -1), engine.token_embeddings], dim=1)
    hidden = pieces.gather(1, engine.sources[:, :, None].expand(-1, -1, pieces.shape[2])) + tower.positional_embedding
    mask = torch.full((hidden.shape[1], hidden.shape[1]), float("-inf"), dtype=hidden.dtype).triu(1)
    down, _, up = method.knowledge
    inner = method.words @ down.weight.T + down.bias
    vectors = (inner * torch.sigmoid(1.702 * inner)) @ up.weight.T + up.bias
    for number, block in enumerate(tower.blocks, start=1):
        if number == layer:
            mixed = weight * vectors.view(len(NAMES), 4, -1) + (1 - weight) * hidden[:, 1:5]
            hidden = torch.cat([hidden[:, :1], mixed, hidden[:, 5:]], dim=1)
        hidden = block(hidden, attn_mask=mask)
    return tower.final_norm(hidden)[torch.arange(len(NAMES)), engine.token_ids.argmax(1)] @ tower.projection


@pytest.mark.parametrize(("layer", "weight"), [(2, 1.0), (3, 1.0), (3, 0.25)])
def test_it_is_the_tower_with_the_classes_vectors_put_in_by_hand_gradients_included(
    tiny_backbone: Backbone, layer: int, weight: float
) -> None:
    method = tcp(tiny_backbone, "a photo of a {}, a type of pet.", injection_layer=layer, injection_weight=weight)
    expected, ours = plain_text(tiny_backbone, method, layer, weight), method.class_features(pictures(1).features)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    parameters = list(method.parameters())
    toward = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    gradients = (
        torch.autograd.grad((features * toward).sum(), parameters, allow_unused=True) for features in (ours, expected)
    )
    for ours_, plain in zip(*gradients, strict=True):
        assert float(plain.abs().max()) > 0
        torch.testing.assert_close(ours_, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("memory", ["auto", 1])
@pytest.mark.filterwarnings("ignore:.*of the option memory")
def test_gradients_are_those_of_finite_differences(memory: str | int) -> None:
    backbone = make_backbone(dtype=torch.float64)
    method = tcp(backbone, memory=memory, injection_weight=0.5)
    names, values = zip(*method.named_parameters(), strict=True)
    values = tuple(value.detach().clone().requires_grad_() for value in values)
    images, labels = pictures(1).features.double(), pictures(1).labels

    def loss(*tensors: Tensor) -> Tensor:
        output = torch.func.functional_call(method, dict(zip(names, tensors, strict=True)), (images,))
        return F.cross_entropy(output.logits, labels)

    assert torch.autograd.gradcheck(loss, values, fast_mode=True)


def test_a_prompt_ends_as_the_template_does(tiny_backbone: Backbone) -> None:
    method, decode = tcp(tiny_backbone, "a photo of a {}, a type of pet."), tiny_backbone.tokenizer.decode
    assert decode(method.prompts.name_tokens(1)).strip() == "giant panda"
    assert decode(method.prompts.closing_tokens(1)[:-1]).strip() == ", a type of pet ."


def test_auto_is_the_ninth_layer_or_the_last_and_is_kept_in_the_options(tiny_backbone: Backbone) -> None:
    assert tcp(tiny_backbone).options.injection_layer == 3
    deep = make_backbone(text={"layers": 10, "width": 32, "heads": 1})
    assert tcp(deep).options.injection_layer == 9


def test_a_layer_that_the_tower_does_not_have_is_refused(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="injection_layer is 4, and the text tower of the backbone 'tiny' has 3"):
        tcp(tiny_backbone, injection_layer=4)
    with pytest.raises(SettingsError, match="'tiny-siglip' takes no contexts in deeper layers: its attention"):
        tcp(tiny_siglip())


@pytest.mark.parametrize(
    "options",
    [{"injection_layer": 1}, {"injection_weight": 2}, {"injection_weight": "half"}, {"engine": "plain"}],
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        TCPOptions(**options)


def test_the_recipe_is_the_published_one() -> None:
    recipe = published_for(TCP.recipes)
    training = recipe.training
    assert training is not None
    assert (training.epochs, training.batch_size, training.learning_rate) == (50, 32, 0.002)
    assert (training.optimizer, training.epsilon, training.weight_decay) == ("adam", 1e-3, 5e-4)
    assert recipe.options == {"context_length": 4, "context_init": None}
    assert TCPOptions().words_weight == 8
