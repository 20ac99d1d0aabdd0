"""Each published data set in its own layout: splits, names, renames and the order of labels."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.data.published.trees import (
    TREES,
    class_tree,
    numbered,
    touch,
    wordnet_numbers,
    write_classnames,
    write_lines,
    write_tree,
)
from vlprompt.data.catalogue import load_dataset
from vlprompt.data.published.published_set import SplitRule
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, FilesLeftOutWarning

REFERENCE = Path(__file__).parents[2] / "reference"


def load(name: str, root: Path, **options: object) -> Dataset:
    """The data set; that a small tree has other counts, and no published split, is warned of elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_dataset(name, root=root, **options)


def loaded(name: str, root: Path) -> Dataset:
    write_tree(name, root)
    return load(name, root)


@pytest.fixture(autouse=True)
def no_picture_is_opened(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a picture was opened"))


def test_there_is_a_tree_for_every_published_data_set() -> None:
    assert list(TREES) == list(PUBLISHED)


@pytest.mark.parametrize("name", TREES)
def test_every_data_set_has_its_name_template_classes_and_splits(name, tmp_path) -> None:
    dataset, declared = loaded(name, tmp_path), PUBLISHED[name]
    assert (dataset.name, dataset.template) == (name, declared.template)
    assert len(dataset.class_names) == declared.counts.classes
    for split in ("train", "val", "test"):
        classes = {sample.label for sample in getattr(dataset, split)}
        assert len(classes) == (declared.counts.classes if getattr(declared.counts, split) else 0), split


@pytest.mark.parametrize("name", TREES)
def test_every_picture_is_in_one_split_and_in_the_data_sets_folder(name, tmp_path) -> None:
    dataset = loaded(name, tmp_path)
    paths = [sample.image for split in (dataset.train, dataset.val, dataset.test) for sample in split]
    assert len(set(paths)) == len(paths)
    assert all(path.is_file() and path.is_relative_to(tmp_path / PUBLISHED[name].folder) for path in paths)


@pytest.mark.parametrize("name", [name for name, one in PUBLISHED.items() if one.rule is SplitRule.RANDOM])
def test_data_sets_without_splits_are_split_by_halves_fifths_and_the_rest(name, tmp_path) -> None:
    dataset = loaded(name, tmp_path)
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        assert set(Counter(sample.label for sample in getattr(dataset, split)).values()) == {count}


@pytest.mark.parametrize("name", [name for name, one in PUBLISHED.items() if one.rule is SplitRule.TRAINVAL])
def test_a_fifth_of_each_class_of_the_official_training_pictures_is_val(name, tmp_path) -> None:
    dataset = loaded(name, tmp_path)
    assert set(Counter(sample.label for sample in dataset.train).values()) == {4}
    assert set(Counter(sample.label for sample in dataset.val).values()) == {1}


@pytest.mark.parametrize("name", ["caltech101", "oxford-pets"])
def test_another_seed_is_another_draw_and_the_same_seed_the_same(name, tmp_path) -> None:
    write_tree(name, tmp_path)
    assert load(name, tmp_path) == load(name, tmp_path, seed=1)
    assert load(name, tmp_path).train != load(name, tmp_path, seed=2).train


@pytest.mark.parametrize("name", ["fgvc-aircraft", "imagenet", "imagenet-a"])
def test_an_official_split_does_not_depend_on_the_seed(name, tmp_path) -> None:
    write_tree(name, tmp_path)
    assert load(name, tmp_path) == load(name, tmp_path, seed=2)


def test_caltech_has_the_published_order_and_singulars(tmp_path) -> None:
    published = json.loads((REFERENCE / "classnames.json").read_text())["caltech101_first_50"]
    plurals = {"face": "Faces", "leopard": "Leopards", "motorbike": "Motorbikes", "airplane": "airplanes"}
    folders = [plurals.get(name, name) for name in published]
    images = tmp_path / "caltech-101" / "101_ObjectCategories"
    class_tree(images, [*folders, *numbered("zzz", 50), "BACKGROUND_Google", "Faces_easy"])
    assert load("caltech101", tmp_path).class_names[:50] == published


def test_pets_are_breeds_in_lower_case_by_their_class_number(tmp_path) -> None:
    folder = write_tree("oxford-pets", tmp_path)
    dataset = load("oxford-pets", tmp_path)
    assert dataset.class_names[0] == "breed_b_aab"
    assert dataset.class_names == sorted(dataset.class_names)
    assert dataset.test[0].class_name in str(dataset.test[0].image).lower()
    assert dataset.test[0].image.parent == folder / "images"


def test_cars_have_their_year_first_and_two_picture_folders(tmp_path) -> None:
    dataset = loaded("stanford-cars", tmp_path)
    assert dataset.class_names[:2] == ["2010 Make Model x_aaa", "2011 Make Model x_aab"]
    assert dataset.test[0].label == 195
    assert {sample.image.parent.name for sample in dataset.train} == {"cars_train"}
    assert {sample.image.parent.name for sample in dataset.test} == {"cars_test"}


def test_flowers_are_numbered_pictures_with_labels_from_matlab_and_names_from_json(tmp_path) -> None:
    dataset = loaded("flowers102", tmp_path)
    assert dataset.class_names[:2] == ["flower f_aaa", "flower f_aab"]
    # The first picture has label 102, so that its class is the last.
    assert {s.label for s in (*dataset.train, *dataset.val, *dataset.test) if s.image.stem == "image_00001"} == {101}


def test_aircraft_have_the_order_of_variants_txt(tmp_path) -> None:
    dataset = loaded("fgvc-aircraft", tmp_path)
    assert dataset.class_names[0] == "Boeing 7-v_adv"
    assert dataset.class_names == sorted(dataset.class_names, reverse=True)
    assert [part[0].image.name for part in (dataset.train, dataset.val, dataset.test)] == [
        "001.jpg",
        "002.jpg",
        "003.jpg",
    ]


def test_scenes_are_their_path_from_last_to_first_without_the_letter(tmp_path) -> None:
    dataset = loaded("sun397", tmp_path)
    assert dataset.class_names[:2] == ["scene_aaa", "indoor scene_aab"]
    assert dataset.test[-1].image == tmp_path / "sun397/SUN397/b/scene_aaa/sun_5.jpg"


def test_satellite_pictures_have_their_names_in_words(tmp_path) -> None:
    assert loaded("eurosat", tmp_path).class_names == [
        *("Annual Crop Land", "Forest", "Herbaceous Vegetation Land", "Highway or Road", "Industrial Buildings"),
        *("Pasture Land", "Permanent Crop Land", "Residential Buildings", "River", "Sea or Lake"),
    ]


def test_actions_are_words_apart_and_frames_lie_in_folders_of_these(tmp_path) -> None:
    dataset = loaded("ucf101", tmp_path)
    assert dataset.class_names[0] == "Do_Jump_Aaa"
    assert dataset.train[0].image.parent.name == dataset.train[0].class_name
    assert dataset.train[0].label == 100


def test_imagenet_has_clips_names_of_which_two_are_the_same(tmp_path) -> None:
    dataset = loaded("imagenet", tmp_path)
    assert dataset.class_names[0] == "thing_aaa of it"
    assert dataset.class_names[657] == dataset.class_names[744] == "missile of it"
    assert dataset.test[0].image.parent == tmp_path / "imagenet" / "images" / "val" / wordnet_numbers(1)[0]


def test_imagenet_v2_is_numbered_by_the_lines_of_classnames_and_not_as_text(tmp_path) -> None:
    dataset = loaded("imagenetv2", tmp_path)
    assert [sample.image.parent.name for sample in dataset.test[:11]] == [str(number) for number in range(11)]
    assert dataset.class_names[2] == "thing_aac of it"


def test_shifted_versions_count_their_own_classes_and_leave_the_readme(tmp_path) -> None:
    dataset = loaded("imagenet-r", tmp_path)
    assert dataset.train == ()
    assert dataset.class_names[1] == "thing_aaf of it"
    assert {sample.label for sample in dataset.test} == set(range(200))


def test_classnames_of_imagenet_serve_its_shifted_versions_beside_it(tmp_path) -> None:
    (write_tree("imagenet-a", tmp_path) / "classnames.txt").unlink()
    write_classnames(tmp_path / "imagenet")
    assert len(load("imagenet-a", tmp_path).class_names) == 200


def test_imagenets_train_and_val_must_have_the_same_classes(tmp_path) -> None:
    folder = write_tree("imagenet", tmp_path)
    (folder / "images" / "val" / wordnet_numbers(1)[0]).rename(folder / "images" / "val" / "n99999999")
    with pytest.raises(DataError, match=r"only one of them has 'n01440764', 'n99999999'"):
        load("imagenet", tmp_path)


def test_a_class_without_a_name_is_refused(tmp_path) -> None:
    folder = write_tree("imagenet-sketch", tmp_path)
    write_lines(folder / "classnames.txt", [f"{number} thing" for number in wordnet_numbers(999)])
    with pytest.raises(DataError, match=rf"classnames.txt has no name for '{wordnet_numbers(1000)[-1]}'"):
        load("imagenet-sketch", tmp_path)


def test_files_that_are_no_pictures_are_told(tmp_path) -> None:
    folder = write_tree("dtd", tmp_path)
    touch(folder / "images" / "look_aaa", "Thumbs.db", ".hidden.jpg")
    with pytest.warns(FilesLeftOutWarning, match=r"1 files? left out of .*'look_aaa/Thumbs.db'"):
        load_dataset("dtd", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("stanford-cars", "devkit/cars_meta.mat", b"no matlab", "cars_meta.mat cannot be read as a MATLAB file"),
        ("flowers102", "imagelabels.mat", b"", "imagelabels.mat cannot be read as a MATLAB file"),
        ("flowers102", "cat_to_name.json", b'{"1": "rose"}', "cat_to_name.json has no name for the labels '10'"),
        ("flowers102", "cat_to_name.json", b"[]", "cat_to_name.json must be an object of names"),
        ("oxford-pets", "annotations/test.txt", b"Abyssinian\n", "test.txt:1 is 'Abyssinian', which is no line"),
        ("oxford-pets", "annotations/test.txt", b"Abyssinian_1 x\n", "test.txt:1 must have a picture such as"),
        ("fgvc-aircraft", "images_variant_val.txt", b"001 Boeing 8\n", "val.txt:1 has the class 'Boeing 8', which is"),
        ("sun397", "Testing_01.txt", b"/z/zoo/1.jpg\n", "Testing_01.txt:1 has the class 'z/zoo', which is none of"),
        ("ucf101", "ucfTrainTestlist/classInd.txt", b"one Archery\n", "classInd.txt:1 is 'one Archery', which is no"),
        ("ucf101", "ucfTrainTestlist/testlist01.txt", b"Archery\n", "testlist01.txt:1 must name a video such as"),
        ("imagenet-r", "classnames.txt", b"tench\n", "classnames.txt:1 is 'tench', which is no line"),
        ("imagenet-r", "classnames.txt", b"tench fish\n", "classnames.txt:1 must begin with a WordNet number"),
    ],
)
def test_a_damaged_list_is_one_sentence_with_the_file(name, file, content, said, tmp_path) -> None:
    (write_tree(name, tmp_path) / file).write_bytes(content)
    with pytest.raises(DataError) as refused:
        load(name, tmp_path)
    assert said in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_list_that_leads_out_of_the_picture_folder_is_refused(tmp_path) -> None:
    folder = write_tree("oxford-pets", tmp_path)
    write_lines(folder / "annotations" / "test.txt", ["../../secret_1 1 1 1"])
    with pytest.raises(DataError, match="not inside"):
        load("oxford-pets", tmp_path)


def test_listed_pictures_that_are_not_there_are_counted_and_the_first_named(tmp_path) -> None:
    folder = write_tree("sun397", tmp_path)
    for place in range(25):
        (folder / f"SUN397/b/scene_aaa/sun_{place}.jpg").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"(?s)^6 of the 2382 images .*scene_aaa/sun_0.jpg"):
        load("sun397", tmp_path)
