"""The data command, and published data sets wherever a command takes data."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from dataclasses import replace

import pytest
from PIL import Image

from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_refused
from tests.data.published.trees import write_split_file, write_tree
from vlprompt.data.published.published_set import Counts
from vlprompt.data.published.sets import PUBLISHED


@pytest.fixture(autouse=True)
def no_data_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.setenv("VLPROMPT_DATA", str(tmp_path / "data"))


@pytest.fixture
def offline(monkeypatch):
    import socket

    def unknown(*_: object, **__: object):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def small_pets(monkeypatch, tmp_path):
    """OxfordPets with three classes, pictures that open and a published split file, in the default root."""
    folder = tmp_path / "data" / "oxford_pets"
    declared = replace(PUBLISHED["oxford-pets"], counts=Counts(3, 6, 3, 3))
    monkeypatch.setitem(PUBLISHED, "oxford-pets", declared)
    content = write_split_file("oxford-pets", folder)
    for items in content.values():
        for path, label, _ in items:
            Image.new("RGB", (8, 8), ("red", "green", "blue")[label]).save(folder / "images" / path)
    return folder


def test_list_has_every_published_data_set_with_its_state(vlprompt, tmp_path) -> None:
    write_tree("eurosat", tmp_path / "data")
    outcome = vlprompt("data", "list")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in outcome.out.splitlines()}
    assert list(rows) == list(PUBLISHED)
    assert rows["eurosat"][:5] == ["ready", "10", "13,500", "5,400", "8,100"]
    assert rows["dtd"][0] == "not there"
    assert str(tmp_path / "data") in outcome.err


def test_list_datasets_has_them_beside_the_bundled_ones(vlprompt, tmp_path) -> None:
    write_tree("eurosat", tmp_path / "data")
    listed = {entry["name"]: entry["about"] for entry in json.loads(vlprompt("list", "datasets", "--json").out)}
    assert set(PUBLISHED) < set(listed)
    assert listed["eurosat"] == "10 classes; 13,500 training and 8,100 test pictures; ready"


def test_check_tells_ready_incomplete_and_not_there_with_sizes(vlprompt, tmp_path, small_pets) -> None:
    (tmp_path / "data" / "ucf101" / "UCF-101-midframes" / "Archery").mkdir(parents=True)
    write_tree("eurosat", tmp_path / "data")
    states = json.loads(vlprompt("data", "check", "--json").out)
    said = {state["name"]: state for state in states}
    assert list(said) == list(PUBLISHED)
    assert said["oxford-pets"]["status"] == "ready"
    assert said["oxford-pets"]["here"] == {"classes": 3, "train": 6, "val": 3, "test": 3}
    assert said["oxford-pets"]["differences"] == []
    assert said["oxford-pets"]["size"] > 1000
    assert said["ucf101"]["status"] == "incomplete"
    assert "ucfTrainTestlist/classInd.txt" in said["ucf101"]["problem"]
    assert said["dtd"]["status"] == "not there"
    assert "50 training pictures, published are 13,500" in said["eurosat"]["differences"][0]


def test_check_of_one_is_a_line(vlprompt, small_pets) -> None:
    outcome = vlprompt("data", "check", "oxford-pets")
    assert outcome.code == 0
    assert outcome.out.startswith("oxford-pets\tready\t6\t3\t3\t0.0\tpublished split\n")


def test_another_root_is_named_by_the_option(vlprompt, tmp_path) -> None:
    write_tree("eurosat", tmp_path / "other")
    assert "\tready\t" in vlprompt("data", "check", "eurosat", "--root", tmp_path / "other").out
    assert "\tnot there\t" in vlprompt("data", "check", "eurosat").out


@pytest.mark.parametrize("action", ["check", "prepare"])
def test_an_unknown_name_is_refused_with_a_near_one(vlprompt, action) -> None:
    assert_refused(vlprompt("data", action, "imagenet-s"), "no published data set named 'imagenet-s'", "did you mean")


def test_prepare_without_a_network_says_what_to_put_where(vlprompt, tmp_path, offline) -> None:
    outcome = vlprompt("data", "prepare", "eurosat", "--no-progress")
    assert outcome.code == 2
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert sum("there is no network" in line for line in lines) == 1
    assert sum(line.startswith("Put ") for line in lines) == 2
    put = f"Put 2750 into {tmp_path / 'data' / 'eurosat'}, or EuroSAT.zip itself, and run the same command again"
    assert any(line.startswith(put) for line in lines)
    assert lines[-1] == "vlprompt: eurosat cannot be used yet; what is missing is said above."


def test_prepare_downloads_arranges_and_counts(vlprompt, tmp_path, server, monkeypatch) -> None:
    origin, content = write_tree("eurosat", tmp_path / "origin"), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(origin.rglob("*.jpg")):
            archive.write(path, path.relative_to(origin))
    server.files["/EuroSAT.zip"] = content.getvalue()
    checksum = f"sha256:{hashlib.sha256(content.getvalue()).hexdigest()}"
    declared = PUBLISHED["eurosat"]
    pictures = replace(declared.pictures[0], url=f"{server.address}/EuroSAT.zip", checksum=checksum)
    split = replace(declared.split, url=f"{server.address}/none")
    changed = replace(declared, pictures=(pictures,), split=split, counts=Counts(10, 50, 20, 30))
    monkeypatch.setitem(PUBLISHED, "eurosat", changed)
    outcome = vlprompt("data", "prepare", "eurosat")
    assert outcome.code == 0, outcome.err
    assert "licence: MIT; the Sentinel data are free and open." in outcome.err
    assert "10 classes, 50 training, 20 validation and 30 test pictures; 2750/ came." in outcome.err
    assert "Put split_zhou_EuroSAT.json into" in outcome.err
    assert "its split is drawn here" in outcome.err
    assert [path.name for path in (tmp_path / "data" / "eurosat").iterdir()] == ["2750"]


def test_an_interrupted_prepare_says_how_to_go_on(vlprompt, monkeypatch) -> None:
    from vlprompt.data.published import preparing

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "prepare", interrupted)
    outcome = vlprompt("data", "prepare", "dtd")
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "vlprompt: interrupted; the same command goes on where it stopped."


def test_two_data_sets_of_one_name_are_refused_with_the_way_to_name_one(vlprompt, tmp_path) -> None:
    for home in ("one", "two"):
        write_pictures(tmp_path / home / "photos")
    outcome = vlprompt(
        "benchmark", "base-to-new", "one/photos", "two/photos", "--methods", "zero-shot", "--out", "runs"
    )
    assert_refused(outcome, "two data sets are named photos", "as in mine=two/photos")


def test_prepare_of_what_is_here_counts_it(vlprompt, small_pets, offline) -> None:
    outcome = vlprompt("data", "prepare", "oxford-pets")
    assert outcome.code == 0
    assert "oxford-pets is ready in" in outcome.err
    assert "3 classes, 6 training, 3 validation and 3 test pictures." in outcome.err
    assert "warning" not in outcome.err


def test_prepare_warns_of_other_counts_with_both_numbers(vlprompt, tmp_path, small_pets, monkeypatch, offline) -> None:
    monkeypatch.setitem(PUBLISHED, "oxford-pets", replace(PUBLISHED["oxford-pets"], counts=Counts(3, 7, 3, 3)))
    outcome = vlprompt("data", "prepare", "oxford-pets")
    assert outcome.code == 0
    assert "vlprompt: warning: oxford-pets has 6 training pictures, published are 7." in outcome.err


def test_a_published_data_set_is_fitted_and_evaluated_by_its_name(vlprompt, small_pets) -> None:
    assert vlprompt("fit", "oxford-pets", "--out", "model", *QUICK).code == 0
    outcome = vlprompt("evaluate", "model", "oxford-pets", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["total"] == 3


def test_a_published_data_set_that_is_not_there_is_refused_by_every_command(vlprompt) -> None:
    assert_refused(vlprompt("fit", "dtd", "--out", "model", *QUICK), "dtd is not there", "vlprompt data prepare dtd")
    assert_refused(vlprompt("benchmark", "base-to-new", "dtd", "--out", "runs"), "dtd is not there")


def test_root_is_refused_where_no_published_data_set_is_asked_for(vlprompt, pictures, tmp_path) -> None:
    assert_refused(vlprompt("fit", "pictures", "--root", "data", "--out", "model", *QUICK), "root is data")


def test_a_benchmark_takes_published_and_named_data_with_a_root(vlprompt, small_pets, pictures, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = vlprompt(
            *("benchmark", "base-to-new", "pets=oxford-pets", "mine=pictures", "--root", tmp_path / "data"),
            *("--methods", "zero-shot", "--shots", "1", "--workers", "1", "--out", "runs", "--backbone", "tiny"),
        )
    assert outcome.code == 0, outcome.err
    assert "pets" in outcome.out
    assert "mine" in outcome.out


@pytest.mark.parametrize("arguments", [("fit", "data"), ("data", "chek"), ("data",), ("data", "check", "--rot", "x")])
def test_what_is_mistyped_is_one_sentence(vlprompt, arguments) -> None:
    assert_refused(vlprompt(*arguments))
