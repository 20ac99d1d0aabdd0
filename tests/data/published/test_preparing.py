"""What prepare gets, arranges and leaves, against a local server; and what check says of it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.published.trees import TREES, touch, write_split_file, write_tree
from vlprompt.data.published.loading import load_published
from vlprompt.data.published.preparing import how_to_get, prepare
from vlprompt.data.published.published_set import Counts, PublishedSet, Source
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.data.published.state import check, glance
from vlprompt.errors import DataError


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def zipped(folder: Path, top: str) -> bytes:
    """A folder as a zip archive, in which it is called `top`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}/{path.relative_to(folder).as_posix()}".lstrip("/"))
    return content.getvalue()


def tarred(folder: Path, top: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, top)
    return content.getvalue()


@pytest.fixture
def pets(server, tmp_path) -> PublishedSet:
    """OxfordPets on the local server, with its true archives' layout and another number of pictures."""
    folder = write_tree("oxford-pets", tmp_path / "origin")
    split = (write_split_file("oxford-pets", tmp_path / "split"), tmp_path / "split" / "split_zhou_OxfordPets.json")[1]
    declared = PUBLISHED["oxford-pets"]
    images, annotations = declared.pictures[0], declared.annotations[0]
    served = {
        "/images.tar.gz": tarred(folder / "images", "images"),
        "/annotations.tar.gz": tarred(folder / "annotations", "annotations"),
        "/split": split.read_bytes(),
    }
    server.files |= served

    def here(source: Source, path: str, **more: str) -> Source:
        return replace(source, url=server.address + path, checksum=sha256(served[path]), **more)

    return replace(
        declared,
        pictures=(here(images, "/images.tar.gz"),),
        annotations=(here(annotations, "/annotations.tar.gz"),),
        split=replace(declared.split, url=server.address + "/split"),
        counts=Counts(37, 4 * 37, 37, 2 * 37),
    )


def without_split(server) -> None:
    del server.files["/split"]


