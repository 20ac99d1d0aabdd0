"""MaPLe through the estimator: what is special about a method that reads pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.test_classifier import pictures
from vlprompt import PromptClassifier
from vlprompt.errors import UnreadableImagesError
from vlprompt.features import UnreadableImagesWarning
from vlprompt.model.loading import load_fitted

QUICK = {"epochs": 3, "shots": 4, "cache": None, "progress": False}


@pytest.fixture
def fitted(tiny_backbone) -> PromptClassifier:
    return PromptClassifier(method="maple", backbone=tiny_backbone, **QUICK).fit(*pictures())


def test_with_coops_prompts_and_recipe_it_is_coop(tiny_backbone) -> None:
    """At depth 1 without prompts in the image tower, on the same crops of the same pictures."""
    images, labels = pictures()
    options = {"context_length": 4, "context_init": "a photo of a", "depth": 1, "image_prompts": False}
    common = {**QUICK, "backbone": tiny_backbone, "batch_size": 4, "learning_rate": 0.02, "training": {"views": None}}
    maple = PromptClassifier(method="maple", options=options, **common).fit(images, labels)
    coop = PromptClassifier(method="coop", **common).fit(images, labels)
    start = PromptClassifier(method="coop", **{**common, "epochs": 2, "learning_rate": 1e-9}).fit(images, labels)
    ours, theirs, before = (one.predict_logits(images) for one in (maple, coop, start))
    assert np.abs(theirs - before).max() > 0.05  # training did something
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)
    assert maple.fitted_.training["losses"] == pytest.approx(coop.fitted_.training["losses"], rel=1e-4)


def test_training_moves_the_prompts_of_both_towers(fitted, tiny_backbone) -> None:
    learned = fitted.fitted_.method.state_dict()
    start = type(fitted.fitted_.method)(tiny_backbone, fitted.fitted_.method.class_names).state_dict()
    assert all(not torch.equal(learned[name], start[name]) for name in start)


def test_predictions_are_those_of_forward_whatever_is_read_at_once(fitted, monkeypatch) -> None:
    from vlprompt.features import EvaluationPixels, FeatureExtractor

    images, _ = pictures()
    expected = fitted.predict_logits(images)
    method = fitted.fitted_.method
    pixels = torch.cat(list(EvaluationPixels(FeatureExtractor(method.backbone, cache=None), images)))
    np.testing.assert_allclose(method(pixels).logits.detach().numpy(), expected, rtol=1e-4, atol=1e-3)
    make = FeatureExtractor.__init__
    monkeypatch.setattr(FeatureExtractor, "__init__", lambda self, *a, **k: make(self, *a, **k, batch_size=5))
    np.testing.assert_allclose(fitted.predict_logits(images), expected, rtol=1e-4, atol=1e-3)


def test_new_names_are_served_and_saved(fitted, tiny_backbone, tmp_path) -> None:
    images, _ = pictures()
    whole = fitted.predict_logits(images)
    fitted.set_class_names(["red", "okapi"])
    np.testing.assert_allclose(fitted.predict_logits(images)[:, 0], whole[:, 2], rtol=1e-4, atol=1e-3)
    fitted.save(tmp_path / "model")
    loaded = load_fitted(tmp_path / "model", tiny_backbone)
    assert loaded.method.options.depth == 2  # what "auto" was
    assert (loaded.logits(images, cache=None)[0] == fitted.predict_logits(images)).all()


def test_pictures_that_cannot_be_read_are_named_or_skipped(fitted, tmp_path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    images = [pictures()[0][0], tmp_path / "bad.png", pictures()[0][1]]
    with pytest.raises(UnreadableImagesError, match="bad.png"):
        fitted.predict(images)
    with pytest.warns(UnreadableImagesWarning, match="1 image was skipped"):
        logits, kept = fitted.fitted_.logits(images, on_unreadable="skip", cache=None)
    assert kept.tolist() == [0, 2]
    np.testing.assert_allclose(logits, fitted.predict_logits([images[0], images[2]]), rtol=1e-4, atol=1e-3)


def test_evaluated_beside_zero_shot_on_the_frozen_features(fitted) -> None:
    images, labels = pictures()
    zero_shot = PromptClassifier(method="zero-shot", backbone=fitted.backbone, cache=None).fit(images, labels)
    measured = fitted.evaluate(images, labels)
    assert measured.zero_shot == pytest.approx(100 * zero_shot.score(images, labels))
    assert measured.accuracy == pytest.approx(100 * fitted.score(images, labels))
