"""An exported data set is the same benchmark, and a folder that was changed afterwards says so."""

from __future__ import annotations

import json
import shutil
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.export_split import SPLIT_FILE, ChangedExportWarning
from vlprompt.data.exporting import export_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.images import open_image
from vlprompt.data.samples import Dataset, Sample
from vlprompt.data.splits import keep_labels, select_half
from vlprompt.errors import DataError

NAMES = ("zebra", "AC/DC", "apple", "Mango")
"""In an order that sorting would change, one of them no name for a folder."""


def picture(label: int, place: int) -> np.ndarray:
    return np.full((4, 5, 3), 40 * label + place, np.uint8)


def made(names: tuple[str, ...] = NAMES, counts: tuple[int, int, int] = (5, 2, 3)) -> Dataset:
    parts = (
        tuple(Sample(picture(label, 10 * split + n), label, name) for label, name in enumerate(names) for n in range(k))
        for split, k in enumerate(counts)
    )
    return Dataset("signs", *parts, template="a drawing of a {}.", bundled="emoji-signs/flat")


def seen(samples: tuple[Sample, ...]) -> list[tuple[bytes, int, str]]:
    """Pixels, labels and names, in their order."""
    return [(open_image(sample.image).tobytes(), sample.label, sample.class_name) for sample in samples]


@pytest.fixture
def exported(tmp_path) -> Path:
    return export_dataset(made(), tmp_path / "signs-copy")


