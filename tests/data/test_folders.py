"""Folders of class folders, through the door that users take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlprompt.data.catalogue import load_dataset
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


def test_better_words_rename_classes_and_keep_their_order(write_folder, tmp_path) -> None:
    folder = write_folder("zoo", n02510455=2, n01=2)
    (tmp_path / "words.yaml").write_text("n02510455: giant panda\n")
    assert load_dataset(folder, class_words=tmp_path / "words.yaml").class_names == ["n01", "giant panda"]


def test_better_words_beside_the_class_folders_are_read_by_themselves(write_folder) -> None:
    folder = write_folder("zoo", n01=2, n02=2)
    (folder / "class_words.yaml").write_text("n01: red panda\n")
    assert load_dataset(folder).class_names == ["red panda", "n02"]
    assert load_dataset(folder, class_words={"n02": "giant panda"}).class_names == ["n01", "giant panda"]


def test_words_for_an_unknown_folder_name_the_nearest(write_folder, tmp_path) -> None:
    folder = write_folder("zoo", n02510455=2, n01=2)
    (tmp_path / "words.yaml").write_text("n0251045: giant panda\n")
    with pytest.raises(UnknownNameError, match=r"'n0251045'; did you mean n02510455"):
        load_dataset(folder, class_words=tmp_path / "words.yaml")


def test_words_that_make_two_classes_the_same_are_refused(write_folder) -> None:
    with pytest.raises(DataError, match=r"'panda' is given twice"):
        load_dataset(write_folder("zoo", n01=1, n02=1), class_words={"n01": "panda", "n02": "panda"})


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


def test_the_same_split_twice_is_refused(write_folder, tmp_path) -> None:
    for split in ("train", "val", "valid"):
        write_folder(f"pets/{split}", cat=1, dog=1)
    with pytest.raises(DataError, match=r"holds both val and valid"):
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
