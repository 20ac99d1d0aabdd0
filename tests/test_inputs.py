"""Pictures as the estimator is given them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vlprompt import PromptClassifier
from vlprompt.errors import DataError, UnreadableImagesError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = ["ant", "bee", "cat"] * 2


@pytest.fixture(scope="module")
def fitted(tiny_backbone) -> PromptClassifier:
    return PromptClassifier(method="zero-shot", backbone=tiny_backbone, cache=None).fit(PIXELS, LABELS)


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("one", [PIXELS[0], torch.from_numpy(PIXELS[0]).permute(2, 0, 1), png(PIXELS[0]), "a.png"])
def test_one_picture_is_refused_wherever_lists_are_taken(fitted, one) -> None:
    for call in (
        lambda: fitted.predict(one),
        lambda: fitted.predict_proba(one),
        lambda: fitted.score(one, ["ant"] * 20),
        lambda: PromptClassifier(method="zero-shot").fit(one, ["ant", "bee"] * 10),
    ):
        with pytest.raises(DataError, match=r"^images is one .*; it must be a list of images"):
            call()


@pytest.mark.parametrize(
    "images",
    [
        PIXELS / 255,
        torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
        torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 255,
        [png(picture) for picture in PIXELS],
        [{"bytes": png(picture), "path": None} for picture in PIXELS],
        [Image.fromarray(picture) for picture in PIXELS],
    ],
    ids=["fractions", "tensor", "float tensor", "bytes", "Hugging Face", "Pillow"],
)
def test_the_same_pictures_in_every_form_have_the_same_probabilities(fitted, images) -> None:
    assert np.array_equal(fitted.predict_proba(images), fitted.predict_proba(PIXELS))


def test_what_cannot_be_read_is_told_in_pythons_words(fitted, tmp_path) -> None:
    (tmp_path / "bad.png").touch()
    with pytest.raises(UnreadableImagesError, match=r'skip with on_unreadable="skip"'):
        fitted.predict([tmp_path / "bad.png"])
