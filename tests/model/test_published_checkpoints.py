"""Checkpoints of the published code become models that answer as the published code did."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.published import COCOOP, COOP, published_state, write_published
from tests.tiny_models import tiny_backbone as make_backbone
from vlprompt import PromptClassifier, convert_checkpoint, load_backbone, load_dataset
from vlprompt.data.splits import select_half
from vlprompt.errors import BackboneError, DataError, ForeignFileError, ForeignFileWarning, SettingsError
from vlprompt.features import FeatureExtractor
from vlprompt.methods import build_method

NAMES = ["red fox", "giant_panda", "owl", "hot air balloon", "C++"]


@pytest.fixture(scope="module")
def mini():
    return load_backbone("mini", device="cpu")


@pytest.fixture(scope="module")
def food():
    return load_dataset("emoji-food")


@pytest.fixture(scope="module")
def features_of_halves(mini, food):
    """Labels and features of the base and the new half's test pictures."""
    halves = {half: select_half(food, half) for half in ("base", "new")}
    extractor = FeatureExtractor(mini, cache=None, progress=False)
    return {
        name: (
            torch.tensor([sample.label for sample in half.test]),
            torch.from_numpy(extractor.extract([sample.image for sample in half.test]).values),
        )
        for name, half in halves.items()
    }


@pytest.mark.parametrize(("checkpoint", "base", "new"), [(COOP, 633, 571), (COCOOP, 659, 554)])
def test_the_given_checkpoints_name_as_many_pictures_right_as_the_published_code(
    mini, food, features_of_halves, tmp_path, checkpoint, base, new
):
    convert_checkpoint(checkpoint, food, backbone=mini).save(tmp_path / "model")
    model = PromptClassifier.load(tmp_path / "model", backbone=mini).fitted_
    assert model.class_names == select_half(food, "base").class_names
    new_model = model.with_class_names(select_half(food, "new").class_names)
    right = {}
    for name, classifier in (("base", model), ("new", new_model)):
        labels, features = features_of_halves[name]
        right[name] = int((classifier.method.predict_logits(features).argmax(1) == labels).sum())
        assert len(labels) == 750
    assert right == {"base": base, "new": new}


def learned(backbone, method="coop", **options):
    """A method with values that no initialisation gives."""
    built = build_method(method, backbone, NAMES, options={"context_init": None, **options})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in built.parameters():
            parameter.data = 0.1 * torch.randn_like(parameter)
    return built


VARIANTS = [
    ("coop", {}),
    ("coop", {"class_specific": True}),
    ("coop", {"context_length": 16, "position": "middle"}),
    ("coop", {"context_length": 7, "position": "front", "class_specific": True}),
    ("cocoop", {}),
    ("cocoop", {"context_length": 16}),
]


