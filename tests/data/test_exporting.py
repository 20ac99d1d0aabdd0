"""A data set written as folders of PNGs, and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.exporting import export_dataset
from vlprompt.data.images import image_key, open_image
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import OutputError, UnreadableImageError


def pictures(*names: str, count: int = 2, start: int = 0) -> tuple[Sample, ...]:
    return tuple(
        Sample(np.full((4, 5, 3), start + 10 * label + place, np.uint8), label, name)
        for label, name in enumerate(names)
        for place in range(count)
    )


def content(samples: tuple[Sample, ...], words: Mapping[str, str] | None = None) -> set[tuple[str, str]]:
    """Pictures with what prompts call their classes."""
    words = words or {}
    return {
        (image_key(np.asarray(open_image(sample.image))), words.get(name := sample.class_name, name))
        for sample in samples
    }


def test_what_is_written_is_read_back_with_splits_pictures_and_names(tmp_path) -> None:
    names = ("AC/DC", "con: an odd name.", "..hidden", "plain", "Plain, 2")
    dataset = Dataset("bundled", pictures(*names), pictures(*names, start=100), pictures(*names, start=200))
    steps: list[tuple[int, int]] = []
    folder = export_dataset(dataset, tmp_path / "new" / "mine", progress=lambda *step: steps.append(step))
    again = load_dataset(folder)
    assert set(again.prompt_names) == set(names)
    for split in ("train", "val", "test"):
        assert content(getattr(again, split), again.class_words) == content(getattr(dataset, split))
    assert steps[-1] == (30, 30)
    assert os.listdir(tmp_path / "new") == ["mine"]


def test_pictures_are_numbered_png_files_in_class_folders(tmp_path) -> None:
    folder = export_dataset(Dataset("any", pictures("cat", "dog"), (), pictures("cat", "dog", count=1)), tmp_path / "x")
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert written == [
        "split.json",
        "test/cat/0001.png",
        "test/dog/0001.png",
        "train/cat/0001.png",
        "train/cat/0002.png",
        "train/dog/0001.png",
        "train/dog/0002.png",
    ]


def test_classes_of_the_same_name_stay_apart(tmp_path) -> None:
    names = ("crane", "crane 2", "a/c", "a/c", "crane")  # as two of ImageNet's
    folder = export_dataset(Dataset("any", pictures(*names)), tmp_path / "x")
    again = load_dataset(folder, random_splits=False)
    assert sorted(again.prompt_names) == ["a/c", "a/c 2", "crane", "crane 2", "crane 3"]
    apart = ("crane", "crane 2", "a/c", "a/c 2", "crane 3")
    assert content(again.train, again.class_words) == content(pictures(*apart))


def test_words_of_classes_are_written_beside_their_folders(tmp_path) -> None:
    dataset = Dataset("zoo", pictures("n01", "n02"), class_words={"n02": "giant panda"})
    again = load_dataset(export_dataset(dataset, tmp_path / "x"), random_splits=False)
    assert again.class_names == ["n01", "n02"]
    assert again.prompt_names == ["n01", "giant panda"]


def test_a_data_set_with_training_images_only_has_no_split_folders(tmp_path) -> None:
    folder = export_dataset(Dataset("any", pictures("cat", "dog")), tmp_path / "x")
    assert sorted(os.listdir(folder)) == ["cat", "dog", "split.json"]
    assert load_dataset(folder).class_names == ["cat", "dog"]


def test_an_empty_folder_is_filled_and_a_filled_one_is_left_alone(tmp_path) -> None:
    (tmp_path / "x").mkdir()
    export_dataset(Dataset("any", pictures("cat", "dog")), tmp_path / "x")
    with pytest.raises(OutputError, match=r"x exists and is not an empty folder"):
        export_dataset(Dataset("any", pictures("cat", "dog")), tmp_path / "x")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"cannot be written"):
        export_dataset(Dataset("any", pictures("cat", "dog")), tmp_path / "file" / "x")


def test_nothing_is_left_when_an_image_cannot_be_read(tmp_path) -> None:
    with pytest.raises(UnreadableImageError, match=r"gone.png"):
        export_dataset(Dataset("any", (*pictures("cat"), Sample(Path("gone.png"), 1, "dog"))), tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_a_link_to_nowhere_is_left_alone(tmp_path) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(OutputError, match="out exists and is not an empty folder"):
        export_dataset(load_dataset("emoji-food"), tmp_path / "out")
