"""Every method that came after CoCoOp, from labelled pictures to a saved model and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from tests.test_classifier import COLOURS, pictures
from vlprompt import Dataset, PromptClassifier, Sample
from vlprompt.data.few_shot import FewerShotsWarning
from vlprompt.errors import CheckpointError, DataError, ModelFolderError, SettingsError, SettingsWarning
from vlprompt.methods import METHODS, method_class

NEW = [name for name in METHODS if name not in ("zero-shot", "coop", "cocoop")]
HEADS = [name for name in NEW if not method_class(name).open_names]
TRAINED = [name for name in NEW if method_class(name).learns]


@pytest.fixture
def make(tiny_backbone, tmp_path):
    def make(method: str, **options: Any) -> PromptClassifier:
        if method in TRAINED:
            options = {"epochs": 4, "training": {"views": 2, "warmup_epochs": 0}} | options
        return PromptClassifier(
            method=method, **{"shots": 4, "cache": tmp_path / "cache", "backbone": tiny_backbone, **options}
        )

    return make


@pytest.mark.parametrize("method", NEW)
def test_a_method_is_fitted_saved_loaded_and_evaluated(make, tiny_backbone, tmp_path, method) -> None:
    images, labels = pictures()
    classifier = make(method).fit(images, labels)
    again = clone(classifier).fit(images, labels)
    expected = classifier.predict_proba(images)
    assert (again.predict_proba(images) == expected).all()
    assert method not in HEADS or classifier.score(images, labels) > 0.9
    evaluation = classifier.evaluate(images, labels, "colours")
    assert evaluation.zero_shot is not None
    classifier.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert (loaded.predict_proba(images) == expected).all()
    assert (loaded.predict_proba(images, screening=2) == expected).all()
    assert clone(loaded).set_params(backbone=tiny_backbone).get_params()["method"] == method
    card = (tmp_path / "model/README.md").read_text()
    assert "colours" in card
    assert "images: 12" in card


@pytest.mark.parametrize("method", HEADS)
def test_a_model_of_some_classes_keeps_all_that_it_learned(make, tiny_backbone, tmp_path, method) -> None:
    images, labels = pictures()
    classifier = make(method).fit(images, labels)
    whole = classifier.predict_logits(images)
    classifier.set_class_names(["red", "blue"]).save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    for fewer in (classifier, loaded):
        assert fewer.classes_.tolist() == ["red", "blue"]
        np.testing.assert_allclose(fewer.predict_logits(images), whole[:, [2, 0]], rtol=1e-5, atol=1e-4)
    loaded.set_class_names(["blue", "green", "red"])
    assert (loaded.predict_logits(images) == whole).all()


@pytest.mark.parametrize("method", HEADS)
def test_names_without_pictures_are_refused_with_the_methods_that_take_them(make, method) -> None:
    classifier = make(method).fit(*pictures())
    with pytest.raises(
        SettingsError, match=f"{method.replace('+', '.')} names only the 3 classes .*'owl' is none.*coop"
    ):
        classifier.set_class_names(["red", "owl"])
    assert classifier.classes_.tolist() == ["blue", "green", "red"]


def test_a_class_of_a_head_is_known_by_its_label_whatever_prompts_say_for_it(make) -> None:
    images, labels = pictures()
    classifier = make("gda", class_names={"blue": "the deep sea"}).fit(images, labels)
    whole = classifier.predict_logits(images)
    classifier.set_class_names(["red", "blue"])
    assert classifier.fitted_.method.class_names == ["red", "the deep sea"]
    np.testing.assert_allclose(classifier.predict_logits(images), whole[:, [2, 0]], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("method", HEADS)
def test_a_head_encodes_each_picture_once_and_its_views_only_where_it_is_trained(
    make, tiny_backbone, monkeypatch, method
) -> None:
    encoded: list[int] = []
    encode = type(tiny_backbone).encode_images
    monkeypatch.setattr(
        type(tiny_backbone), "encode_images", lambda self, batch: encoded.append(len(batch)) or encode(self, batch)
    )
    make(method, cache=None).fit(*pictures())
    assert encoded[0] == 12
    assert (len(encoded) > 1) == (method in TRAINED)


@pytest.mark.parametrize("method", NEW)
def test_the_record_says_what_was_fitted_to_how_many_pictures(make, method) -> None:
    record = make(method).fit(*pictures()).fitted_.training
    assert record["images"] == 12
    assert len(record["image_keys"]) == 12
    assert record["recipe"] != "vlprompt's defaults"
    assert ("losses" in record) == ("settings" in record) == (method in TRAINED)
    assert ("setup_s" in record) == (method in HEADS)
    assert record["features_s"] > 0
    if method in HEADS and method != "clap":
        assert 0 < record["cross_validated"]["right"] <= record["cross_validated"]["seen"] == 12


@pytest.mark.parametrize("method", NEW)
def test_shots_and_weights_are_minded_as_by_all_that_use_pictures(make, method) -> None:
    images, labels = pictures()
    with pytest.warns(FewerShotsWarning, match="'blue' has 6"):
        make(method, shots=10).fit(images, labels)
    with pytest.raises(DataError, match="different weights"):
        make(method).fit(images, labels, sample_weight=np.arange(1, 19))


@pytest.mark.parametrize("method", HEADS)
def test_a_class_without_a_training_picture_is_refused_before_anything_is_encoded(
    make, tiny_backbone, monkeypatch, method
) -> None:
    monkeypatch.setattr(type(tiny_backbone), "encode_images", lambda *_: pytest.fail("it encoded pictures"))
    images, labels = pictures()
    names = [*COLOURS, "owl"]
    train = tuple(Sample(image, names.index(label), label) for image, label in zip(images, labels, strict=True))
    owl = (Sample(images[0], 3, "owl"),)
    with (
        pytest.warns(FewerShotsWarning, match="'owl' has none"),
        pytest.raises(DataError, match=r"'owl' has no training picture .* learns every class from its pictures"),
    ):
        make(method).fit(Dataset("birds", train, (), owl))


@pytest.mark.parametrize("method", ["gda", "tip-adapter-f"])
def test_pictures_that_cannot_be_read_are_left_out_or_leave_a_class_without_any(make, tmp_path, method) -> None:
    images, labels = pictures()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.warns(FewerShotsWarning, match="'red' has 6 of 7"):
        classifier = make(method, shots=None, on_unreadable="skip").fit([*images, bad], [*labels, "red"])
    assert classifier.fitted_.training["images"] == 18
    with (
        pytest.warns(FewerShotsWarning, match="'owl' has none"),
        pytest.raises(DataError, match="'owl' has no training picture that can be read"),
    ):
        make(method, shots=None, on_unreadable="skip").fit([*images, bad], [*labels, "owl"])


def test_one_picture_a_class_is_enough_for_every_head(make) -> None:
    images, labels = pictures(1)
    for method in HEADS:
        record = make(method, shots=1).fit(images, labels).fitted_.training
        assert "cross_validated" not in record


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("gda", {"alpha": 0.5}, "alpha"),
        ("linear-probe", {"strength": 3.0}, "strength"),
        ("lp++", {"steps": 7}, "steps"),
        ("clap", {"constraint": False}, "constraint"),
        ("tip-adapter", {"beta": 2.0}, "beta"),
        ("kgcoop", {"words_weight": 0.0}, "words_weight"),
    ],
)
def test_options_reach_the_method_and_its_saved_model(make, tiny_backbone, tmp_path, method, options, name) -> None:
    make(method, options=options).fit(*pictures()).save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert getattr(loaded.fitted_.method.options, name) == options[name]
    assert loaded.get_params()["options"] == options


def test_what_a_head_has_no_use_for_is_told(make) -> None:
    with pytest.warns(SettingsWarning, match="epochs is ignored: the method gda has no training settings"):
        make("gda", epochs=3).fit(*pictures())
    with pytest.warns(SettingsWarning, match="context_length is ignored: the method lp.* has no such option"):
        make("lp++", options={"context_length": 8}).fit(*pictures())


def test_a_regulariser_towards_other_words_does_not_go_on_from_a_checkpoint(make, tmp_path) -> None:
    make("kgcoop", checkpoint=tmp_path / "c").fit(*pictures())
    with pytest.raises(CheckpointError, match="template is 'a photo of a {}.' there"):
        make("kgcoop", checkpoint=tmp_path / "c", template="a drawing of a {}.").fit(*pictures())


@pytest.mark.parametrize("method", TRAINED)
def test_a_fit_that_was_stopped_goes_on_to_the_same_bits(make, tmp_path, monkeypatch, method) -> None:
    images, labels = pictures()
    whole = make(method).fit(images, labels).predict_proba(images)

    after_epoch = method_class(method).after_epoch

    def stopping(self, epoch, epochs):
        if epoch == 3:
            raise KeyboardInterrupt
        after_epoch(self, epoch, epochs)

    with monkeypatch.context() as patch:
        patch.setattr(method_class(method), "after_epoch", stopping)
        with pytest.raises(KeyboardInterrupt):
            make(method, checkpoint=tmp_path / "c").fit(images, labels)
    assert list((tmp_path / "c").glob("epoch-00002.safetensors"))
    resumed = make(method, checkpoint=tmp_path / "c").fit(images, labels)
    assert (resumed.predict_proba(images) == whole).all()


@pytest.mark.parametrize("images", [-1, 1.5, "12", 11, 10**15, None])
def test_a_cache_of_another_number_of_pictures_than_the_record_says_is_refused(
    make, tiny_backbone, tmp_path, images
) -> None:
    make("tip-adapter").fit(*pictures()).save(tmp_path / "model")
    path = Path(tmp_path / "model/model.json")
    description = json.loads(path.read_text())
    description["training"]["images"] = images
    path.write_text(json.dumps(description))
    with pytest.raises(ModelFolderError, match=r"training\.images is|must be"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