def loaded_quietly(folder: Path) -> Dataset:
    """Loaded, with any warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_dataset(folder)


def test_an_export_has_the_labels_names_template_and_order_of_what_was_exported(exported) -> None:
    again, dataset = loaded_quietly(exported), made()
    assert again.class_names == list(NAMES)
    assert (again.template, again.bundled) == (dataset.template, dataset.bundled)
    for split in ("train", "val", "test"):
        assert seen(getattr(again, split)) == seen(getattr(dataset, split))


@pytest.mark.parametrize("half", ["base", "new"])
def test_halves_of_an_export_are_those_of_what_was_exported(exported, half) -> None:
    again, dataset = select_half(load_dataset(exported), half), select_half(made(), half)
    assert again.class_names == dataset.class_names
    assert seen(again.test) == seen(dataset.test)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_few_shot_draws_from_an_export_are_those_from_what_was_exported(exported, seed) -> None:
    again, dataset = load_dataset(exported), made()
    drawn = [sample_few_shot(one.train, one.val, 2, seed) for one in (again, dataset)]
    assert [seen(part) for part in drawn[0]] == [seen(part) for part in drawn[1]]


def test_a_bundled_data_set_survives_its_export(tmp_path) -> None:
    food = load_dataset("emoji-food")
    few = {name: keep_labels(getattr(food, name), [40, 3, 17, 8])[::3] for name in ("train", "val", "test")}
    small = replace(food, **few)
    again = loaded_quietly(export_dataset(small, tmp_path / "food"))
    assert again.bundled == "emoji-food/flat"
    for split in few:
        assert seen(getattr(again, split)) == seen(few[split])


@settings(max_examples=15, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=14).filter(lambda found: len(set(found)) == 4),
    names=st.lists(st.text(min_size=1, max_size=6).filter(lambda n: n.isprintable() and n.strip(" _.'’")), min_size=4,
                   max_size=4, unique_by=lambda name: "".join(filter(str.isalnum, name)).casefold() or name),
)  # fmt: skip
def test_whatever_order_and_names_classes_have_is_kept(tmp_path_factory, labels, names) -> None:
    names = [f"{name.strip()} {letter}" for name, letter in zip(names, "qwxy", strict=True)]
    train = tuple(Sample(picture(label, n), label, names[label]) for n, label in enumerate(labels))
    test = tuple(Sample(picture(label, 20 + label), label, names[label]) for label in range(4))
    folder = export_dataset(Dataset("any", train, (), test), tmp_path_factory.mktemp("export") / "copy")
    again = loaded_quietly(folder)
    assert seen(again.train) == seen(train)
    assert again.class_names == [unicodedata.normalize("NFC", name) for name in names] or again.class_names == names


def test_class_folders_without_splits_keep_their_order_too(tmp_path) -> None:
    folder = export_dataset(replace(made(), val=(), test=()), tmp_path / "loose")
    assert load_dataset(folder, random_splits=False).class_names == list(NAMES)
    assert load_dataset(folder).test


def test_words_for_an_exported_class_may_name_its_folder(exported) -> None:
    assert load_dataset(exported, class_words={"AC-DC": "a rock band"}) == load_dataset(
        exported, class_words={"AC/DC": "a rock band"}
    )


def test_removed_pictures_are_left_out_and_said(exported) -> None:
    (exported / "train/apple/0002.png").unlink()
    with pytest.warns(ChangedExportWarning, match=r"exported from signs: pictures gone: 1 \('train/apple/0002.png'\)"):
        again = load_dataset(exported)
    assert again.class_names == list(NAMES)
    assert seen(again.train) == [entry for entry in seen(made().train) if entry[0] != picture(2, 1).tobytes()]
    assert again.bundled == ""


def test_added_pictures_come_behind_and_are_said(exported) -> None:
    shutil.copy(exported / "train/zebra/0001.png", exported / "train/apple/0000.png")
    with pytest.warns(ChangedExportWarning, match=r"new pictures: 1 \('train/apple/0000.png'\)"):
        again = load_dataset(exported)
    assert seen(again.train)[:-1] == seen(made().train)
    assert again.train[-1].class_name == "apple"


def test_an_added_class_comes_behind_the_others_and_is_said(exported) -> None:
    shutil.copytree(exported / "train/apple", exported / "train/aardvark")
    with pytest.warns(ChangedExportWarning, match=r"new classes: 1 \('aardvark'\)"):
        assert load_dataset(exported).class_names == [*NAMES, "aardvark"]


def test_a_removed_class_is_gone_and_said(exported) -> None:
    for split in ("train", "val", "test"):
        shutil.rmtree(exported / split / "AC-DC")
    with pytest.warns(ChangedExportWarning, match=r"classes without pictures: 1 \('AC/DC'\)"):
        assert load_dataset(exported).class_names == ["zebra", "apple", "Mango"]


def test_a_picture_moved_to_another_split_is_where_its_folder_says(exported) -> None:
    shutil.move(exported / "test/apple/0001.png", exported / "train/apple/0009.png")
    with pytest.warns(ChangedExportWarning, match=r"new pictures.*pictures gone"):
        again = load_dataset(exported)
    assert (len(again.train), len(again.test)) == (21, 11)


def test_a_folder_with_the_name_of_another_folders_class_is_refused(tmp_path) -> None:
    folder = export_dataset(made(("a", "b?", "c")), tmp_path / "odd")
    shutil.copytree(folder / "train/a", folder / "train/b?")
    with pytest.raises(DataError, match=r"new folder 'b\?'"):
        load_dataset(folder)


def test_names_in_another_normal_form_are_the_same_pictures(tmp_path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    folder = export_dataset(made((composed, "ball", "awl")), tmp_path / "mac")
    for split in ("train", "val", "test"):
        (folder / split / composed).rename(folder / split / apart)
    assert loaded_quietly(folder).class_names == [composed, "ball", "awl"]


def test_without_its_split_file_an_export_is_a_folder_like_any_other(exported) -> None:
    (exported / SPLIT_FILE).unlink()
    assert loaded_quietly(exported).class_names == ["AC-DC", "Mango", "apple", "zebra"]


@pytest.mark.parametrize("content", ['{"train": [], "test": []}', "[1, 2]", '"vlprompt"'])
def test_a_split_file_of_others_is_passed_over(exported, content) -> None:
    (exported / SPLIT_FILE).write_text(content)
    assert loaded_quietly(exported).class_names == ["AC-DC", "Mango", "apple", "zebra"]


def damage(content: dict, place: str) -> dict:
    return content | {
        "version": {"vlprompt": content["vlprompt"] | {"version": 9}},
        "template": {"vlprompt": content["vlprompt"] | {"template": "a photo"}},
        "facts": {"vlprompt": 3},
        "no list": {"val": {}},
        "no item": {"val": [["val/zebra/0001.png", "0", "zebra"]]},
        "other split": {"val": content["train"]},
        "outside": {"val": [["../../etc/passwd", 0, "zebra"]]},
        "two names": {"val": [["val/zebra/0001.png", 0, "horse"]]},
        "two labels": {"val": [["val/zebra/0001.png", 7, "zebra"]]},
        "empty name": {"val": [["val/zebra/0001.png", 0, " "]]},
    }[place]  # fmt: skip


@pytest.mark.parametrize(
    "place",
    [
        "version",
        "template",
        "facts",
        "no list",
        "no item",
        "other split",
        "outside",
        "two names",
        "two labels",
        "empty name",
    ],
)
def test_a_split_file_that_somebody_damaged_is_named_with_what_to_do(exported, place) -> None:
    path = exported / SPLIT_FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()), place)))
    with pytest.raises(DataError, match=r"split\.json was changed: .*remove it") as refusal:
        load_dataset(exported)
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ['{"vlprompt": ', "[" * 100_000, '{"vlprompt": ' + "9" * 5000 + "}", "\udcff"])
def test_a_split_file_that_is_no_json_is_named(exported, content) -> None:
    (exported / SPLIT_FILE).write_text(content, errors="surrogateescape")
    with pytest.raises(DataError, match=r"split\.json"):
        load_dataset(exported)