def test_what_comes_is_arranged_as_published_and_is_ready(pets, server, tmp_path) -> None:
    without_split(server)
    prepared = prepare(pets, tmp_path)
    assert set(prepared.got) == {"annotations/", "images/"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = load_published(pets, tmp_path)
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [148, 37, 74]
    assert sorted(path.name for path in prepared.folder.iterdir()) == ["annotations", "images"]


def test_the_split_file_comes_first_and_makes_annotations_unneeded(pets, server, tmp_path) -> None:
    prepared = prepare(pets, tmp_path)
    assert prepared.got == ("split_zhou_OxfordPets.json", "images/")
    assert "/annotations.tar.gz" not in [path for path, _ in server.asked]


def test_what_is_ready_is_not_touched(pets, server, tmp_path) -> None:
    prepare(pets, tmp_path)
    asked = len(server.asked)
    assert prepare(pets, tmp_path).got == ()
    assert len(server.asked) == asked


def test_one_source_that_fails_does_not_keep_the_others_and_a_person_is_told_how(pets, server, tmp_path) -> None:
    without_split(server)
    prepared = prepare(pets, tmp_path)
    assert [source.places for source in prepared.by_hand] == [("split_zhou_OxfordPets.json",)]
    assert "404" in prepared.failed[0]
    said = how_to_get(prepared.by_hand[0], prepared.folder)
    assert said.startswith(f"Put split_zhou_OxfordPets.json into {tmp_path / 'oxford_pets'}: https://drive.google.com/")


def test_a_download_that_stopped_goes_on_with_the_next_call(pets, server, tmp_path) -> None:
    part = tmp_path / "oxford_pets" / ".downloads" / "images.tar.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files["/images.tar.gz"][:500])
    prepare(pets, tmp_path)
    assert ("/images.tar.gz", "bytes=500-") in server.asked
    assert not part.parent.exists()


def test_an_archive_that_a_person_put_there_is_taken_and_kept(pets, server, tmp_path) -> None:
    folder = tmp_path / "oxford_pets"
    folder.mkdir()
    (folder / "images.tar.gz").write_bytes(server.files.pop("/images.tar.gz"))
    assert "images/" in prepare(pets, tmp_path).got
    assert (folder / "images.tar.gz").is_file()


def test_such_an_archive_with_another_checksum_is_refused(pets, tmp_path) -> None:
    folder = tmp_path / "oxford_pets"
    folder.mkdir()
    (folder / "images.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"images.tar.gz has the checksum sha256:.*; it must be sha256:"):
        prepare(pets, tmp_path)


def test_an_archive_without_what_it_must_have_is_refused_and_nothing_is_left_half(pets, server, tmp_path) -> None:
    content = tarred(tmp_path / "origin", "others")
    server.files["/images.tar.gz"] = content
    changed = replace(pets, pictures=(replace(pets.pictures[0], checksum=sha256(content)),))
    with pytest.raises(DataError, match=r"images.tar.gz has no images; it holds others"):
        prepare(changed, tmp_path)
    assert not (tmp_path / "oxford_pets" / "images").exists()
    assert [p.name for p in (tmp_path / "oxford_pets" / ".downloads").iterdir()] == ["images.tar.gz"]


def test_an_archive_within_an_archive_is_unpacked(server, tmp_path) -> None:
    folder = write_tree("caltech101", tmp_path / "origin")
    (tmp_path / "zip" / "caltech-101").mkdir(parents=True)
    inner = tmp_path / "zip" / "caltech-101" / "101_ObjectCategories.tar.gz"
    inner.write_bytes(tarred(folder / "101_ObjectCategories", "101_ObjectCategories"))
    content = server.files["/caltech-101.zip"] = zipped(tmp_path / "zip", "")
    declared = PUBLISHED["caltech101"]
    picture = replace(declared.pictures[0], url=f"{server.address}/caltech-101.zip", checksum=sha256(content))
    changed = replace(declared, pictures=(picture,), split=replace(declared.split, url=f"{server.address}/none"))
    assert prepare(changed, tmp_path).got == ("101_ObjectCategories/",)
    assert glance(changed, tmp_path).status == "ready"


def test_what_only_a_person_can_get_says_exactly_what_to_put_where(tmp_path) -> None:
    cars = PUBLISHED["stanford-cars"]
    said = [how_to_get(source, tmp_path) for source in (*cars.annotations, *cars.pictures)]
    assert said[0].startswith(f"Put devkit into {tmp_path}, or car_devkit.tgz itself, and run the same command again.")
    assert all("Kaggle" in sentence for sentence in said)
    assert "ILSVRC2012_img_train.tar" in how_to_get(PUBLISHED["imagenet"].pictures[0], tmp_path)


def test_cars_are_unpacked_from_archives_that_a_person_put_there(server, tmp_path) -> None:
    origin, folder = write_tree("stanford-cars", tmp_path / "origin"), tmp_path / "stanford_cars"
    folder.mkdir()
    for name, place in (("cars_train", "cars_train"), ("cars_test", "cars_test"), ("car_devkit", "devkit")):
        (folder / f"{name}.tgz").write_bytes(tarred(origin / place, place))
    (folder / "cars_test_annos_withlabels.mat").write_bytes((origin / "cars_test_annos_withlabels.mat").read_bytes())
    declared = PUBLISHED["stanford-cars"]
    prepare(replace(declared, split=replace(declared.split, url=f"{server.address}/none")), tmp_path)
    assert check(declared, tmp_path).status == "ready"


@pytest.mark.parametrize("name", TREES)
def test_every_data_set_is_checked_as_ready_with_counts_and_bytes(name, tmp_path) -> None:
    folder = write_tree(name, tmp_path)
    (folder / "notes.bin").write_bytes(bytes(1000))
    state = check(PUBLISHED[name], tmp_path)
    assert state.status == "ready", state.problem
    assert state.here.classes == PUBLISHED[name].counts.classes
    assert state.size >= 1000
    assert any("published are" in difference for difference in state.differences)


def test_the_state_says_whose_the_split_is(tmp_path) -> None:
    write_tree("dtd", tmp_path / "own")
    write_split_file("dtd", tmp_path / "published" / "dtd")
    write_tree("fgvc-aircraft", tmp_path / "own")
    assert glance(PUBLISHED["dtd"], tmp_path / "own").split == "drawn here"
    assert glance(PUBLISHED["dtd"], tmp_path / "published").split == "published"
    assert glance(PUBLISHED["fgvc-aircraft"], tmp_path / "own").split == "official"


def test_states_of_half_and_of_nothing(tmp_path) -> None:
    pets = PUBLISHED["oxford-pets"]
    assert glance(pets, tmp_path).status == "not there"
    (tmp_path / "oxford_pets").mkdir()
    assert glance(pets, tmp_path).status == "not there"
    touch(tmp_path / "oxford_pets" / "images", "1.jpg")
    assert (glance(pets, tmp_path).status, check(pets, tmp_path).status) == ("incomplete", "incomplete")
    assert "lacks annotations/" in glance(pets, tmp_path).problem


def test_missing_pictures_make_it_incomplete_with_their_number(tmp_path) -> None:
    folder = tmp_path / "dtd"
    content = write_split_file("dtd", folder)
    (folder / "images" / content["test"][0][0]).unlink()
    state = check(PUBLISHED["dtd"], tmp_path)
    assert state.status == "incomplete"
    assert "1 of the 188 images" in state.problem


def test_links_in_a_circle_are_counted_once(tmp_path) -> None:
    folder = write_tree("dtd", tmp_path)
    (folder / "images" / "look_aaa" / "0000.jpg").write_bytes(bytes(500))
    (folder / "circle").symlink_to(folder)
    assert check(PUBLISHED["dtd"], tmp_path).size == 500
