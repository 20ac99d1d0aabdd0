"""`method="auto"` from labelled pictures to a saved model of two methods and back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.base import clone

from tests.test_classifier import pictures
from vlprompt import PromptClassifier
from vlprompt.data.few_shot import FewerShotsWarning
from vlprompt.errors import ModelFolderError, SettingsError
from vlprompt.methods.blend import Blend
from vlprompt.methods.declarations import title_of
from vlprompt.model import fitting, trials
from vlprompt.model.choosing import Choice

NEW = ["a teapot", "an owl", "a violin"]


@pytest.fixture
def make(tiny_backbone, tmp_path):
    def make(**options: Any) -> PromptClassifier:
        return PromptClassifier(**{"cache": tmp_path / "cache", "backbone": tiny_backbone, **options})

    return make


@pytest.fixture
def choosing(monkeypatch):
    """Has `auto` choose what a test wants, so that each way of a pair is taken."""

    def choosing(method: str, for_new: str) -> None:
        names = {"pictures": method, "new_names": for_new}
        monkeypatch.setattr(
            trials, "choose", lambda *_, new_names: {what: Choice(name, "so", ()) for what, name in names.items()}
        )
        recipe = fitting.recipe_for

        def short(name: str):
            found = recipe(name)
            return found if found.training is None else found.with_training(epochs=2, views=1, warmup_epochs=0)

        monkeypatch.setattr(fitting, "recipe_for", short)

    return choosing


def changed(folder: Path, **values: Any) -> None:
    """Change what model.json says of the second method."""
    path = folder / "model.json"
    description = json.loads(path.read_text())
    description["new_names"] |= values
    path.write_text(json.dumps(description))


def test_auto_is_the_default_and_a_head_names_the_classes_that_have_pictures(make) -> None:
    images, labels = pictures()
    classifier = make().fit(images, labels)
    assert classifier.method == "auto"
    assert classifier.choice_["pictures"]["method"] == classifier.fitted_.method_name == "blend"
    assert classifier.score(images, labels) == 1.0
    assert len(classifier.training_samples_) == len(images)  # all of them


def test_a_model_keeps_two_methods_and_the_names_decide_which_one_answers(make, tiny_backbone, tmp_path) -> None:
    images, labels = pictures()
    classifier = make().fit(images, labels)
    of_head = classifier.predict_logits(images)
    classifier.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    zero_shot = make(method="zero-shot").fit(images, labels)
    for each in (classifier, loaded, pickle.loads(pickle.dumps(classifier))):
        assert each.choice_ == classifier.choice_
        assert (each.predict_logits(images) == of_head).all()
        for names in (NEW, ["red", *NEW], ["blue", "green", "red", "an owl"]):
            each.set_class_names(names)
            assert each.fitted_.method_name == "zero-shot"
            assert (each.predict_logits(images) == zero_shot.set_class_names(names).predict_logits(images)).all()
        each.set_class_names(["blue", "green", "red"])
        assert each.fitted_.method_name == "blend"
        assert (each.predict_logits(images) == of_head).all()


def test_a_model_saved_over_new_names_still_has_its_head(make, tiny_backbone, tmp_path) -> None:
    images, labels = pictures()
    classifier = make().fit(images, labels)
    of_head = classifier.predict_logits(images)
    classifier.set_class_names(NEW).save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.classes_.tolist() == NEW
    assert (loaded.predict_logits(images) == classifier.predict_logits(images)).all()
    loaded.set_class_names(["blue", "green", "red"])
    assert (loaded.predict_logits(images) == of_head).all()


@pytest.mark.parametrize("for_new", ["coop", "cocoop"])
def test_a_trained_prompt_is_kept_beside_the_head(make, choosing, tiny_backbone, tmp_path, for_new) -> None:
    choosing("gda", for_new)
    images, labels = pictures()
    classifier = make(new_names=True).fit(images, labels)
    classifier.save(tmp_path / "model")
    assert (tmp_path / "model/new_names.safetensors").exists()
    assert f"none of these, {title_of(for_new)} for the frozen backbone" in (tmp_path / "model/README.md").read_text()
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    of_head, of_prompt = (classifier.predict_logits(images), classifier.set_class_names(NEW).predict_logits(images))
    assert (loaded.predict_logits(images) == of_head).all()
    assert (loaded.set_class_names(NEW).predict_logits(images) == of_prompt).all()
    assert loaded.fitted_.method_name == for_new
    assert "losses" in loaded.fitted_.training


def test_words_of_trained_classes_are_said_also_beside_new_names(make) -> None:
    images, labels = pictures()
    classifier = make(class_names={"blue": "the deep sea"}).fit(images, labels)
    classifier.set_class_names(["blue", "an owl"])
    assert classifier.fitted_.method.class_names == ["the deep sea", "an owl"]
    assert classifier.classes_.tolist() == ["blue", "an owl"]


def test_a_loaded_model_trains_the_same_again(make, tiny_backbone, tmp_path) -> None:
    images, labels = pictures()
    make(new_names=True, shots=3).fit(images, labels).save(tmp_path / "model")
    again = clone(PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)).get_params()
    assert (again["method"], again["new_names"], again["shots"]) == ("auto", True, 3)


def test_no_picture_is_encoded_twice(make, tiny_backbone, monkeypatch) -> None:
    images, labels = pictures()
    encoded = []
    encode = type(tiny_backbone).encode_images
    monkeypatch.setattr(
        type(tiny_backbone), "encode_images", lambda self, batch: encoded.append(len(batch)) or encode(self, batch)
    )
    make(cache=None).fit(images, labels)
    assert sum(encoded) == len(images)


def test_the_head_that_was_tried_is_the_model_and_learns_once(make, monkeypatch) -> None:
    images, labels = pictures()
    learned = []
    setup = Blend.setup
    monkeypatch.setattr(Blend, "setup", lambda self, pictures: learned.append(self) or setup(self, pictures))
    chosen = make().fit(images, labels).fitted_.method
    assert learned == [chosen]
    named = make(method="blend").fit(images, labels).fitted_.method
    assert all(torch.equal(value, named.state_dict()[name]) for name, value in chosen.state_dict().items())


def test_a_stopped_training_of_a_prompt_goes_on_to_the_same_bits(make, choosing, tmp_path, monkeypatch) -> None:
    choosing("gda", "coop")
    images, labels = pictures()
    whole = make(new_names=True).fit(images, labels).set_class_names(NEW).predict_logits(images)
    from vlprompt.training import loop

    after = loop.CheckpointFolder.write

    def stopping(self: Any, snapshot: Any) -> None:
        after(self, snapshot)
        raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint"
    monkeypatch.setattr(loop.CheckpointFolder, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(new_names=True, checkpoint=checkpoint).fit(images, labels)
    monkeypatch.setattr(loop.CheckpointFolder, "write", after)
    assert list(checkpoint.glob("coop/*"))
    resumed = make(new_names=True, checkpoint=checkpoint).fit(images, labels)
    assert (resumed.set_class_names(NEW).predict_logits(images) == whole).all()


def test_a_class_without_a_readable_picture_leaves_the_words_to_serve_all(make, tmp_path) -> None:
    images, labels = pictures()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    images = [broken if label == "red" else image for image, label in zip(images, labels, strict=True)]
    with pytest.warns(FewerShotsWarning, match="'red' has none"):
        classifier = make(on_unreadable="skip").fit(images, labels)
    assert list(classifier.choice_) == ["new_names"]
    assert classifier.fitted_.method_name == "zero-shot"
    assert classifier.fitted_.pair is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"options": {"context_length": 4}}, "context_length belongs to the methods coop, cocoop.* method='auto'"),
        ({"options": {"contextlength": 4}}, "no option named 'contextlength'"),
        ({"epochs": 3}, "epochs belongs to methods that are trained.*coop"),
        ({"epochs": 0}, "epochs is 0"),
        ({"recipe": "cocoop-fast"}, "recipe cocoop-fast belongs to the method cocoop; name it: method='cocoop'"),
        ({"recipe": "cocop"}, "'cocop'"),
        ({"method": "gda", "new_names": True}, "new_names=True is for method='auto'.*method='gda'"),
        ({"new_names": "yes"}, "new_names is 'yes'"),
        ({"shots": "some"}, "shots is 'some'.*'auto'"),
    ],
)
def test_what_belongs_to_a_method_is_refused_in_a_sentence(make, parameters, words) -> None:
    with pytest.raises(ValueError, match=words):
        make(**parameters).fit(*pictures())


@pytest.mark.parametrize(
    ("method", "shots"), [("auto", None), ("gda", None), ("zero-shot", None), ("coop", 16), ("clap", 16)]
)
def test_shots_unasked_are_all_and_for_what_is_trained_the_published_sixteen(make, method, shots) -> None:
    assert make(method=method).checked_settings().shots == shots


@pytest.mark.parametrize(
    "values",
    [
        {"method": "gda"},
        {"method": "/tmp/evil.py:Method"},
        {"method": 3},
        {"options": {"context_length": 7, "context_init": None}},
        {"options": {"no": 1}},
        {"training": {"losses": "none"}},
    ],
)
def test_a_second_method_that_was_changed_is_refused(make, choosing, tiny_backbone, tmp_path, values) -> None:
    choosing("gda", "coop")
    make(new_names=True).fit(*pictures()).save(tmp_path / "model")
    changed(tmp_path / "model", **values)
    with pytest.raises(ModelFolderError, match=r"model.json was changed|new_names.safetensors"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)


def test_tensors_of_the_second_method_are_checked_as_those_of_the_first(
    make, choosing, tiny_backbone, tmp_path
) -> None:
    choosing("gda", "coop")
    make(new_names=True).fit(*pictures()).save(tmp_path / "model")
    path = tmp_path / "model/new_names.safetensors"
    tensors = load_file(path)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, path)
    with pytest.raises(ModelFolderError, match="SHA-256"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    path.unlink()
    with pytest.raises(ModelFolderError, match="is missing"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)


def test_a_named_head_still_refuses_names_without_pictures(make) -> None:
    with pytest.raises(SettingsError, match="gda names only the 3 classes"):
        make(method="gda").fit(*pictures()).set_class_names(NEW)
