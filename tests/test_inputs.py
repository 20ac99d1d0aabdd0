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


class Frame:
    """Like a DataFrame of polars: names of columns, and columns by name."""

    def __init__(self, **columns) -> None:
        self._columns, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return self._columns[name]

    def __iter__(self):
        return iter(self._columns.values())


def test_a_frame_without_iloc_is_its_one_column(fitted) -> None:
    pictures = [png(picture) for picture in PIXELS]
    assert fitted.predict(Frame(image=pictures)).tolist() == fitted.predict(PIXELS).tolist()
    with pytest.raises(DataError, match="a DataFrame with 2 columns"):
        fitted.predict(Frame(image=pictures, other=pictures))


def test_an_empty_array_has_no_pictures_as_an_empty_list(fitted) -> None:
    assert fitted.predict(np.array([])).tolist() == fitted.predict([]).tolist() == []


def test_a_folder_to_evaluate_on_is_named_as_one_path(fitted) -> None:
    with pytest.raises(DataError, match="images is one path, 'pictures'"):
        fitted.evaluate("pictures")


@pytest.mark.filterwarnings("ignore::vlprompt.features.extraction.UnreadableImagesWarning")
def test_where_no_picture_can_be_read_the_error_says_that(fitted, tiny_backbone) -> None:
    gone = [f"gone-{place}.png" for place in range(6)]
    with pytest.raises(DataError, match="none of the images can be read, so there is nothing to score"):
        fitted.score(gone, LABELS, on_unreadable="skip")
    learning = PromptClassifier(method="coop", backbone=tiny_backbone, cache=None, on_unreadable="skip", shots=1)
    with pytest.raises(DataError, match="none of the 3 images drawn for training can be read"):
        learning.fit(gone, LABELS)
