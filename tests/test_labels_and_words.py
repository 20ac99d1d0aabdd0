"""A class has the person's own name, which comes out, and words, which prompts say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vlprompt import Dataset, PromptClassifier, Sample
from vlprompt.errors import DataError, VlpromptError

WORDS = {"n01": "a dark night", "n02": "a light day"}
IMAGES = [np.full((40, 40, 3), grey, np.uint8) for grey in (30, 200)]
METHODS = ["zero-shot", "coop", "cocoop"]


@pytest.fixture
def fit(tiny_backbone):
    """A classifier of two classes, fitted as the options say."""

    def fit(method="zero-shot", class_words=WORDS, names=tuple(WORDS), **options):
        if method != "zero-shot":
            options = {"epochs": 2, "training": {"views": 1}} | options
        samples = tuple(Sample(image, label, names[label]) for label, image in enumerate(IMAGES))
        classifier = PromptClassifier(method=method, backbone=tiny_backbone, cache=None, shots=1, **options)
        return classifier.fit(Dataset("night and day", samples, class_words=class_words))

    return fit


@pytest.fixture
def reloaded(tmp_path, tiny_backbone):
    def reloaded(classifier):
        classifier.save(tmp_path / "model")
        return PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)

    return reloaded


@pytest.mark.parametrize("method", METHODS)
def test_prompts_say_the_words_and_names_come_out(fit, method):
    classifier = fit(method)
    assert classifier.fitted_.method.class_names == list(WORDS.values())
    assert classifier.classes_.tolist() == list(WORDS)
    assert set(classifier.predict(IMAGES)) <= set(WORDS)


@pytest.mark.parametrize("method", METHODS)
def test_words_are_the_same_prompt_whoever_calls_the_class_what(fit, method):
    named = fit(method, class_words={}, names=tuple(WORDS.values()))
    assert (fit(method).predict_proba(IMAGES) == named.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_model_keeps_both(fit, reloaded, method):
    classifier = fit(method)
    loaded = reloaded(classifier)
    assert loaded.classes_.tolist() == list(WORDS)
    assert loaded.fitted_.class_words == WORDS
    assert (loaded.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


def test_words_of_a_data_set_can_be_given_to_the_estimator(fit):
    classifier = fit(class_words={"n01": "a moon"}, class_names={"n02": "a light day"})
    assert classifier.fitted_.class_words == {"n01": "a moon", "n02": "a light day"}


@pytest.mark.parametrize("names", [["n01", "n02"], {"n03": "a moon"}, {"n01": 3}])
def test_class_names_that_do_not_fit_a_data_set_are_refused(fit, names):
    with pytest.raises(VlpromptError, match="class_names|class name"):
        fit(class_names=names)


def test_class_specific_contexts_are_saved_with_their_words(fit, reloaded):
    classifier = fit("coop", options={"class_specific": True})
    assert (reloaded(classifier).predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_mapping_of_class_names_gives_words_to_new_classes(fit, reloaded, method):
    classifier = fit(method).set_class_names({"a": "an okapi", "b": "a quokka", "n01": "a moon"})
    assert classifier.classes_.tolist() == ["a", "b", "n01"]
    assert classifier.fitted_.method.class_names == ["an okapi", "a quokka", "a moon"]
    loaded = reloaded(classifier)
    assert loaded.classes_.tolist() == ["a", "b", "n01"]
    assert (loaded.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("names", [{"a": "an okapi", "b": "an okapi"}, {"a": "an okapi", "b": ""}, {"a": "an okapi"}])
def test_words_that_tell_nothing_apart_are_refused(fit, names):
    with pytest.raises(DataError):
        fit().set_class_names(names)


def test_pictures_are_evaluated_by_the_names_of_their_classes(fit):
    classifier = fit()
    samples = [Sample(image, 0, name) for image, name in zip(IMAGES, WORDS, strict=True)]
    assert set(classifier.evaluate(samples).per_class) == set(WORDS)


def test_a_class_that_the_model_knows_by_its_words_only_is_found_by_them(fit):
    classifier = fit(class_words={}, names=tuple(WORDS.values()))
    samples = [Sample(image, 0, name) for image, name in zip(IMAGES, WORDS, strict=True)]
    with pytest.raises(DataError, match="'n01' .* is none of the model's"):
        classifier.fitted_.evaluate(samples, cache=None)
    evaluation = classifier.fitted_.evaluate(samples, class_words=WORDS, cache=None)
    assert set(evaluation.per_class) == set(WORDS.values())


def test_a_class_is_found_in_every_spelling_of_unicode(fit):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for fitted, asked in ((composed, decomposed), (decomposed, composed)):
        classifier = fit(class_words={}, names=("bar", fitted))
        assert classifier.evaluate([Sample(IMAGES[0], 0, asked)]).total == 1


def test_kept_features_answer_for_the_words_that_they_were_computed_from(fit, tmp_path, tiny_backbone):
    fit().save(tmp_path / "model")
    path = tmp_path / "model/model.json"
    description = json.loads(path.read_text())
    description["class_words"] = {"n01": "a light day", "n02": "a dark night"}
    description["trained_class_names"] = list(description["class_words"].values())
    path.write_text(json.dumps(description))
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    np.testing.assert_allclose(loaded.predict_proba(IMAGES), fit().predict_proba(IMAGES)[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_folder_of_before_there_were_words_loads_with_all_that_it_kept(fit, tmp_path, tiny_backbone, method):
    classifier = fit(method, class_words={})
    classifier.save(tmp_path / "model")
    path = tmp_path / "model/model.json"
    description = json.loads(path.read_text())
    del description["class_words"]
    path.write_text(json.dumps(description))
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.classes_.tolist() == list(WORDS)
    assert loaded.fitted_.predictor.tensors().keys() == classifier.fitted_.predictor.tensors().keys()
    assert (loaded.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


def test_one_path_with_two_labels_is_refused(tmp_path, tiny_backbone):
    paths = [tmp_path / f"{place}.png" for place in (0, 1, 0)]
    with pytest.raises(DataError, match=r"0.png stands among the images twice with different labels"):
        PromptClassifier(method="zero-shot", backbone=tiny_backbone).fit(paths, ["cat", "dog", "dog"])
