"""What the fingerprint of a data set follows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.emoji.scenes import Scene
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.samples import Sample


def test_it_stays_when_the_folder_moves(write_folder, tmp_path) -> None:
    folder = write_folder("here/pets", cat=2, dog=2)
    moved = Path(shutil.copytree(folder, tmp_path / "there" / "animals"))
    first, second = (load_dataset(place, random_splits=False).train for place in (folder, moved))
    assert dataset_fingerprint(first) == dataset_fingerprint(second)
    assert len(dataset_fingerprint(first)) == 40


def test_it_follows_images_labels_names_and_order(write_folder) -> None:
    samples = load_dataset(write_folder("pets", cat=2, dog=2), random_splits=False).train
    first = samples[0]
    (first.image.parent / "more.png").write_bytes(first.image.read_bytes() + b"more")
    others = [
        samples[1:],
        samples[::-1],
        (replace(first, label=1), *samples[1:]),
        (replace(first, class_name="lion"), *samples[1:]),
        (replace(first, image=first.image.parent / "more.png"), *samples[1:]),
    ]
    assert len({dataset_fingerprint(each) for each in (samples, *others)}) == 6


def test_it_follows_the_words_of_classes(write_folder) -> None:
    samples = load_dataset(write_folder("pets", cat=2, dog=2), random_splits=False).train
    words = [{}, {"cat": "kitten"}, {"cat": "tomcat"}, {"dog": "kitten"}]
    assert len({dataset_fingerprint(samples, each) for each in words}) == 4
    assert dataset_fingerprint(samples) == dataset_fingerprint(samples, {})


def test_it_follows_the_bytes_of_a_file_whose_size_stays(write_folder) -> None:
    samples = load_dataset(write_folder("pets", cat=2, dog=2), random_splits=False).train
    before = dataset_fingerprint(samples)
    content = bytearray(samples[0].image.read_bytes())
    content[-1] ^= 1
    samples[0].image.write_bytes(content)
    assert dataset_fingerprint(samples) != before


def test_scenes_are_not_composed_for_it(monkeypatch) -> None:
    monkeypatch.setattr(Scene, "open", lambda self: pytest.fail("a scene was composed"))
    assert len(dataset_fingerprint(load_dataset("emoji-food").test)) == 40


def test_images_in_memory_stand_by_their_pixels() -> None:
    black, white = (Sample(np.full((2, 2, 3), value, np.uint8), 0, "any") for value in (0, 255))
    assert dataset_fingerprint([black]) == dataset_fingerprint([black]) != dataset_fingerprint([white])


def test_missing_files_do_not_stop_it() -> None:
    assert dataset_fingerprint([Sample(Path("gone.png"), 0, "any")]) != dataset_fingerprint([])
