"""What fit passes over, evaluate and predict pass over, and each says so in one line."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_refused
from vlprompt.data import formats


@pytest.fixture
def untidy(tmp_path, monkeypatch):
    """Nine pictures, and what people have beside them."""
    monkeypatch.setattr(formats, "_register_heif", lambda: None)
    formats.readable_formats.cache_clear()
    formats.image_suffixes.cache_clear()
    folder = write_pictures(tmp_path / "pictures")
    (folder / "blue" / "0.png").rename(folder / "blue" / "no-extension")
    for name in ("blue/phone.heic", "green/notes.txt", "green/.DS_Store", "red/Thumbs.db"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    for name in ("blue/.thumbs/0.png", "__MACOSX/blue/0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "yellow").mkdir()
    (folder / "green" / "again").symlink_to("..")
    yield folder
    formats.readable_formats.cache_clear()
    formats.image_suffixes.cache_clear()


def test_one_line_says_what_is_left_out_and_why(vlprompt, untidy) -> None:
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK)
    assert outcome.code == 0, outcome
    (line,) = [line for line in outcome.err.splitlines() if "left out" in line]
    assert line.startswith("vlprompt: warning: 6 files left out of pictures; ")
    for reason in (
        "copies or thumbnails that a system made: 1 (__MACOSX)",
        "HEIC pictures, which need the package pillow-heif (pip install 'vlprompt[heic]'): 1 (blue/phone.heic)",
        "hidden: 1 (blue/.thumbs)",
        "no pictures by their names or first bytes: 1 (green/notes.txt)",
        "links to what is listed already: 1 (green/again)",
        "folders without files: 1 (yellow)",
    ):
        assert reason in line


def test_fit_evaluate_and_predict_see_the_same_pictures(vlprompt, untidy) -> None:
    assert vlprompt("fit", "pictures", "--out", "model", *QUICK).code == 0
    evaluated = vlprompt("evaluate", "model", "pictures", "--split", "all", "--json")
    predicted = vlprompt("predict", "model", "pictures", "--json")
    assert json.loads(evaluated.out)["total"] == len(json.loads(predicted.out)) == 9
    for outcome in (evaluated, predicted):
        assert outcome.err.count("left out") == 1


def test_a_class_of_heic_pictures_only_names_the_package(vlprompt, untidy) -> None:
    (untidy / "yellow" / "photo.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    outcome = vlprompt("fit", "pictures", "--out", "model", *QUICK)
    assert_refused(outcome, "the class folder pictures/yellow holds no images", "pillow-heif", "photo.HEIC")


def test_a_heic_picture_that_is_named_says_what_it_needs(vlprompt, model, untidy_heic) -> None:
    assert_refused(vlprompt("predict", "model", "phone.heic"), "phone.heic: it is one of the HEIC pictures", lines=2)


@pytest.fixture
def untidy_heic(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_register_heif", lambda: None)
    formats.readable_formats.cache_clear()
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    yield
    formats.readable_formats.cache_clear()
