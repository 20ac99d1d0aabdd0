"""Folders of class folders, through the door that users take."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.class_words import ClassCodesWarning
from vlprompt.data.folders import LikeSplitsWarning
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, FilesLeftOutWarning, UnknownNameError


def images(dataset: Dataset, split: str) -> list[str]:
    return [f"{sample.image.parent.name}/{sample.image.name}" for sample in getattr(dataset, split)]


def test_class_folders_are_labelled_in_case_sensitive_order(write_folder) -> None:
    folder = write_folder("caltech", ant=4, Faces=4, accordion=4, Leopards=4)
    assert load_dataset(folder).class_names == ["Faces", "Leopards", "accordion", "ant"]


def test_a_data_set_is_called_like_its_folder(write_folder, monkeypatch) -> None:
    folder = write_folder("pets", cat=2, dog=2)
    monkeypatch.chdir(folder)
    assert [load_dataset(folder).name, load_dataset(Path(".")).name] == ["pets", "pets"]
    assert load_dataset(folder, name="mine").name == "mine"


def test_without_splits_images_are_split_at_random_with_the_seed(write_folder) -> None:
    folder = write_folder("pets", cat=10, dog=20)
    one, again, two = load_dataset(folder, seed=1), load_dataset(folder, seed=1), load_dataset(folder, seed=2)
    assert [len(one.train), len(one.val), len(one.test)] == [15, 6, 9]
    assert one == again != two


def test_without_splits_all_can_stay_together(write_folder) -> None:
    dataset = load_dataset(write_folder("pets", cat=3, dog=2), random_splits=False)
    assert images(dataset, "train") == ["cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"]
    assert dataset.val == dataset.test == ()


def test_train_and_test_folders_are_splits_and_val_may_be_absent(write_folder, tmp_path) -> None:
    write_folder("pets/train", cat=2, dog=1)
    write_folder("pets/test", cat=1, dog=1)
    dataset = load_dataset(tmp_path / "pets")
    assert images(dataset, "train") == ["cat/0.png", "cat/1.png", "dog/0.png"]
    assert images(dataset, "test") == ["cat/0.png", "dog/0.png"]
    assert dataset.val == ()


def test_a_class_may_be_missing_from_a_split_and_keeps_its_label(write_folder, tmp_path) -> None:
    write_folder("pets/train", ant=1, cat=1, dog=1)
    write_folder("pets/validation", dog=1)
    write_folder("pets/Test", cat=1)
    dataset = load_dataset(tmp_path / "pets")
    assert [sample.label for sample in (*dataset.val, *dataset.test)] == [2, 1]


def test_where_there_is_no_test_folder_val_is_tested_as_published_for_imagenet(write_folder, tmp_path) -> None:
    write_folder("imagenet/train", cat=2, dog=2)
    write_folder("imagenet/val", cat=1, dog=1)
    dataset = load_dataset(tmp_path / "imagenet")
    assert dataset.val == dataset.test != ()


def test_a_class_called_train_is_a_class(write_folder) -> None:
    assert load_dataset(write_folder("vehicles", bus=2, test=2, train=2)).class_names == ["bus", "test", "train"]


def test_a_train_folder_alone_is_refused_with_both_ways_out(write_folder, tmp_path) -> None:
    write_folder("pets/train", cat=2, dog=2)
    with pytest.raises(DataError, match=r"neither val nor test; add one, or name .*train itself"):
        load_dataset(tmp_path / "pets")


def test_images_may_lie_deeper_and_are_in_the_order_of_their_paths(write_picture, tmp_path) -> None:
    for name in ("cat/young/1.png", "cat/2.png", "dog/a.png"):
        write_picture(f"pets/{name}")
    dataset = load_dataset(tmp_path / "pets", random_splits=False)
    assert images(dataset, "train") == ["cat/2.png", "young/1.png", "dog/a.png"]
    assert [sample.class_name for sample in dataset.train] == ["cat", "cat", "dog"]


def test_hidden_files_and_what_is_no_image_are_passed_over(write_folder, write_picture) -> None:
    folder = write_folder("pets", cat=1, dog=1)
    for name in (".DS_Store", "._0.png", "notes.txt", "Thumbs.db"):
        (folder / "cat" / name).write_bytes(b"no picture")
    write_picture("pets/.cache/0.png")
    write_picture("pets/cat/.thumbnails/0.png")
    write_picture("pets/beside.png")
    assert images(load_dataset(folder, random_splits=False), "train") == ["cat/0.png", "dog/0.png"]


def test_class_folders_may_be_links(write_folder, tmp_path) -> None:
    real = write_folder("all", cat=1, dog=1, emu=1)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("cat", "dog"):
        (chosen / name).symlink_to(real / name, target_is_directory=True)
    assert load_dataset(chosen).class_names == ["cat", "dog"]


def test_better_words_change_prompts_and_leave_the_names_of_classes(write_folder, tmp_path) -> None:
    folder = write_folder("zoo", n02510455=2, n01=2)
    (tmp_path / "words.yaml").write_text("n02510455: giant panda\n")
    dataset = load_dataset(folder, class_words=tmp_path / "words.yaml")
    assert dataset.class_names == ["n01", "n02510455"]
    assert dataset.prompt_names == ["n01", "giant panda"]


def test_better_words_beside_the_class_folders_are_read_by_themselves(write_folder) -> None:
    folder = write_folder("zoo", n01=2, n02=2)
    (folder / "class_words.yaml").write_text("n01: red panda\n")
    assert load_dataset(folder).prompt_names == ["red panda", "n02"]
    assert load_dataset(folder, class_words={"n02": "giant panda"}).prompt_names == ["n01", "giant panda"]


def test_words_for_an_unknown_folder_name_the_nearest(write_folder, tmp_path) -> None:
    folder = write_folder("zoo", n02510455=2, n01=2)
    (tmp_path / "words.yaml").write_text("n0251045: giant panda\n")
    with pytest.raises(UnknownNameError, match=r"'n0251045'; did you mean n02510455"):
        load_dataset(folder, class_words=tmp_path / "words.yaml")


def test_words_that_make_two_classes_the_same_are_refused(write_folder) -> None:
    with pytest.raises(DataError, match=r"'panda' is given twice"):
        load_dataset(write_folder("zoo", n01=1, n02=1), class_words={"n01": "panda", "n02": "panda"})


def test_words_tell_apart_what_names_do_not(write_folder) -> None:
    folder = write_folder("zoo", **{"red panda": 1, "red_panda": 1})
    dataset = load_dataset(folder, class_words={"red_panda": "the red panda of Nepal"}, random_splits=False)
    assert dataset.class_names == ["red panda", "red_panda"]


def test_two_folders_of_the_same_words_are_refused(write_folder) -> None:
    with pytest.raises(DataError, match=r"'red panda' and 'red_panda' are the same words"):
        load_dataset(write_folder("zoo", **{"red panda": 1, "red_panda": 1, "bear": 1}))


def test_a_folder_that_does_not_exist_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no folder or file .*nowhere"):
        load_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [(), ("1.png", "2.png")])
def test_a_folder_without_class_folders_is_refused(tmp_path, write_picture, content) -> None:
    (tmp_path / "flat").mkdir()
    for name in content:
        write_picture(f"flat/{name}")
    with pytest.raises(DataError, match=r"flat holds no class folders; put the images of each class"):
        load_dataset(tmp_path / "flat")


def test_a_class_folder_without_files_is_left_out_and_told(write_folder) -> None:
    folder = write_folder("pets", cat=2, dog=2)
    (folder / "emu" / "deeper").mkdir(parents=True)
    with pytest.warns(FilesLeftOutWarning, match=r"folders without files: 1 \(emu\)"):
        assert load_dataset(folder).class_names == ["cat", "dog"]


def test_a_class_folder_without_files_in_every_split_is_left_out_and_told(write_folder, tmp_path) -> None:
    for split in ("train", "test"):
        write_folder(f"pets/{split}", cat=1, dog=1)
        (tmp_path / "pets" / split / "emu").mkdir()
    with pytest.warns(FilesLeftOutWarning, match=r"folders without files: 2 \(train/emu, test/emu\)"):
        assert load_dataset(tmp_path / "pets").class_names == ["cat", "dog"]


def test_what_unpacking_leaves_beside_the_classes_is_no_class(write_folder, tmp_path) -> None:
    folder = write_folder("pets", cat=1, dog=1)
    (folder / "__MACOSX" / "cat").mkdir(parents=True)
    (folder / "__MACOSX" / "cat" / "._0.png").write_bytes(b"no picture")
    with pytest.warns(FilesLeftOutWarning, match=r"a system made: 1 \(__MACOSX\)"):
        assert load_dataset(folder).class_names == ["cat", "dog"]


@pytest.mark.parametrize("splits", [True, False])
def test_a_class_folder_with_files_but_no_pictures_is_refused_with_the_reason(write_folder, tmp_path, splits) -> None:
    for below in ("pets/train", "pets/test") if splits else ("pets",):
        (write_folder(below, cat=1, dog=1) / "emu").mkdir()
        (tmp_path / below / "emu" / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"emu holds no images \(no pictures .*: 1 \(notes.txt\)\); add some"):
        load_dataset(tmp_path / "pets")


def test_pictures_beside_the_class_folders_and_beside_the_splits_are_told(
    write_folder, write_picture, tmp_path
) -> None:
    for split in ("train", "test"):
        write_folder(f"pets/{split}", cat=1, dog=1)
    for name in ("loose.png", "train/loose.png", "extra/a.png", "extra/b.png"):
        write_picture(f"pets/{name}")
    with pytest.warns(FilesLeftOutWarning, match=r"4 files left out of .*pets; beside the class folders: 4 \(extra, "):
        assert len(load_dataset(tmp_path / "pets").train) == 2


def test_links_to_folders_are_followed_and_circles_are_not(write_folder, tmp_path) -> None:
    folder = write_folder("pets", cat=2, dog=2)
    write_folder("far", more=3)
    (folder / "cat" / "more").symlink_to(tmp_path / "far")
    for place, target in (("dog/up", ".."), ("dog/here", "."), ("dog/cats", "../cat"), ("again", "."), ("root", "/")):
        (folder / place).symlink_to(target)
    dogs = ["dog/0.png", "dog/1.png"]
    with pytest.warns(FilesLeftOutWarning, match=r"listed already: 5 \("):
        dataset = load_dataset(folder, random_splits=False)
    assert images(dataset, "train") == ["cat/0.png", "cat/1.png", "more/0.png", "more/1.png", "more/2.png", *dogs]


def test_one_class_only_is_refused(write_folder) -> None:
    with pytest.raises(DataError, match=r"pets has only the class 'cat'"):
        load_dataset(write_folder("pets", cat=5))


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "dev"), ("train", "val")),
        (("Train", "Validation"), ("train", "val")),
        (("training_set", "test_set"), ("train", "test")),
        (("training", "holdout"), ("train", "test")),
        (("trn", "tst"), ("train", "test")),
        (("train2017", "val2017"), ("train", "val")),
        (("train", "eval"), ("train", "test")),
        (("train", "dev", "eval"), ("train", "val", "test")),
        (("train", "eval", "test"), ("train", "val", "test")),
        (("train", "valid", "hold-out"), ("train", "val", "test")),
    ],
)
def test_splits_are_known_by_the_words_that_people_use(write_folder, tmp_path, names, splits) -> None:
    for name in names:
        write_folder(f"pets/{name}", cat=1, dog=1)
    dataset = load_dataset(tmp_path / "pets")
    assert dataset.class_names == ["cat", "dog"]
    for name, split in zip(names, splits, strict=True):
        assert {sample.image.parents[1].name for sample in getattr(dataset, split)} == {name}


@pytest.mark.parametrize(
    ("names", "both"),
    [
        (("train", "val", "dev"), "dev and val, which both mean val"),
        (("train", "test", "holdout"), "holdout and test, which both mean test"),
        (("train", "training_set", "test"), "train and training_set, which both mean train"),
        (("train", "val", "test", "eval"), "eval and val, which both mean val"),
        (("Train", "train", "test"), "Train and train, which both mean train"),
    ],
)
def test_two_folders_for_one_split_are_refused_with_both(write_folder, tmp_path, names, both) -> None:
    for name in names:
        write_folder(f"pets/{name}", cat=1, dog=1)
    with pytest.raises(DataError, match=f"holds both {both}"):
        load_dataset(tmp_path / "pets")


def test_a_folder_with_the_class_folders_of_train_is_no_class(write_folder, tmp_path) -> None:
    for name in ("train", "query"):
        write_folder(f"pets/{name}", cat=1, dog=1)
    with pytest.raises(DataError, match=r"holds train and query with the same class folders, such as cat; if query"):
        load_dataset(tmp_path / "pets")


@pytest.mark.parametrize("names", [("seg_train", "seg_test"), ("my-training", "mine"), ("holdout v2", "others")])
def test_folders_of_the_same_class_folders_with_a_word_for_a_split_in_them_are_no_classes(
    write_folder, tmp_path, names
) -> None:
    for name in names:
        write_folder(f"pets/{name}", cat=1, dog=1)
    with pytest.raises(DataError, match=r"the same class folders, such as cat; if they are splits, call them train"):
        load_dataset(tmp_path / "pets")


def test_folders_of_the_same_folders_may_be_splits_of_unknown_words_and_are_told(write_folder, tmp_path) -> None:
    for name in ("entrenamiento", "prueba"):
        write_folder(f"pets/{name}", cat=1, dog=1)
    with pytest.warns(LikeSplitsWarning, match=r"'entrenamiento', 'prueba' with folders of the same names, such as"):
        assert load_dataset(tmp_path / "pets").class_names == ["entrenamiento", "prueba"]


def test_classes_with_few_parts_in_common_are_classes_without_a_word(write_folder, tmp_path, recwarn) -> None:
    write_folder("pets/cats", old=1, siamese=1)
    write_folder("pets/dogs", old=1, hound=1)
    assert load_dataset(tmp_path / "pets").class_names == ["cats", "dogs"]
    assert not recwarn.list


@pytest.mark.parametrize("flat", [("train", "test"), ("test",)])
def test_folders_that_are_all_called_like_splits_are_no_classes(write_folder, tmp_path, flat) -> None:
    for name in ("train", "test"):
        write_folder("pets" if name in flat else f"pets/{name}", **({name: 2} if name in flat else {"cat": 1}))
    with pytest.raises(DataError, match=r"called like splits, but test holds no class|test holds no class folders"):
        load_dataset(tmp_path / "pets")


def test_numbers_of_wordnet_without_words_are_told(write_folder, tmp_path) -> None:
    folder = write_folder("zoo", n02510455=1, n02504458=1)
    with pytest.warns(
        ClassCodesWarning, match=r"codes of WordNet such as n02504458 \(2 in all\), of which a model knows"
    ):
        load_dataset(folder)
    (folder / "class_words.yaml").write_text("n02510455: giant panda\nn02504458: elephant\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset(folder)


def test_a_class_called_train_may_have_folders_of_its_own(write_folder, tmp_path) -> None:
    write_folder("vehicles/train", steam=1, electric=1)
    write_folder("vehicles", bus=1)
    assert load_dataset(tmp_path / "vehicles").class_names == ["bus", "train"]


def test_splits_without_a_training_folder_are_no_classes(write_folder, tmp_path) -> None:
    for name in ("val", "test"):
        write_folder(f"pets/{name}", cat=1, dog=1)
    with pytest.raises(DataError, match=r"holds test and val but no train folder; add one, or name one of them"):
        load_dataset(tmp_path / "pets")
    assert load_dataset(tmp_path / "pets" / "val").class_names == ["cat", "dog"]


def test_a_split_folder_with_loose_pictures_is_refused(write_folder, write_picture, tmp_path) -> None:
    write_folder("imagenet/train", cat=2, dog=2)
    write_picture("imagenet/val/1.png")
    with pytest.raises(DataError, match=r"val holds no class folders"):
        load_dataset(tmp_path / "imagenet")


def test_the_class_of_a_folder_is_its_name_in_the_normal_form(write_picture, tmp_path) -> None:
    for name in ("train/caf\u00e9", "test/cafe\u0301", "train/a\tb", "test/a b", "train/bar"):
        write_picture(f"pets/{name}/1.png")
    dataset = load_dataset(tmp_path / "pets", class_words={"cafe\u0301": "coffee house"})
    assert dataset.class_names == ["a b", "bar", "caf\u00e9"]
    assert dataset.prompt_names == ["a b", "bar", "coffee house"]
    assert [sample.label for sample in dataset.test] == [0, 2]


@pytest.mark.parametrize(("one", "other"), [("caf\u00e9", "cafe\u0301"), ("a b", "a\tb")])
def test_two_folders_of_one_name_in_two_spellings_are_refused(write_picture, tmp_path, one, other) -> None:
    for name in (one, other, "bar"):
        write_picture(f"pets/{name}/1.png")
    with pytest.raises(DataError, match=r"pets holds the folders '.*' and '.*', which are one name in two spellings"):
        load_dataset(tmp_path / "pets")


def test_folders_that_are_numbers_need_words_and_sort_as_numbers(write_folder, tmp_path) -> None:
    folder = write_folder("imagenetv2", **{"0": 1, "10": 1, "9": 1})
    with pytest.raises(DataError, match=r"class folders of .*imagenetv2 are numbers; give class words for 0, 9, 10"):
        load_dataset(folder)
    (folder / "class_words.yaml").write_text("0: tench\n9: ostrich\n10: brambling\n")
    assert load_dataset(folder).class_names == ["0", "9", "10"]
    assert load_dataset(folder).prompt_names == ["tench", "ostrich", "brambling"]


def test_class_words_beside_the_classes_are_read_within_bounds(write_folder) -> None:
    folder = write_folder("zoo", n01=2, n02=2)
    (folder / "class_words.yaml").write_text("n01: &a [x]\nn02: [*a, *a]\n")
    with pytest.raises(DataError, match=r"class_words.yaml \(line 1\) has an alias or anchor"):
        load_dataset(folder)


def test_the_same_split_twice_is_refused(write_folder, tmp_path) -> None:
    for split in ("train", "val", "valid"):
        write_folder(f"pets/{split}", cat=1, dog=1)
    with pytest.raises(DataError, match=r"holds both val and valid, which both mean val"):
        load_dataset(tmp_path / "pets")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_without_permission_is_named(write_folder) -> None:
    folder = write_folder("pets", cat=1, dog=1)
    (folder / "cat").chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot be read"):
            load_dataset(folder)
    finally:
        (folder / "cat").chmod(0o755)
