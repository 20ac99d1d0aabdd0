"""The papers' split files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.published.split_files import TEMPLATES
from vlprompt.errors import DataError, SettingsError

CONTENT = {
    "train": [["cat/1.jpg", 1, "tabby cat"], ["ant/1.jpg", 0, "ant"]],
    "val": [["ant/2.jpg", 0, "ant"]],
    "test": [["cat/2.jpg", 1, "tabby cat"]],
}


@pytest.fixture
def write_split(tmp_path, write_picture):
    """Writes a split file and its pictures, below `images` beside it."""

    def write(content=CONTENT, images: str = "OxfordPets/images", name: str = "split_zhou_OxfordPets.json") -> Path:
        for picture in ("cat/1.jpg", "cat/2.jpg", "ant/1.jpg", "ant/2.jpg"):
            write_picture(f"{images}/{picture}")
        file = tmp_path / "OxfordPets" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


@pytest.mark.parametrize("images", ["OxfordPets", "OxfordPets/images"])
def test_images_are_found_beside_the_file_or_in_a_folder_beside_it(write_split, tmp_path, images) -> None:
    write_split()
    (tmp_path / "OxfordPets" / "annotations").mkdir()
    dataset = load_dataset(write_split(images=images))
    assert [(sample.image.parent.name, sample.label) for sample in dataset.train] == [("cat", 1), ("ant", 0)]
    assert [len(dataset.val), len(dataset.test)] == [1, 1]
    assert dataset.class_names == ["ant", "tabby cat"]


def test_images_can_be_elsewhere_by_option(write_split, tmp_path) -> None:
    dataset = load_dataset(write_split(images="elsewhere"), image_root=tmp_path / "elsewhere")
    assert dataset.train[0].image == tmp_path / "elsewhere" / "cat" / "1.jpg"


def test_name_and_template_are_the_published_ones(write_split) -> None:
    dataset = load_dataset(write_split())
    assert (dataset.name, dataset.template) == ("OxfordPets", "a photo of a {}, a type of pet.")
    assert load_dataset(write_split(name="mine.json")).template == "a photo of a {}."
    assert load_dataset(write_split(), template="art of {}").template == "art of {}"


def test_every_published_template_has_one_place_for_the_name() -> None:
    assert all(template.count("{}") == 1 for template in TEMPLATES.values())


def test_a_split_file_may_have_no_val(write_split) -> None:
    assert load_dataset(write_split({"train": CONTENT["train"], "test": CONTENT["test"]})).val == ()


def test_names_may_repeat_as_in_imagenet(write_split) -> None:
    content = {"train": [["cat/1.jpg", 0, "missile"], ["ant/1.jpg", 1, "missile"]], "test": []}
    assert load_dataset(write_split(content)).class_names == ["missile", "missile"]


def test_missing_images_are_listed_with_where_they_were_looked_for(write_split) -> None:
    content = {**CONTENT, "test": [["cat/9.jpg", 1, "tabby cat"]]}
    with pytest.raises(DataError, match=r"1 of the 4 images (.|\n)*name the folder with image_root(.|\n)*9.jpg"):
        load_dataset(write_split(content))


def test_one_class_only_is_refused(write_split) -> None:
    with pytest.raises(DataError, match=r"has only the class 'ant'"):
        load_dataset(write_split({"train": [["ant/1.jpg", 0, "ant"]], "test": []}))


def test_class_words_are_refused_because_the_file_has_the_names(write_split) -> None:
    with pytest.raises(SettingsError, match=r"class_words is .* does not take it"):
        load_dataset(write_split(), class_words={"ant": "insect"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"train": [], "train": [], "test": []}', r"it has 'train' twice"),
        ("[" * 100_000, r"cannot be read as JSON: its values are nested too deeply"),
        ('{"train": [["cat/1.jpg", ' + "9" * 5000 + ', "cat"]], "test": []}', r"it has a number of"),
        ({"train": [["cat/1.jpg", 0, "7"], ["ant/1.jpg", 1, "x"]], "test": []}, r"the class names '7' is a number"),
        ({"train": [["cat/1.jpg", 0, "a"], ["cat/1.jpg", 1, "b"]], "test": []}, r"cat/1.jpg both the labels 0 and 1"),
        ({"train": [["cat/1.jpg", 10**4000, "a"]], "test": []}, r"it has a number of 4001 digits"),
        ('{"train": [["cat/1.jpg", 0, "a\\ud800"], ["ant/1.jpg", 1, "b"]], "test": []}', r"half of a character pair"),
        ('{"train": [["cat/1.jpg", 0, "a\\u0007"], ["ant/1.jpg", 1, "b"]], "test": []}', r"control character U\+0007"),
        ("{", r"it is not valid JSON"),
        ([], r"is no split file of the papers"),
        ({"train": []}, r"is no split file of the papers"),
        ({"train": {}, "test": []}, r"has train as dict; it must be a list"),
        ({"train": [["cat/1.jpg", "1", "cat"]], "test": []}, r"\(train, item 0\) is \['cat/1.jpg', '1', 'cat'\]"),
        ({"train": [["cat/1.jpg", -1, "cat"]], "test": []}, r"it must be \[path, label from 0, class name\]"),
        ({"train": [["cat/1.jpg", True, "cat"]], "test": []}, r"it must be \[path, label from 0, class name\]"),
        ({"train": [], "test": [["../1.jpg", 0, "cat"]]}, r"\(test, item 0\) lists '../1.jpg', which is not inside"),
        ({"train": [["/etc/1.jpg", 0, "cat"]], "test": []}, r"\(train, item 0\) lists '/etc/1.jpg'"),
        ({"train": [["cat/1.jpg", 0, "cat"], ["ant/1.jpg", 0, "ant"]], "test": []}, r"names label 0 both 'cat' and"),
        ({"train": [["cat/1.jpg", 0, " "]], "test": []}, r"has an empty class name for label 0"),
        ({"train": [["cat/1.jpg", 10**18, "cat"]], "test": []}, r"has no image of label 0; labels must count from 0"),
        ({"train": [], "test": []}, r"holds no images"),
    ],
)
def test_a_fault_in_the_file_is_a_sentence(write_split, content, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load_dataset(write_split(content))