@pytest.mark.parametrize(("method", "options"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_method_contexts_and_their_length_are_found_and_the_logits_are_the_same(
    tiny_backbone, tmp_path, method, options, dtype
):
    original = learned(tiny_backbone, method, **options)
    path = write_published(tmp_path / "model.pth.tar-10", published_state(original, dtype))
    model = convert_checkpoint(path, NAMES, backbone=tiny_backbone, position=options.get("position", "end"))
    for parameter in original.parameters():
        parameter.data = parameter.data.to(dtype).float()
    images = torch.randn(3, tiny_backbone.feature_size, generator=torch.Generator().manual_seed(2))
    assert model.method_name == method
    torch.testing.assert_close(model.method.predict_logits(images), original.predict_logits(images), rtol=0, atol=0)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_names_in_any_order_and_among_others_are_given_their_own_contexts(
    tiny_backbone, tmp_path_factory, shuffle, csc
):
    original = learned(tiny_backbone, class_specific=csc)
    path = write_published(tmp_path_factory.mktemp("run") / "model.pth.tar-10", published_state(original))
    names = [*NAMES, "zebra", "apple"]
    random.Random(shuffle.random()).shuffle(names)
    model = convert_checkpoint(path, names, backbone=tiny_backbone)
    assert model.class_names == NAMES
    assert torch.equal(model.method.context_vectors, original.context_vectors)


def test_names_that_make_the_same_prompt_are_each_given_once(tiny_backbone, tmp_path):
    names = ["missile", "owl", "Missile"]
    twice = build_method("coop", tiny_backbone, ["missile", "owl", "missile"])
    path = write_published(tmp_path / "model.pth.tar-10", published_state(twice))
    assert convert_checkpoint(path, names, backbone=tiny_backbone).class_names == names
    with pytest.raises(DataError, match="class 3 of the 3 .* is 'missile'"):
        convert_checkpoint(path, ["missile", "owl"], backbone=tiny_backbone)


def test_the_module_prefix_of_several_gpus_is_taken_off(tiny_backbone, tmp_path):
    state = {f"module.{name}": tensor for name, tensor in published_state(learned(tiny_backbone)).items()}
    path = write_published(tmp_path / "model.pth.tar-10", state)
    assert convert_checkpoint(path, NAMES, backbone=tiny_backbone).class_names == NAMES


def test_the_card_says_where_the_model_comes_from(tiny_backbone, tmp_path):
    path = write_published(tmp_path / "model-best.pth.tar", published_state(learned(tiny_backbone)), epoch=7)
    convert_checkpoint(path, NAMES, backbone=tiny_backbone, template="a sketch of a {}.").save(tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text()
    assert "origin: imported from the published implementation's checkpoint model-best.pth.tar" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "checkpoint epochs: 7" in card
    assert "a sketch of a {}." in card
    assert "Not evaluated." in card


def test_a_converted_model_takes_other_classes_unless_its_contexts_belong_to_its_own(tiny_backbone, tmp_path):
    shared = write_published(tmp_path / "a.pth.tar-10", published_state(learned(tiny_backbone)))
    own = write_published(tmp_path / "b.pth.tar-10", published_state(learned(tiny_backbone, class_specific=True)))
    model = convert_checkpoint(shared, NAMES, backbone=tiny_backbone)
    assert model.with_class_names(["cat", "dog"]).class_names == ["cat", "dog"]
    with pytest.raises(SettingsError, match="class-specific"):
        convert_checkpoint(own, NAMES, backbone=tiny_backbone).with_class_names(["cat", "dog"])


# --- refusals ---


def test_a_class_that_is_not_among_the_names_is_named_in_its_own_words(tiny_backbone, tmp_path):
    path = write_published(tmp_path / "model.pth.tar-10", published_state(learned(tiny_backbone)))
    with pytest.raises(DataError, match=r"class 2 of the 5 in .*model\.pth\.tar-10 is 'giant panda', .* the 2 given"):
        convert_checkpoint(path, ["red fox", "owl"], backbone=tiny_backbone)


@pytest.mark.parametrize("names", [["red fox", ""], ["red fox", 3], "red fox,owl", [" _ "]])
def test_names_that_are_no_list_of_text_are_refused(tiny_backbone, names):
    with pytest.raises(DataError, match="must be a list of text"):
        convert_checkpoint(COOP, names, backbone=tiny_backbone)


def test_another_backbone_is_told_by_its_embeddings(tiny_backbone, mini, food, tmp_path):
    path = write_published(tmp_path / "model.pth.tar-10", published_state(learned(tiny_backbone)))
    for checkpoint, names, backbone in ((path, NAMES, make_backbone(seed=9)), (COOP, food, tiny_backbone)):
        with pytest.raises(BackboneError, match="trained with another backbone than tiny, whose token embeddings"):
            convert_checkpoint(checkpoint, names, backbone=backbone)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"text": {"width": 64}}, "token embeddings have the length 128, and here 64"),
        ({"text": {"context_length": 32}}, "prompts have the length 77, and here 32"),
        ({"embed_dim": 32}, "image features have the length 64, and here 32"),
    ],
)
def test_another_backbone_is_told_by_its_widths(tiny_backbone, tmp_path, options, what):
    path = write_published(tmp_path / "model.pth.tar-10", published_state(learned(tiny_backbone, "cocoop")))
    with pytest.raises(BackboneError, match=what):
        convert_checkpoint(path, NAMES, backbone=make_backbone(**options))


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def with_value(name, change):
    return lambda state: {**state, name: change(state.get(name))}


