"""Every method through the same tests, and what each alone promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vlprompt.backbones import Backbone
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.methods import METHODS, build_method
from vlprompt.methods.coop import CoOp
from vlprompt.methods.options import ENSEMBLE_TEMPLATES, PromptOptions, ZeroShotOptions

NAMES = ["dog", "giant_panda", "okapi"]


@pytest.fixture
def features(tiny_backbone: Backbone) -> torch.Tensor:
    return torch.randn(5, tiny_backbone.feature_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_a_logit_for_every_image_and_class(
    tiny_backbone: Backbone, features: torch.Tensor, name: str
) -> None:
    assert build_method(name, tiny_backbone, NAMES)(features).logits.shape == (5, 3)


@pytest.mark.parametrize("name", METHODS)
def test_logits_do_not_depend_on_the_batch(tiny_backbone: Backbone, features: torch.Tensor, name: str) -> None:
    method = build_method(name, tiny_backbone, NAMES)
    forward = method(features).logits.detach()
    torch.testing.assert_close(method.predict_logits(features, 2), forward, rtol=1e-4, atol=1e-3)


def test_other_classes_share_parameters_and_saved_buffers(tiny_backbone: Backbone) -> None:
    class Counted(CoOp):
        def prepare(self) -> None:
            super().prepare()
            self.register_buffer("seen", torch.zeros(1))

    method = Counted(tiny_backbone, NAMES)
    method.seen += 3
    other = method.with_class_names(["quokka", "owl"])
    assert other.seen is method.seen
    assert other.context_vectors is method.context_vectors


@pytest.mark.parametrize("name", METHODS)
def test_only_what_is_learned_is_in_the_state(tiny_backbone: Backbone, name: str) -> None:
    method = build_method(name, tiny_backbone, NAMES)
    assert set(method.state_dict()) == {name for name, _ in method.named_parameters()}
    assert bool(method.state_dict()) == method.learns


@pytest.mark.parametrize("name", METHODS)
def test_new_class_names_share_what_was_learned(tiny_backbone: Backbone, features: torch.Tensor, name: str) -> None:
    method = build_method(name, tiny_backbone, NAMES)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.01
    other = method.with_class_names(["okapi", "quokka"])
    assert all(ours is theirs for ours, theirs in zip(other.parameters(), method.parameters(), strict=True))
    torch.testing.assert_close(other(features).logits[:, 0], method(features).logits[:, 2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_seed_gives_the_same_method_and_leaves_the_global_generator_alone(tiny_backbone: Backbone, name: str) -> None:
    before = torch.get_rng_state()
    first, again = (build_method(name, tiny_backbone, NAMES, options=_random(name), seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(before, torch.get_rng_state())


def _random(name: str) -> dict[str, object] | None:
    return None if name == "zero-shot" else {"context_init": None, "context_length": 16}


def test_random_contexts_have_the_published_spread(tiny_backbone: Backbone) -> None:
    context = build_method("coop", tiny_backbone, NAMES, options=_random("coop")).context_vectors
    assert context.shape == (16, tiny_backbone.token_width)
    assert 0.018 < float(context.detach().std()) < 0.022


def test_the_meta_nets_hidden_layer_is_a_sixteenth_of_the_image_feature(tiny_backbone: Backbone) -> None:
    meta_net = build_method("cocoop", tiny_backbone, NAMES).meta_net
    assert meta_net.linear1.weight.shape == (64 // 16, 64)
    assert meta_net.linear2.weight.shape == (128, 64 // 16)


def test_class_specific_contexts_refuse_other_names(tiny_backbone: Backbone) -> None:
    method = build_method("coop", tiny_backbone, NAMES, options={"class_specific": True})
    assert method.context_vectors.shape == (3, 4, 128)
    with pytest.raises(SettingsError, match="learned for 3 classes"):
        method.with_class_names(["quokka"])


def test_cocoop_has_no_class_specific_contexts(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="only coop"):
        build_method("cocoop", tiny_backbone, NAMES, options={"class_specific": True})


def test_the_ensemble_averages_normalised_features(tiny_backbone: Backbone, features: torch.Tensor) -> None:
    ensemble = build_method("zero-shot", tiny_backbone, NAMES, options={"ensemble": True}, template="a {} texture.")
    assert ensemble.templates == [*ENSEMBLE_TEMPLATES, "a {} texture."]
    single = [build_method("zero-shot", tiny_backbone, NAMES, template=t).weights for t in ensemble.templates]
    expected = torch.stack([torch.nn.functional.normalize(w, dim=-1) for w in single]).mean(0)
    torch.testing.assert_close(ensemble.weights, expected)


def test_a_template_needs_one_place_for_the_name(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="exactly one {}"):
        build_method("zero-shot", tiny_backbone, NAMES, template="a photo.")
    with pytest.raises(SettingsError, match="exactly one {}"):
        ZeroShotOptions(templates=("{} and {}.",))


@pytest.mark.parametrize(
    "options", [{"context_length": 0}, {"position": "back"}, {"context_init": " "}, {"engine": "turbo"}]
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        PromptOptions(**options)


@pytest.mark.parametrize("words", ["__", "&nbsp;", "word " * 90])
def test_words_that_give_no_context_or_too_much_are_refused(tiny_backbone: Backbone, words: str) -> None:
    with pytest.raises(SettingsError, match="context_init"):
        build_method("coop", tiny_backbone, NAMES, options={"context_init": words})


def test_a_context_that_leaves_no_room_is_blamed_itself(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="context_length is 80"):
        build_method("coop", tiny_backbone, NAMES, options={"context_length": 80, "context_init": None})


def test_an_unknown_option_names_the_nearest(tiny_backbone: Backbone) -> None:
    with pytest.raises(UnknownNameError, match="context_length"):
        build_method("coop", tiny_backbone, NAMES, options={"context_lenght": 4})


def test_an_unknown_method_names_the_nearest(tiny_backbone: Backbone) -> None:
    with pytest.raises(UnknownNameError, match="did you mean cocoop"):
        build_method("cocop", tiny_backbone, NAMES)


OWN_METHOD = '''
from vlprompt.methods.prompt_learner import PromptLearner


class Halved(PromptLearner):
    """CoOp at half the size."""

    name = "halved"

    def context(self, image_features):
        return self.context_vectors[None, None] / 2
'''


def test_a_users_own_file_adds_a_method(tiny_backbone: Backbone, features: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "halved.py"
    path.write_text(OWN_METHOD, encoding="utf-8")
    method = build_method(f"{path}:Halved", tiny_backbone, NAMES)
    method(features).logits.sum().backward()
    assert method.context_vectors.grad is not None


def test_a_users_file_without_the_class_is_refused(tiny_backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "halved.py"
    path.write_text(OWN_METHOD, encoding="utf-8")
    with pytest.raises(SettingsError, match="has no class Doubled"):
        build_method(f"{path}:Doubled", tiny_backbone, NAMES)
    with pytest.raises(SettingsError, match="there is no file"):
        build_method("nowhere.py:Halved", tiny_backbone, NAMES)
