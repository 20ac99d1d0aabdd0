"""Published data sets by name: the root, the published split file, counts, and what is said of half a data set."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.published.trees import TREES, touch, write_split_file, write_tree
from vlprompt.data.catalogue import SameNameWarning, load_dataset
from vlprompt.data.published import sets
from vlprompt.data.published.loading import OwnSplitWarning, PublishedCountsWarning, load_published
from vlprompt.data.published.published_set import Counts
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.data.published.state import split_of
from vlprompt.errors import DataError, SettingsError, UnknownNameError

WITH_SPLIT_FILE = [name for name, declared in PUBLISHED.items() if declared.split is not None]


def load(name: str, root: Path, **options: object):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_dataset(name, root=root, **options)


def listed(samples, folder: Path) -> list[tuple[str, int, str]]:
    return [(s.image.relative_to(folder).as_posix(), s.label, s.class_name) for s in samples]


@pytest.mark.parametrize("name", WITH_SPLIT_FILE)
def test_the_published_split_file_is_taken_as_it_is_and_needs_no_annotations(name, tmp_path) -> None:
    folder = tmp_path / PUBLISHED[name].folder
    content = write_split_file(name, folder)
    for images in ("cars_train", "cars_test") if name == "stanford-cars" else ():
        touch(folder / images, "1.jpg")
    dataset = load(name, tmp_path)
    for split in ("train", "val", "test"):
        assert listed(getattr(dataset, split), folder / PUBLISHED[name].images) == content[split]
    assert (dataset.name, dataset.template) == (name, PUBLISHED[name].template)


def test_a_split_file_is_before_the_rule(tmp_path) -> None:
    folder = write_tree("oxford-pets", tmp_path)
    content = write_split_file("oxford-pets", folder)
    assert listed(load("oxford-pets", tmp_path).test, folder / "images") == content["test"]


def test_a_split_drawn_here_is_warned_of_with_the_place_of_the_published_one(tmp_path) -> None:
    write_tree("caltech101", tmp_path)
    with pytest.warns(OwnSplitWarning, match=r"has no split_zhou_Caltech101.json, .* with seed 7 .*drive.google.com"):
        load_dataset("caltech101", root=tmp_path, seed=7)


@pytest.mark.parametrize("name", ["fgvc-aircraft", "imagenetv2"])
def test_a_data_set_whose_split_is_its_own_is_not_warned_of(name, tmp_path) -> None:
    write_tree(name, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OwnSplitWarning)
        warnings.simplefilter("ignore", PublishedCountsWarning)
        load_dataset(name, root=tmp_path)


def test_counts_that_differ_are_warned_of_with_both_numbers(tmp_path) -> None:
    write_tree("fgvc-aircraft", tmp_path)
    with pytest.warns(PublishedCountsWarning) as told:
        load_dataset("fgvc-aircraft", root=tmp_path)
    assert "100 training pictures, published are 3,334; 100 validation pictures, published are 3,333" in str(
        told[0].message
    )
    assert "classes" not in str(told[0].message)


def test_published_counts_are_not_warned_of(tmp_path) -> None:
    write_tree("fgvc-aircraft", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_published(replace(PUBLISHED["fgvc-aircraft"], counts=Counts(100, 100, 100, 100)), tmp_path)


@pytest.mark.parametrize("name", [name for name in TREES if name not in ("imagenet-a", "imagenet-r")])
def test_an_empty_root_says_what_is_missing_and_how_to_get_it(name, tmp_path) -> None:
    with pytest.raises(DataError) as refused:
        load_dataset(name, root=tmp_path)
    assert f"the data set {name} is not there: {tmp_path / PUBLISHED[name].folder} lacks" in str(refused.value)
    assert PUBLISHED[name].pictures[0].places[0] in str(refused.value)
    assert f"vlprompt data prepare {name} --root {tmp_path}" in str(refused.value)


def test_half_a_data_set_says_which_half_is_missing(tmp_path) -> None:
    folder = write_tree("oxford-pets", tmp_path)
    (folder / "annotations").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"oxford-pets is incomplete: .*oxford_pets lacks annotations/; `vlprompt data"):
        load_dataset("oxford-pets", root=tmp_path)


def test_an_empty_picture_folder_is_missing(tmp_path) -> None:
    write_split_file("dtd", tmp_path / "dtd")
    (tmp_path / "dtd" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "dtd" / "images").mkdir()
    with pytest.raises(DataError, match="dtd is incomplete: .*lacks images/"):
        load_dataset("dtd", root=tmp_path)


def test_missing_class_folders_are_refused_because_labels_would_move(tmp_path) -> None:
    folder = write_tree("dtd", tmp_path)
    (folder / "images" / "look_aac").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"dtd in .* has pictures of 46 classes and was published with 47; complete"):
        load_dataset("dtd", root=tmp_path)


def test_a_split_file_that_names_missing_pictures_counts_them_and_names_the_first(tmp_path) -> None:
    folder = tmp_path / "caltech-101"
    content = write_split_file("caltech101", folder)
    for path, _, _ in content["test"][:30]:
        (folder / "101_ObjectCategories" / path).unlink()
    with pytest.raises(DataError) as refused:
        load_dataset("caltech101", root=tmp_path)
    assert str(refused.value).startswith(f"30 of the 400 images that {folder / 'split_zhou_Caltech101.json'} lists")
    assert "class/0-3.jpg" in str(refused.value)
    assert "and 10 others" in str(refused.value)
    assert "vlprompt data prepare caltech101" in str(refused.value)
    assert "image_root" not in str(refused.value)


def test_the_root_is_the_option_then_the_variable_then_the_folder_in_the_home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VLPROMPT_DATA", raising=False)
    write_tree("eurosat", tmp_path / "vlprompt-data")
    assert load("eurosat", None).train[0].image.is_relative_to(tmp_path / "vlprompt-data")
    write_tree("eurosat", tmp_path / "variable")
    monkeypatch.setenv("VLPROMPT_DATA", "~/variable")
    assert load("eurosat", None).train[0].image.is_relative_to(tmp_path / "variable")
    write_tree("eurosat", tmp_path / "option")
    assert load("eurosat", tmp_path / "option").train[0].image.is_relative_to(tmp_path / "option")


def test_a_root_that_is_a_file_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VLPROMPT_DATA", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=r"VLPROMPT_DATA is .*file, which is no folder"):
        load_dataset("dtd")


def test_a_near_name_is_proposed() -> None:
    with pytest.raises(UnknownNameError, match="did you mean oxford-pets"):
        load_dataset("oxford_pets")


@pytest.mark.parametrize("option", ["class_words", "image_root", "path_column", "label_column"])
def test_options_that_a_published_data_set_does_not_take_are_refused(option, tmp_path) -> None:
    with pytest.raises(SettingsError, match=f"{option} is x, but dtd does not take it"):
        load_dataset("dtd", root=tmp_path, **{option: "x"})


def test_a_folder_of_the_same_name_is_told_and_meant_by_its_path(tmp_path, monkeypatch) -> None:
    write_tree("dtd", tmp_path / "root")
    touch(tmp_path / "dtd" / "cat", "1.jpg", "2.jpg", "3.jpg")
    touch(tmp_path / "dtd" / "dog", "1.jpg", "2.jpg", "3.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(SameNameWarning, match=r"meant by \./dtd"):
        assert len(load_dataset("dtd", root="root").class_names) == 47
    assert load_dataset("./dtd").class_names == ["cat", "dog"]


def test_two_sources_of_one_stem_can_be_given_names(tmp_path) -> None:
    for home in ("one", "two"):
        touch(tmp_path / home / "photos" / "cat", "1.jpg", "2.jpg")
        touch(tmp_path / home / "photos" / "dog", "1.jpg", "2.jpg")
    first, second = (load_dataset(f"{home}-time={tmp_path / home / 'photos'}") for home in ("one", "two"))
    assert (first.name, second.name) == ("one-time", "two-time")
    assert load_dataset(f"pets={tmp_path / 'one' / 'photos'}", name="given").name == "given"


def test_a_published_data_set_can_be_given_a_name(tmp_path) -> None:
    write_tree("dtd", tmp_path)
    assert load("textures=dtd", tmp_path).name == "textures"


def test_a_folder_with_an_equals_sign_is_itself(tmp_path, monkeypatch) -> None:
    touch(tmp_path / "a=b" / "cat", "1.jpg", "2.jpg")
    touch(tmp_path / "a=b" / "dog", "1.jpg", "2.jpg")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("a=b").name == "a=b"
    assert load_dataset(tmp_path / "a=b").name == "a=b"


def test_templates_are_published_ones_and_every_declaration_is_whole() -> None:
    assert len(PUBLISHED) == 15
    for declared in PUBLISHED.values():
        assert declared.template.count("{}") == 1
        assert re.fullmatch(r"https://.*", declared.page)
        assert all(source.url or source.page or source.hint for source in declared.sources)
        for source in declared.sources:
            assert len(source.inside) in (0, len(source.places))
            assert re.fullmatch(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}|)", source.checksum)
            assert source.checksum or not source.url.startswith("http:"), "what is not checked must come over https"
    assert len({declared.folder for declared in PUBLISHED.values()}) == 15
    assert sets.PUBLISHED is PUBLISHED


class TestLines:
    """Split files in JSON Lines, as later work publishes them."""

    rows = (
        ("train", "cat/1.jpg", 1, "tabby cat"),
        ("train", "ant/1.jpg", 0, "ant"),
        ("test", "cat/2.jpg", 1, "tabby cat"),
    )

    @pytest.fixture
    def folder(self, tmp_path):
        touch(tmp_path / "images", *(path for _, path, _, _ in self.rows))
        return tmp_path

    def write(self, file: Path, rows) -> Path:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    @pytest.mark.parametrize("path_key", ["path", "impath", "image"])
    @pytest.mark.parametrize("name_key", ["classname", "class_name", "name"])
    def test_objects_with_a_number_and_a_name_are_read_in_the_order_of_their_numbers(self, folder, path_key, name_key):
        rows = [
            {"split": split, path_key: path, "label": label, name_key: name} for split, path, label, name in self.rows
        ]
        dataset = load_dataset(self.write(folder / "split.jsonl", rows))
        assert dataset.class_names == ["ant", "tabby cat"]
        assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [2, 0, 1]
        assert dataset.train[0].image == folder / "images" / "cat" / "1.jpg"

    def test_lists_are_read(self, folder):
        dataset = load_dataset(self.write(folder / "split.jsonl", [[*row[1:], row[0]] for row in self.rows]))
        assert [len(dataset.train), len(dataset.test)] == [2, 1]

    def test_train_stands_for_the_files_beside_it(self, folder):
        for split in ("train", "test"):
            self.write(
                folder / f"{split}.jsonl",
                [
                    {"path": path, "label": label, "classname": name}
                    for part, path, label, name in self.rows
                    if part == split
                ],
            )
        dataset = load_dataset(folder / "train.jsonl")
        assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [2, 0, 1]

    def test_lines_without_a_split_are_refused_with_what_would_do(self, folder):
        file = self.write(folder / "mine.jsonl", [row[1:] for row in self.rows])
        with pytest.raises(DataError, match=r"mine.jsonl does not say which split"):
            load_dataset(file)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"path": "cat/1.jpg", "label": -1, "name": "cat", "split": "test"}, "must be"),
            ({"path": "cat/1.jpg", "label": 1, "split": "test"}, "must be"),
            ({"path": "cat/1.jpg", "label": True, "name": "cat", "split": "test"}, "must be"),
            ({"path": "cat/1.jpg", "label": 1, "name": "tabby cat", "split": "tset"}, "has the split 'tset'"),
            ("cat", "must be"),
        ],
    )
    def test_a_line_of_another_kind_is_named(self, folder, row, said):
        good = {"path": "ant/1.jpg", "label": 0, "classname": "ant", "split": "train"}
        file = self.write(folder / "split.jsonl", [good, row])
        with pytest.raises(DataError, match=rf"split.jsonl:2 .*{said}"):
            load_dataset(file)

    def test_a_published_data_set_takes_them_where_the_published_file_is_not(self, tmp_path):
        folder = tmp_path / "dtd"
        content = write_split_file("dtd", folder)
        (folder / "split_zhou_DescribableTextures.json").unlink()
        rows = [
            {"impath": f"dtd/images/{path}", "label": label, "classname": name, "split": split}
            for split, items in content.items()
            for path, label, name in items
        ]
        self.write(folder / "split_2sfs.jsonl", rows)
        assert listed(load("dtd", tmp_path).test, folder / "images") == content["test"]

    def test_two_of_them_are_refused(self, tmp_path):
        folder = tmp_path / "dtd"
        write_tree("dtd", tmp_path)
        for name in ("split_a.jsonl", "split_b.jsonl"):
            self.write(folder / name, [])
        with pytest.raises(DataError, match=r"holds split_a.jsonl and split_b.jsonl; keep"):
            load_dataset("dtd", root=tmp_path)


def test_whose_split_a_data_set_has_is_told_without_listing_its_pictures(tmp_path) -> None:
    write_tree("eurosat", tmp_path)
    assert split_of("eurosat", tmp_path) == "drawn here"
    write_split_file("eurosat", tmp_path / PUBLISHED["eurosat"].folder)
    assert split_of("eurosat", tmp_path) == "published"
    write_tree("fgvc-aircraft", tmp_path)
    assert split_of("fgvc-aircraft", tmp_path) == "official"
    assert split_of("dtd", tmp_path) == ""
