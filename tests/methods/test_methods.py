"""Every method through the same tests, and what each alone promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.tiny_models import WordTokenizer, tiny_siglip
from tests.tiny_models import tiny_backbone as tiny_clip
from vlprompt.backbones import Backbone
from vlprompt.errors import DataError, MethodError, SettingsError, UnknownNameError
from vlprompt.features import CachedViews
from vlprompt.methods import METHODS, build_method, method_class
from vlprompt.methods.coop import CoOp
from vlprompt.methods.method import Method, Output, TrainingSet
from vlprompt.methods.prompt_learner import PromptLearner, PromptOptions
from vlprompt.methods.zero_shot import ENSEMBLE_TEMPLATES, ZeroShotOptions
from vlprompt.model.prediction import Predictor
from vlprompt.recipes import TrainingSettings
from vlprompt.training import train

NAMES = ["dog", "giant_panda", "okapi"]


@pytest.fixture
def features(tiny_backbone: Backbone) -> torch.Tensor:
    return torch.randn(5, tiny_backbone.feature_size, generator=torch.Generator().manual_seed(0))


def pictures(width: int = 64, per_class: int = 4) -> TrainingSet:
    """Features that lie around a direction for each of `NAMES`."""
    stream = torch.Generator().manual_seed(0)
    centers = torch.randn(len(NAMES), width, generator=stream)
    labels = torch.arange(len(NAMES)).repeat_interleave(per_class)
    features = centers[labels] + 0.7 * torch.randn(len(labels), width, generator=stream)
    return TrainingSet(F.normalize(features, dim=-1), labels)


def seen_by(name: str, features: torch.Tensor) -> torch.Tensor:
    """Of as many pictures as there are features, what the method reads."""
    if method_class(name).reads == "features":
        return features
    return torch.randn(len(features), 3, 32, 32, generator=torch.Generator().manual_seed(0))


def ready(name: str, backbone: Backbone, **options: Any) -> Method:
    """The method as it is before its first epoch: set up with a few pictures, where it asks for them."""
    method = build_method(name, backbone, NAMES, **options)
    method.setup(pictures(backbone.feature_size))
    return method


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name: str) -> None:
    found = method_class(name)
    assert found.name == name
    assert found.about
    assert re.search(r"\d{4}, arXiv \d{4}\.\d{5}$", found.source) or (name, found.source) == ("blend", "vlprompt's own")
    assert found.uses_pictures() == (name != "zero-shot")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_a_logit_for_every_image_and_class(
    tiny_backbone: Backbone, features: torch.Tensor, name: str
) -> None:
    assert ready(name, tiny_backbone)(seen_by(name, features)).logits.shape == (5, 3)


@pytest.mark.parametrize("name", METHODS)
def test_what_predicts_is_forward_whatever_the_batch(
    tiny_backbone: Backbone, features: torch.Tensor, name: str
) -> None:
    method, inputs = ready(name, tiny_backbone), seen_by(name, features)
    forward = method(inputs).logits.detach()
    torch.testing.assert_close(method.predict_logits(inputs, 2), forward, rtol=1e-4, atol=1e-3)
    alone = torch.cat([method(inputs[[place]]).logits.detach() for place in range(len(inputs))])
    torch.testing.assert_close(alone, forward, rtol=1e-4, atol=1e-3)
    if method.reads == "features":
        torch.testing.assert_close(method(7 * features).logits.detach(), forward, rtol=1e-4, atol=1e-3)
    for screening in ("off", "auto", len(NAMES)):
        predicted = Predictor(method, pictures().features).logits(inputs, screening)
        torch.testing.assert_close(predicted, forward, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_no_images_have_no_logits(tiny_backbone: Backbone, name: str) -> None:
    assert ready(name, tiny_backbone).predict_logits(torch.empty(0, 64)).shape == (0, 3)


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
def test_every_parameter_has_a_gradient_and_there_is_one_where_it_learns(tiny_backbone: Backbone, name: str) -> None:
    method, training_set = ready(name, tiny_backbone), pictures()
    parameters = dict(method.named_parameters())
    assert bool(parameters) == method.learns
    if method.learns:
        method.loss(method(seen_by(name, training_set.features)), training_set.labels).backward()
        assert all(parameter.grad is not None for parameter in parameters.values())
        assert any(bool(parameter.grad.any()) for parameter in parameters.values())


@pytest.mark.parametrize("name", METHODS)
def test_what_is_learned_is_in_the_state_and_nothing_of_the_backbone(tiny_backbone: Backbone, name: str) -> None:
    method = ready(name, tiny_backbone)
    assert bool(method.state_dict()) == method.uses_pictures()
    assert {name for name, _ in method.named_parameters()} <= set(method.state_dict())
    # Linear layers of MaPLe's and TCP's take 30,000 to 40,000 here, LoRA's of both towers 25,000; a block of a tower
    # some 200,000.
    wide = name in ("maple", "tcp", "clip-lora")
    assert sum(tensor.nbytes for tensor in method.state_dict().values()) < (80_000 if wide else 10_000)


@pytest.mark.parametrize("name", METHODS)
def test_a_state_comes_back_with_the_same_logits_to_the_bit(
    tiny_backbone: Backbone, features: torch.Tensor, name: str
) -> None:
    method = ready(name, tiny_backbone)
    state = changed(method)
    again = build_method(name, tiny_backbone, NAMES)
    expected = again.expected_state(len(pictures().labels))
    assert {name: (t.shape, t.dtype) for name, t in expected.items()} == {
        name: (t.shape, t.dtype) for name, t in state.items()
    }
    again.load_learned(state)
    inputs = seen_by(name, features)
    assert torch.equal(again(inputs).logits, method(inputs).logits)
    assert state.keys() == again.state_dict().keys()
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("name", METHODS)
def test_a_state_with_a_tensor_too_few_or_too_many_is_refused(tiny_backbone: Backbone, name: str) -> None:
    state = dict(ready(name, tiny_backbone).state_dict())
    wrong = [{**state, "other": torch.zeros(2)}, *({k: v for k, v in state.items() if k != left} for left in state)]
    for tensors in wrong:
        with pytest.raises(RuntimeError):
            build_method(name, tiny_backbone, NAMES).load_learned(tensors)


@pytest.mark.parametrize("name", [name for name in METHODS if method_class(name).open_names])
def test_new_class_names_share_what_was_learned(tiny_backbone: Backbone, features: torch.Tensor, name: str) -> None:
    method = ready(name, tiny_backbone)
    changed(method)
    other, inputs = method.with_class_names(["okapi", "quokka"]), seen_by(name, features)
    assert all(ours is theirs for ours, theirs in zip(other.parameters(), method.parameters(), strict=True))
    torch.testing.assert_close(other(inputs).logits[:, 0], method(inputs).logits[:, 2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in METHODS if not method_class(name).open_names])
def test_names_without_pictures_are_refused_with_the_methods_that_take_them(tiny_backbone: Backbone, name: str) -> None:
    taking = ", ".join(name for name in METHODS if method_class(name).open_names)
    with pytest.raises(SettingsError, match=rf"'quokka' is none of them; .* {taking}\.$"):
        ready(name, tiny_backbone).with_class_names(["okapi", "quokka"])


@pytest.mark.parametrize("name", METHODS)
def test_some_of_the_classes_in_another_order_and_all_of_them_again(
    tiny_backbone: Backbone, features: torch.Tensor, name: str
) -> None:
    method, inputs = ready(name, tiny_backbone), seen_by(name, features)
    changed(method)
    whole = method(inputs).logits
    fewer = method.with_class_names(["okapi", "dog"])
    torch.testing.assert_close(fewer(inputs).logits, whole[:, [2, 0]], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(fewer.predict_logits(inputs), fewer(inputs).logits.detach(), rtol=1e-4, atol=1e-3)
    assert all(torch.equal(fewer.state_dict()[key], tensor) for key, tensor in method.state_dict().items())
    back = fewer.with_class_names([name.replace("_", " ") for name in NAMES])
    torch.testing.assert_close(back(inputs).logits, whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_seed_gives_the_same_method_and_leaves_the_global_generator_alone(tiny_backbone: Backbone, name: str) -> None:
    before = torch.get_rng_state()
    first, again = (ready(name, tiny_backbone, options=_random(name), seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert torch.equal(before, torch.get_rng_state())


def changed(method: Method) -> dict[str, torch.Tensor]:
    """The state after its parameters moved a little, as training would have it."""
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.01
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


def _random(name: str) -> dict[str, object] | None:
    has_context = hasattr(method_class(name).options_class, "context_init")
    return {"context_init": None, "context_length": 16} if has_context else None


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
    "options",
    [
        {"context_length": 0},
        {"position": "back"},
        {"context_init": " "},
        {"context_init": "a {}."},
        {"engine": "turbo"},
    ],
)
def test_wrong_options_are_refused_where_they_are_made(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        PromptOptions(**options)


@pytest.mark.parametrize(
    "words",
    ["a photo of a", "a photo of a:", "this is a picture,", "what is this?", "x.", "  two   spaces ", "a_photo_of_a_:"],
)
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_context_starts_from_exactly_the_tokens_of_its_words(words: str, kind: str) -> None:
    backbone = tiny_clip() if kind == "clip" else tiny_siglip(tokenizer=WordTokenizer(32))
    plain = " ".join(words.replace("_", " ").split())
    ids = backbone.tokenizer.encode(plain) if kind == "clip" else [i for i in backbone.tokenizer([plain])[0] if i != 1]
    vectors = build_method("coop", backbone, NAMES, options={"context_init": words}).context_vectors
    assert torch.equal(vectors.detach(), backbone.embed_tokens(torch.tensor(ids)))


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


class Given(PromptLearner):
    """Gives whatever context a test asks for."""

    name = "given"

    def context(self, image_features: torch.Tensor) -> torch.Tensor:
        return self.given(self.context_vectors, image_features)


@pytest.mark.parametrize("engine", ["plain", "segments"])
@pytest.mark.parametrize("position", ["end", "middle"])
def test_a_context_a_class_made_from_one_parameter_is_used_class_by_class(
    tiny_backbone: Backbone, features: torch.Tensor, engine: str, position: str
) -> None:
    options = PromptOptions(engine=engine, position=position)
    shift = torch.randn(3, 1, 1, generator=torch.Generator().manual_seed(4))
    method = Given(tiny_backbone, NAMES, options)
    method.given = lambda vectors, _: (vectors + shift)[None]
    for label, name in enumerate(NAMES):
        alone = Given(tiny_backbone, [name], options)
        alone.given = lambda vectors, _, label=label: (vectors + shift[label])[None, None]
        torch.testing.assert_close(method(features).logits[:, [label]], alone(features).logits, rtol=1e-4, atol=1e-3)
    images = method.normalised(features)
    pairs = method.encode_pairs(method.context(images), torch.tensor([[2, 0]] * len(features)))
    torch.testing.assert_close(pairs, method.class_features(images)[:, [2, 0]].expand(5, -1, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["plain", "segments"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 128), (1, 1, 5, 128), (1, 2, 4, 128), (4, 1, 4, 128), (1, 1, 4, 64), (4, 128)]
)
def test_a_context_of_another_shape_is_refused_with_both_shapes(
    tiny_backbone: Backbone, features: torch.Tensor, engine: str, shape: tuple[int, ...]
) -> None:
    method = Given(tiny_backbone, NAMES, PromptOptions(engine=engine))
    method.given = lambda vectors, _: vectors.new_zeros(shape)
    images = method.normalised(features)
    wrong = rf"shape {re.escape(str(shape))}.*\(b, n, 4, 128\)"
    with pytest.raises(MethodError, match=wrong):
        method(features)
    with pytest.raises(MethodError, match=wrong):
        method.encode_pairs(method.context(images), torch.zeros(5, 2, dtype=torch.long))


@pytest.mark.parametrize("shape", [(2, 3, 64), (1, 2, 64), (1, 3, 32), (3, 64)])
def test_class_features_of_another_shape_are_refused(
    tiny_backbone: Backbone, features: torch.Tensor, shape: tuple[int, ...]
) -> None:
    class Wrong(Method):
        name, options_class, learns = "wrong", ZeroShotOptions, False

        def class_features(self, image_features: torch.Tensor) -> torch.Tensor:
            return torch.ones(shape)

    for logits in (Wrong(tiny_backbone, NAMES), Wrong(tiny_backbone, NAMES).predict_logits):
        with pytest.raises(MethodError, match=re.escape(str(shape))):
            logits(features)


@pytest.mark.parametrize(
    "given", [None, np.ones((1, 3, 64)), torch.ones(1, 3, 64, dtype=torch.long), torch.ones(1, 3, 64).double()]
)
def test_class_features_of_another_type_are_refused(
    tiny_backbone: Backbone, features: torch.Tensor, given: object
) -> None:
    class Wrong(Method):
        name, options_class, learns = "wrong", ZeroShotOptions, False

        def class_features(self, image_features: torch.Tensor) -> torch.Tensor:
            return given  # type: ignore[return-value]

    with pytest.raises(MethodError, match="class features of the type .*; they must be a tensor of torch.float32"):
        Wrong(tiny_backbone, NAMES)(features)


def test_what_was_learned_for_each_class_names_no_others(tiny_backbone: Backbone) -> None:
    class Biased(CoOp):
        def prepare(self) -> None:
            super().prepare()
            self.bias = torch.nn.Parameter(torch.zeros(len(self.class_names)))

    with pytest.raises(SettingsError, match=r"has learned bias of the shape \(3,\), which would be \(2,\)"):
        Biased(tiny_backbone, NAMES).with_class_names(["cat", "dog"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("class Mine(Method):\n    options_class = ZeroShotOptions", "does not give class_features"),
        ("class Mine(Method):\n    class_features = None", "has no dataclass as options_class"),
        ("class Mine(CoOp):\n    options_class = dict", "has no dataclass as options_class"),
        (
            "@dataclass\nclass Bare:\n    depth: int\nclass Mine(CoOp):\n    options_class = Bare",
            "without a default: depth",
        ),
    ],
)
def test_a_method_file_that_lacks_what_a_method_must_have_is_named(tmp_path: Path, body: str, said: str) -> None:
    head = (
        "from dataclasses import dataclass\nfrom vlprompt.methods.coop import CoOp\n"
        "from vlprompt.methods.method import Method\nfrom vlprompt.methods.zero_shot import ZeroShotOptions\n"
    )
    (tmp_path / "mine.py").write_text(f"{head}{body}\n")
    with pytest.raises(MethodError, match=f"the method Mine of .*mine.py .*{said}"):
        method_class(f"{tmp_path / 'mine.py'}:Mine")


def test_a_method_file_without_its_class_and_one_that_exits_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(SettingsError, match=r"names a file without its class; write .*mine\.py:ClassName"):
        method_class(str(tmp_path / "mine.py"))
    with pytest.raises(SettingsError, match="cannot be run"):
        method_class(f"{tmp_path / 'mine.py'}:Mine")


@pytest.mark.parametrize("templates", [5, [5], {"a {}.": 1}, []])
def test_templates_that_are_no_list_of_text_are_refused(templates: object) -> None:
    with pytest.raises(SettingsError, match="template"):
        ZeroShotOptions(templates=templates)  # type: ignore[arg-type]


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


SAME_WORDS = [
    ("bird's nest", "bird\u2019s nest"),
    ("R&D lab", "R&amp;D lab"),
    ("cafe\u0301", "caf\u00e9"),
    ("x\u00a0y", "x y"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", SAME_WORDS)
def test_two_names_with_the_same_tokens_are_refused_by_name(
    tiny_backbone: Backbone, method: str, pair: tuple[str, str]
) -> None:
    with pytest.raises(DataError, match="are one prompt to the backbone 'tiny'") as refusal:
        build_method(method, tiny_backbone, ["log", *pair])
    # Their texts as Python writes them, so that letters that look alike are told apart.
    assert all(repr(name) in str(refusal.value) or ascii(name) in str(refusal.value) for name in pair)
    with pytest.raises(DataError, match="are one prompt"):
        build_method(method, tiny_backbone, NAMES).with_class_names(pair)


@pytest.mark.parametrize("names", [("C++", "C#"), ("R&B", "RB"), ("Cat!", "cat"), ("owl", "o.w.l.")])
def test_names_that_a_canonicalising_tokenizer_makes_one_prompt_are_refused_for_it_only(
    tiny_backbone: Backbone, names: tuple[str, str]
) -> None:
    siglip = tiny_siglip(tokenizer=WordTokenizer(32))
    with pytest.raises(DataError, match="are one prompt to the backbone 'tiny-siglip'"):
        build_method("coop", siglip, names)
    build_method("coop", tiny_backbone, names)


@pytest.mark.parametrize(
    ("name", "tokenizer"), [("&nbsp;", None), ("+++", WordTokenizer(32)), ("\U0001f600", WordTokenizer(32))]
)
def test_a_name_that_the_tokenizer_makes_nothing_of_is_refused(name: str, tokenizer: WordTokenizer | None) -> None:
    backbone = tiny_siglip(tokenizer=tokenizer) if tokenizer else tiny_clip()
    with pytest.raises(DataError, match="has no words that the backbone"):
        build_method("zero-shot", backbone, ["cat", name])


def test_names_that_are_equal_letter_by_letter_pass_as_in_published_data_sets(tiny_backbone: Backbone) -> None:
    assert build_method("zero-shot", tiny_backbone, ["missile", "missile"]).weights.shape[0] == 2


def test_names_of_a_saved_model_pass_where_they_are_asked_to(tiny_backbone: Backbone) -> None:
    method = build_method("coop", tiny_backbone, SAME_WORDS[0], one_prompt_allowed=True)
    assert method.with_class_names(SAME_WORDS[1]).class_names == list(SAME_WORDS[1])


def test_long_names_that_differ_at_their_end_are_no_prompt_of_each_other(tiny_backbone: Backbone) -> None:
    long = "dog " * 68
    assert build_method("zero-shot", tiny_backbone, [long + "cat", long + "cow"]).weights.shape[0] == 2
    with pytest.raises(DataError, match="has .* tokens, and this backbone takes 77"):
        build_method("zero-shot", tiny_backbone, ["dog " * 200 + "cat", "dog " * 200 + "cow"])


def test_class_specific_contexts_are_coops_alone(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="only coop"):
        build_method("kgcoop", tiny_backbone, NAMES, options={"class_specific": True})


def test_names_that_are_one_prompt_pass_for_every_method_of_a_published_data_set(tiny_backbone: Backbone) -> None:
    for name in METHODS:
        method = build_method(name, tiny_backbone, SAME_WORDS[0], one_prompt_allowed=True)
        if name == "kgcoop":
            assert method.words.shape == (2, 64)


class OfTheOldContract(CoOp):
    """Gives what `forward` gave before there was an `Output`."""

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        return self.normalised(image_features) @ torch.ones(64, len(self.class_names))


class TakesATensor(CoOp):
    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        return -super().forward(image_features)


class TooFew(CoOp):
    def forward(self, image_features: torch.Tensor) -> Output:
        output = super().forward(image_features)
        return Output(output.logits[:, 1:], output.image_features)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (OfTheOldContract, r"the forward of the method OfTheOldContract gives a Tensor; it must be an Output"),
        (TakesATensor, r"TakesATensor takes what super\(\)\.forward gives for a tensor .* logits are in \.logits"),
        (TooFew, r"TooFew gives logits of the shape \(12, 2\); they must be of \(12, 3\)"),
    ],
)
def test_a_forward_that_gives_something_else_is_refused_in_training_and_in_prediction(
    tiny_backbone: Backbone, kind: type[CoOp], says: str
) -> None:
    method, training_set = kind(tiny_backbone, NAMES), pictures()
    with pytest.raises(MethodError, match=says):
        method.predict_logits(training_set.features)
    views = CachedViews(training_set.features[:, None].numpy())
    with pytest.raises(MethodError, match=says):
        train(method, views, training_set.labels, TrainingSettings(epochs=1, warmup_epochs=0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "engine", "reason"),
    [
        ("coop", {}, "segments", "the text tower is causal"),
        ("cocoop", {"engine": "plain"}, "plain", "asked for"),
        ("cocoop", {"engine": "autograd"}, "autograd", "asked for"),
        ("maple", {}, "autograd", "contexts in deeper layers"),
    ],
)
def test_a_method_says_which_engine_encodes_its_prompts_and_why(
    tiny_backbone: Backbone, name: str, options: dict[str, Any], engine: str, reason: str
) -> None:
    chosen = build_method(name, tiny_backbone, NAMES, options=options).text_engine()
    assert chosen is not None
    assert chosen.name == engine
    assert reason in chosen.reason


def test_a_tower_that_needs_whole_sequences_is_the_reason_for_the_plain_engine() -> None:
    backbone = tiny_siglip()
    chosen = build_method("coop", backbone, NAMES).text_engine()
    assert chosen is not None
    assert (chosen.name, chosen.reason) == ("plain", backbone.text.whole_sequence_only)


def test_words_that_are_encoded_once_have_no_engine(tiny_backbone: Backbone) -> None:
    assert build_method("zero-shot", tiny_backbone, NAMES).text_engine() is None
