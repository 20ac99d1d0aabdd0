"""Model folders that earlier releases wrote (`tests/models`) load, and predict what they predicted then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vlprompt import PromptClassifier
from vlprompt.data.catalogue import load_dataset
from vlprompt.errors import BackboneError, DataError, ModelFolderError
from vlprompt.model.loading import load_fitted

RELEASES = sorted((Path(__file__).parents[1] / "models").glob("release-*"))
MODELS = [folder for release in RELEASES for folder in sorted(release.iterdir()) if folder.is_dir()]
TORCH_2_8 = "b9855914e216fe1316288fe40a1d1e4d5c0d4d2f51f6f0fb3e3f50fac414eed6"
"""The bundled model's fingerprint as release 0.1 wrote it where torch prints norms without a bias."""


@pytest.fixture(scope="module")
def pictures() -> list[object]:
    """Every tenth test picture of the six classes that the models know, as when they were saved."""
    return [sample.image for sample in load_dataset("emoji-food").test if sample.label < 6][::10]


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parent.name} {folder.name}")
def test_a_model_of_an_earlier_release_predicts_as_it_did(folder: Path, pictures: list[object]) -> None:
    expected = json.loads((folder.parent / "expected.json").read_text())[folder.name]
    classifier = PromptClassifier.load(folder)
    classifier.cache = None
    assert classifier.predict(pictures).tolist() == expected["classes"]
    np.testing.assert_allclose(classifier.predict_logits(pictures), expected["logits"], atol=2e-3)


@pytest.mark.parametrize("method", ["zero-shot", "coop", "cocoop"])
def test_a_model_saved_under_an_older_torch_loads_and_is_saved_under_the_present_fingerprint(
    method: str, tmp_path: Path
) -> None:
    shutil.copytree(RELEASES[0] / method, tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    description = json.loads(path.read_text()) | {"fingerprint": TORCH_2_8}
    path.write_text(json.dumps(description))
    fitted = load_fitted(tmp_path / "model")
    fitted.save(tmp_path / "model", progress=False)
    assert json.loads(path.read_text())["fingerprint"] == fitted.backbone.fingerprint


def test_a_model_of_another_backbone_is_still_refused(tmp_path: Path) -> None:
    shutil.copytree(RELEASES[0] / "coop", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 64}))
    with pytest.raises(BackboneError, match="was trained on mini with the fingerprint 0000"):
        load_fitted(tmp_path / "model")


@pytest.mark.parametrize("fingerprint", ["abc", "\x1b[2J" * 1000, "F" * 64])
def test_what_is_no_fingerprint_is_told_and_not_shown_at_length(tmp_path: Path, fingerprint: str) -> None:
    shutil.copytree(RELEASES[0] / "coop", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": fingerprint}))
    with pytest.raises(ModelFolderError, match=r"model\.json was changed: fingerprint is '.{0,80}\.$"):
        load_fitted(tmp_path / "model")


def test_a_model_whose_names_are_one_prompt_loads_but_takes_no_such_names_any_more(tmp_path: Path) -> None:
    # Release 0.1 looked at the letters only, and fitted such classes.
    shutil.copytree(RELEASES[0] / "coop", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    description = json.loads(path.read_text())
    names = ["bird's nest", "bird\u2019s nest", *description["class_names"][2:]]
    path.write_text(json.dumps(description | {"class_names": names, "trained_class_names": names}))
    fitted = load_fitted(tmp_path / "model")
    assert fitted.class_names == names
    with pytest.raises(DataError, match="are one prompt to the backbone 'mini'"):
        fitted.with_class_names(["caf\u00e9", "caf\u00c3\u00a9"])
    assert fitted.with_class_names(["sushi", "pizza"]).class_names == ["sushi", "pizza"]