def not_finite(value):
    return lambda tensor: tensor.clone().index_fill_(0, torch.tensor([0]), value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without("ctx"), "no 'state_dict' with 'ctx'"),
        (without("token_suffix"), "it has no token_suffix"),
        (without("meta_net.linear2.bias"), r"it has no meta_net\.linear2\.bias"),
        (with_value("text_ctx", lambda _: torch.zeros(2)), "has 'text_ctx', which neither CoOp nor CoCoOp has"),
        (with_value("module.ctx", lambda _: torch.zeros(4, 128)), "has 'ctx' twice"),
        (with_value("ctx", not_finite(float("nan"))), "values in ctx that are not finite"),
        (with_value("meta_net.linear1.bias", not_finite(float("inf"))), r"meta_net\.linear1\.bias that are not finite"),
        (with_value("ctx", lambda tensor: tensor.long()), r"ctx in the type torch\.int64"),
        (with_value("ctx", lambda tensor: 4), "with 'ctx' among them, which is no tensor"),
        (with_value("ctx", lambda tensor: tensor[:, :64]), r"do not belong together: ctx \(4, 64\)"),
        (with_value("ctx", lambda tensor: tensor[0]), "do not belong together"),
        (with_value("ctx", lambda tensor: tensor[:0]), "do not belong together"),
        (with_value("ctx", lambda tensor: tensor.expand(5, -1, -1)), "do not belong together"),
        (with_value("token_prefix", lambda tensor: tensor[:4]), "do not belong together"),
        (with_value("token_suffix", lambda tensor: tensor[..., :64]), "do not belong together"),
        (with_value("meta_net.linear1.weight", lambda tensor: tensor[0]), "do not belong together"),
        (with_value("meta_net.linear2.weight", lambda tensor: tensor[:, :2]), "do not belong together"),
        (with_value("token_suffix", lambda tensor: tensor[:, :-1]), "prompts have the length 76"),
    ],
)
def test_a_state_that_is_none_of_the_published_code_is_refused_in_one_sentence(
    tiny_backbone, tmp_path, change, complaint
):
    state = change(published_state(learned(tiny_backbone, "cocoop")))
    path = write_published(tmp_path / "model.pth.tar-10", state)
    with pytest.raises((ForeignFileError, BackboneError), match=rf"model\.pth\.tar-10 .*{complaint}") as refusal:
        convert_checkpoint(path, NAMES, backbone=tiny_backbone)
    assert "\n" not in str(refusal.value)


def test_class_specific_contexts_of_another_number_of_classes_are_refused(tiny_backbone, tmp_path):
    state = published_state(learned(tiny_backbone, class_specific=True))
    path = write_published(tmp_path / "model.pth.tar-10", {**state, "ctx": state["ctx"][:4]})
    with pytest.raises(ForeignFileError, match="do not belong together"):
        convert_checkpoint(path, NAMES, backbone=tiny_backbone)


@pytest.mark.parametrize("epoch", [None, 0, -3, "10", 2.5, True, torch.tensor(10)])
def test_an_epoch_that_is_none_is_refused(tiny_backbone, tmp_path, epoch):
    path = write_published(tmp_path / "model.pth.tar-10", published_state(learned(tiny_backbone)), epoch=epoch)
    with pytest.raises(ForeignFileError, match="has no epoch"):
        convert_checkpoint(path, NAMES, backbone=tiny_backbone)


def test_a_name_that_promises_another_epoch_is_told(tiny_backbone, tmp_path):
    path = write_published(tmp_path / "model.pth.tar-50", published_state(learned(tiny_backbone)))
    with pytest.warns(ForeignFileWarning, match="named for epoch 50, and holds epoch 10"):
        convert_checkpoint(path, NAMES, backbone=tiny_backbone)


def test_what_is_no_checkpoint_is_refused(tiny_backbone, tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "epoch": 1}, tmp_path / "weights.pt")
    (tmp_path / "prompt_learner").mkdir()
    (tmp_path / "prompt_learner/model.pth.tar-50").write_bytes(b"")
    for name, complaint in (
        ("list.pt", "holds no prompts of CoOp or CoCoOp"),
        ("weights.pt", "holds no prompts of CoOp or CoCoOp"),
        ("nothing.pt", "No such file"),
        ("prompt_learner", r"is a folder; name the checkpoint itself, \S*model\.pth\.tar-50"),
        ("prompt_learner/model.pth.tar-50", "no file that torch.save writes"),
    ):
        with pytest.raises(ForeignFileError, match=complaint):
            convert_checkpoint(tmp_path / name, NAMES, backbone=tiny_backbone)


def test_wrong_settings_are_refused_before_the_file_is_opened(tiny_backbone):
    with pytest.raises(SettingsError, match="template"):
        convert_checkpoint(Path("nowhere"), NAMES, backbone=tiny_backbone, template="")
    with pytest.raises(SettingsError, match="'behind'"):
        convert_checkpoint(Path("nowhere"), NAMES, backbone=tiny_backbone, position="behind")
