"""What CoCoOp's Meta-Net is conditioned on; the published way is checked elsewhere to the bit."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.cocoop import CoCoOp, CoCoOpOptions
from vlprompt.methods.prompt_learner import PromptOptions

NAMES = ["apple", "owl", "boat"]


def images(count: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, 64, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def made(tiny_backbone):
    return lambda seen: CoCoOp(tiny_backbone, NAMES, CoCoOpOptions(meta_net_input=seen), seed=1)


def test_the_image_is_the_default_and_what_plain_prompt_options_mean(tiny_backbone, made) -> None:
    plain = CoCoOp(tiny_backbone, NAMES, PromptOptions(), seed=1)
    shown = images(4)
    assert made("image").conditioned_on(shown) is shown
    assert torch.equal(plain(shown).logits, made("image")(shown).logits)
    assert plain.state_dict().keys() == made("image").state_dict().keys()
    assert plain.screening() is not None


@pytest.mark.parametrize("seen", ["other", "noise", "nothing"])
def test_all_start_from_the_same_parameters(made, seen) -> None:
    learned = dict(made(seen).named_parameters())
    assert all(torch.equal(learned[name], value) for name, value in made("image").named_parameters())


def test_in_training_another_image_is_the_one_before(made) -> None:
    method = made("other").train()
    stream = images(5)
    seen = torch.cat(
        [method.conditioned_on(stream[:2]), method.conditioned_on(stream[2:3]), method.conditioned_on(stream[3:])]
    )
    assert torch.equal(seen[1:], stream[:4])
    assert not seen[0].any()


def test_in_prediction_another_image_is_one_of_the_training_images(made) -> None:
    method = made("other").train()
    trained = images(5)
    method.conditioned_on(trained)
    method.eval()
    seen = method.conditioned_on(images(40, seed=9))
    assert {tuple(row) for row in seen.tolist()} == {tuple(row) for row in trained.tolist()}


@pytest.mark.parametrize("seen", ["other", "noise"])
def test_a_prediction_does_not_depend_on_what_else_is_named(made, seen) -> None:
    method = made(seen).train()
    method.conditioned_on(images(5))
    method.eval()
    shown = images(6, seed=9)
    together = method.conditioned_on(shown)
    assert torch.equal(together.flip(0), method.conditioned_on(shown.flip(0)))
    assert torch.equal(together, method.conditioned_on(shown))
    assert torch.equal(together[2:3], method.conditioned_on(shown[2:3]))


def test_noise_is_fresh_at_every_step_of_training_and_as_long_as_an_image(made) -> None:
    method = made("noise").train()
    shown = images(3)
    first, second = method.conditioned_on(shown), method.conditioned_on(shown)
    assert not torch.equal(first, second)
    assert torch.allclose(first.norm(dim=-1), torch.ones(3))


def test_nothing_gives_one_context_for_all_images(made) -> None:
    method = made("nothing")
    assert method.context(images(4)).shape[0] == 1
    assert method.has_fixed_class_features


@pytest.mark.parametrize("seen", ["other", "noise", "nothing"])
def test_an_expansion_around_the_image_makes_no_sense(made, seen) -> None:
    assert made(seen).screening() is None


@pytest.mark.parametrize("seen", ["other", "noise"])
def test_what_it_needs_to_go_on_is_saved_with_it(made, seen) -> None:
    method = made(seen).train()
    method.conditioned_on(images(3))
    again = made(seen).train()
    again.load_learned(method.state_dict())
    shown = images(2, seed=4)
    assert torch.equal(again.conditioned_on(shown), method.conditioned_on(shown))


def test_over_other_names_it_sees_the_same(made) -> None:
    method = made("other").train()
    method.conditioned_on(images(3))
    method.eval()
    other = method.with_class_names(["crab", "tent"])
    assert torch.equal(other.conditioned_on(images(4, seed=2)), method.conditioned_on(images(4, seed=2)))


def test_another_word_is_refused() -> None:
    with pytest.raises(SettingsError, match="meta_net_input"):
        CoCoOpOptions(meta_net_input="text")  # type: ignore[arg-type]
