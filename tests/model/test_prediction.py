"""What a fitted classifier keeps for prediction, and that every way gives the exact winner or says that it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.tiny_models import tiny_backbone
from vlprompt.backbones import Backbone
from vlprompt.errors import MethodError, ModelFolderError, SettingsError
from vlprompt.methods import build_method
from vlprompt.methods.cocoop import CoCoOp
from vlprompt.methods.coop import CoOp
from vlprompt.methods.method import Output, ScreenedPath
from vlprompt.methods.prompt_learner import PromptLearner
from vlprompt.model.fitted import FittedClassifier
from vlprompt.model.folder import DESCRIPTION_FILE, KEPT_FILE
from vlprompt.model.loading import load_fitted
from vlprompt.model.prediction import Predictor
from vlprompt.screening.screener import CALIBRATION_IMAGES, calibration_for, check_screening, path_of

NAMES = [f"{colour} {thing}" for colour in ("red", "green", "blue", "pale", "dark") for thing in "abcdefghijklmn"]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


def fitted(backbone: Backbone, method: str = "cocoop") -> FittedClassifier:
    built = build_method(method, backbone, NAMES)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    training = features(backbone, 40, seed=3)
    return FittedClassifier(backbone, built, method, NAMES, calibration=calibration_for(built, training))


def features(backbone: Backbone, count: int, seed: int = 5) -> torch.Tensor:
    drawn = torch.randn(count, backbone.feature_size, generator=torch.Generator().manual_seed(seed))
    return F.normalize(drawn, dim=-1)


def test_screening_finds_the_exact_winner_and_encodes_few_classes(backbone: Backbone) -> None:
    predictor = fitted(backbone).predictor
    images = features(backbone, 60)
    exact, screened = predictor.logits(images, "off"), predictor.logits(images, 8)
    assert float((exact.argmax(1) == screened.argmax(1)).float().mean()) >= 0.95
    same = (exact - screened).abs() < 1e-3
    assert bool((same.sum(1) >= 8).all())


def test_all_candidates_are_exact_inference(backbone: Backbone) -> None:
    predictor = fitted(backbone).predictor
    images = features(backbone, 7)
    torch.testing.assert_close(
        predictor.logits(images, len(NAMES)), predictor.logits(images, "off"), atol=2e-4, rtol=1e-4
    )


def test_no_images_have_no_logits_however_they_are_screened(backbone: Backbone) -> None:
    predictor = fitted(backbone).predictor
    predictor.prepare()
    for screening in ("off", "auto", 3, 999):
        assert predictor.logits(features(backbone, 0), screening).shape == (0, len(NAMES))


def test_screening_that_would_not_pay_is_exact(backbone: Backbone) -> None:
    predictor = fitted(backbone).predictor
    images = features(backbone, 5)
    assert torch.equal(predictor.logits(images, len(NAMES) + 5), predictor.logits(images, "off"))
    assert predictor.screener.screen is None
    predictor.prepare()
    for candidates, exact in ((1, 1), (len(NAMES) // 2, len(NAMES))):
        predictor.screener.screen = replace(predictor.screener.screen, candidates=candidates)
        assert predictor.screener.exact_classes(5, "auto") == exact
    assert predictor.screener.exact_classes(5, 40) == 40


def test_auto_is_exact_until_a_screen_is_there_or_pays(backbone: Backbone) -> None:
    predictor = fitted(backbone).predictor
    few = features(backbone, 3)
    assert torch.equal(predictor.logits(few, "auto"), predictor.logits(few))
    assert predictor.screener.screen is None
    predictor.logits(features(backbone, 200), "auto")
    assert predictor.screener.screen is not None
    assert predictor.screener.screen.images == 40


@pytest.mark.parametrize("method", ["zero-shot", "coop"])
def test_a_fixed_context_is_encoded_once(backbone: Backbone, method: str, tmp_path: Path) -> None:
    classifier = fitted(backbone, method)
    images = features(backbone, 5)
    expected = classifier.method.predict_logits(images)
    torch.testing.assert_close(classifier.predictor.logits(images, "auto"), expected)
    classifier.save(tmp_path / "model")
    loaded = load_fitted(tmp_path / "model", backbone)
    assert torch.equal(loaded.predictor.logits(images, "off"), classifier.predictor.logits(images, "off"))
    assert not getattr(loaded.method, "_engines", None)  # the text engine was never needed


def test_the_screen_is_saved_with_the_model_and_not_made_again(backbone: Backbone, tmp_path: Path) -> None:
    classifier = fitted(backbone)
    classifier.save(tmp_path / "model")
    description = json.loads((tmp_path / "model" / DESCRIPTION_FILE).read_text())
    assert set(description["screening"]) == {"candidates", "agreement", "images"}
    loaded = load_fitted(tmp_path / "model", backbone)
    images = features(backbone, 4)
    assert torch.equal(loaded.predictor.logits(images, "auto"), classifier.predictor.logits(images, "auto"))
    classifier.save(tmp_path / "model")  # a folder with these files can be replaced


def test_other_names_take_a_screen_of_their_own(backbone: Backbone, tmp_path: Path) -> None:
    classifier = fitted(backbone)
    classifier.predictor.prepare()
    other = classifier.with_class_names([f"{name} tree" for name in NAMES])
    assert other.predictor.screener.screen is None
    assert other.predictor.screener.calibration is not None
    images = features(backbone, 9)
    close = other.predictor.logits(images, len(NAMES))
    torch.testing.assert_close(close, other.predictor.logits(images, "off"), atol=2e-4, rtol=1e-4)


def test_changed_files_are_named(backbone: Backbone, tmp_path: Path) -> None:
    fitted(backbone).save(tmp_path / "model")
    file = tmp_path / "model" / KEPT_FILE
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelFolderError, match=KEPT_FILE):
        load_fitted(tmp_path / "model", backbone)


@pytest.mark.parametrize("method", ["zero-shot", "coop", "cocoop"])
def test_an_edited_folder_does_not_answer_for_the_old_classes(backbone: Backbone, method: str, tmp_path: Path) -> None:
    fitted(backbone, method).save(tmp_path / "model")
    path = tmp_path / "model" / DESCRIPTION_FILE
    description = json.loads(path.read_text())
    description["class_names"].reverse()
    path.write_text(json.dumps(description))
    loaded = load_fitted(tmp_path / "model", backbone)
    images = features(backbone, 6)
    torch.testing.assert_close(loaded.predictor.logits(images, "auto"), loaded.method.predict_logits(images))
    if method == "cocoop":
        assert loaded.predictor.logits(images, 8).shape == (6, len(NAMES))  # calibrates again


def test_candidates_beyond_the_classes_are_named(backbone: Backbone, tmp_path: Path) -> None:
    fitted(backbone).save(tmp_path / "model")
    path = tmp_path / "model" / DESCRIPTION_FILE
    description = json.loads(path.read_text())
    description["screening"]["candidates"] = 1000
    path.write_text(json.dumps(description))
    with pytest.raises(ModelFolderError, match=r"model\.json was changed: screening is"):
        load_fitted(tmp_path / "model", backbone)


def test_results_belong_to_the_classes_they_were_measured_on(backbone: Backbone) -> None:
    classifier = fitted(backbone)
    classifier.evaluation["test"] = {"accuracy": 50.0, "macro_f1": 50.0, "total": 2}
    other = classifier.with_class_names(["wolf", "bear"])
    assert other.evaluation == {}
    assert set(classifier.evaluation) == {"test"}


def test_calibration_tells_how_far_it_is(backbone: Backbone) -> None:
    told: list[tuple[int, int]] = []
    fitted(backbone).predictor.prepare(lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == 40 + 2 * (backbone.feature_size // 16) + 1
    assert told == sorted(told)


def test_a_folder_without_kept_files_loads(backbone: Backbone, tmp_path: Path) -> None:
    classifier = fitted(backbone)
    classifier.save(tmp_path / "model")
    path = tmp_path / "model" / DESCRIPTION_FILE
    description = json.loads(path.read_text())
    del description["kept_sha256"], description["screening"]
    path.write_text(json.dumps(description))
    (tmp_path / "model" / KEPT_FILE).unlink()
    loaded = load_fitted(tmp_path / "model", backbone)
    with pytest.raises(SettingsError, match="fit it again"):
        loaded.predictor.logits(features(backbone, 2), 3)


@pytest.mark.parametrize("wrong", [0, -1, True, "fast", 1.5])
def test_wrong_values_are_named(wrong: object) -> None:
    with pytest.raises(SettingsError, match="screening is"):
        check_screening(wrong)


def test_calibration_takes_few_images_spread_over_all(backbone: Backbone) -> None:
    method = build_method("cocoop", backbone, NAMES)
    kept = calibration_for(method, features(backbone, 1000))
    assert kept is not None
    assert len(kept) == CALIBRATION_IMAGES
    np.testing.assert_allclose(kept.norm(dim=1).numpy(), 1, rtol=1e-5)
    assert isinstance(Predictor(method).logits(features(backbone, 2), "auto"), torch.Tensor)


class Loud(CoOp):
    """Gives logits in a way of its own, which class features alone do not determine."""

    name = "loud"

    def prepare(self) -> None:
        super().prepare()
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, image_features: torch.Tensor) -> Output:
        output = super().forward(image_features)
        logits = self.dropout(output.logits) + image_features.sum(1, keepdim=True)
        return Output(logits, output.image_features)


class LoudCoCoOp(CoCoOp):
    name = "loud-cocoop"

    def forward(self, image_features: torch.Tensor) -> Output:
        output = super().forward(image_features)
        return Output(-output.logits, output.image_features)


@pytest.mark.parametrize("kind", [Loud, LoudCoCoOp])
def test_a_forward_of_ones_own_is_what_predicts(backbone: Backbone, kind: type[CoOp]) -> None:
    method = kind(backbone, NAMES)
    images = features(backbone, 7)
    expected = method(images).logits.detach()
    calibration = features(backbone, 40, seed=3)
    for predictor in (Predictor(method), Predictor(method, calibration)):
        predictor.prepare()
        assert torch.equal(predictor.logits(images, "off"), expected)
        assert torch.equal(predictor.logits(images, "auto"), expected)
        assert torch.equal(predictor.logits(images, 3), expected)
        assert "class_features" not in predictor.tensors()
    assert torch.equal(method.with_class_names(NAMES).predict_logits(images), expected)
    assert calibration_for(method, calibration) is None


def test_a_context_of_ones_own_is_not_screened_by_another_ones_expansion(backbone: Backbone) -> None:
    class Doubled(CoCoOp):
        name = "doubled"

        def context(self, image_features: torch.Tensor) -> torch.Tensor:
            return 2 * super().context(image_features)

    method = Doubled(backbone, NAMES)
    predictor = Predictor(method, features(backbone, 40, seed=3))
    images = features(backbone, 5)
    assert predictor.screener.exact_classes(5, 2) == len(NAMES)
    torch.testing.assert_close(predictor.logits(images, 2), method(images).logits.detach(), rtol=1e-4, atol=1e-3)


class Warmed(PromptLearner):
    """A context that one number of an image shifts: no CoCoOp."""

    name = "warmed"

    def prepare(self) -> None:
        super().prepare()
        self.direction = torch.nn.Parameter(0.2 * torch.randn(self.backbone.feature_size, generator=self.generator))

    def warmth(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(images @ self.direction)[:, None]

    def context_of(self, warmth: torch.Tensor) -> torch.Tensor:
        return (self.context_vectors * (1 + warmth[:, :, None]))[:, None]

    def context(self, image_features: torch.Tensor) -> torch.Tensor:
        return self.context_of(self.warmth(image_features))

    def screening(self) -> ScreenedPath:
        return self.screened_path(1, self.warmth, self.context_of)


def test_a_method_of_ones_own_that_declares_a_path_is_screened(backbone: Backbone) -> None:
    method = Warmed(backbone, NAMES)
    calibration = calibration_for(method, features(backbone, 40, seed=3))
    assert calibration is not None
    predictor, images = Predictor(method, calibration), features(backbone, 60)
    predictor.prepare()
    assert predictor.screener.screen is not None
    assert predictor.screener.exact_classes(60, "auto") < len(NAMES)
    exact, screened = predictor.logits(images, "off"), predictor.logits(images)
    assert float((exact.argmax(1) == screened.argmax(1)).float().mean()) >= 0.95
    restored = Predictor.restored(method, predictor.tensors(), predictor.screener.description())
    assert torch.equal(restored.logits(images), screened)


def test_a_path_that_gives_other_logits_than_forward_is_refused(backbone: Backbone) -> None:
    class Mistaken(Warmed):
        name = "mistaken"

        def screening(self) -> ScreenedPath:
            return self.screened_path(1, self.warmth, lambda warmth: 2 * self.context_of(warmth))

    predictor = Predictor(Mistaken(backbone, NAMES), features(backbone, 40, seed=3))
    with pytest.raises(MethodError, match="screening of the method Mistaken .* differ from those of its forward by"):
        predictor.prepare()


@pytest.mark.parametrize("way", ["forward", "output", "class_features", "context"])
def test_a_class_that_changes_a_way_to_logits_does_not_inherit_a_path(backbone: Backbone, way: str) -> None:
    changed = type("Changed", (CoCoOp,), {way: lambda self, *given: getattr(super(type(self), self), way)(*given)})
    assert path_of(CoCoOp(backbone, NAMES[:3])) is not None
    assert path_of(changed(backbone, NAMES[:3])) is None
    again = type("Again", (changed,), {"screening": CoCoOp.screening})
    assert path_of(again(backbone, NAMES[:3])) is not None


def test_predict_screens_where_logits_are_screened(backbone: Backbone) -> None:
    classifier = fitted(backbone)
    classifier.predictor.prepare()
    images = features(backbone, 20)
    assert torch.equal(classifier.predictor.logits(images), classifier.predictor.logits(images, "auto"))
    assert not torch.equal(classifier.predictor.logits(images), classifier.predictor.logits(images, "off"))
