"""What installed packages offer: a small one, made in a folder on the path, with its metadata beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import vlprompt
from tests.cli.pictures import QUICK, write_pictures
from tests.cli.refusals import assert_refused
from vlprompt.backbones import list_backbones, load_backbone
from vlprompt.data.catalogue import load_dataset
from vlprompt.errors import SettingsError, SettingsWarning, UnknownNameError
from vlprompt.experiments.plan import Plan, Run, load_datasets, runs_of
from vlprompt.experiments.records import BackboneFacts
from vlprompt.methods import method_class
from vlprompt.methods.coop import CoOp
from vlprompt.protocols import BASE_TO_NEW

__all__ = ["vlprompt"]

CODE = '''
from dataclasses import dataclass
import numpy as np
from vlprompt import Dataset, Sample
from vlprompt.methods.coop import CoOp
from vlprompt.methods.prompt_learner import PromptOptions


@dataclass(frozen=True)
class Options(PromptOptions):
    """Options.

    Attributes:
        calm: of nothing at all.
    """

    calm: float = 1.0


class Offered(CoOp):
    name = "offered"
    options_class = Options


class NoMethod:
    pass


def colours():
    def sample(label):
        return Sample(np.full((40, 40, 3), 60 * label + 30, np.uint8), label, "abc"[label])
    return Dataset("colours", tuple(map(sample, range(3))), test=tuple(map(sample, range(3))))


def no_dataset():
    return 3


def twice_mini(device, precision):
    from vlprompt.backbones import load_backbone
    return load_backbone("mini", device=str(device), precision=precision)


def no_backbone(device, precision):
    return None
'''
ENTRIES = """
[vlprompt.methods]
offered = extra_of_vlprompt:Offered
coop = extra_of_vlprompt:Offered
broken = extra_of_vlprompt_gone:Offered
lacking = extra_of_vlprompt:Missing
odd = extra_of_vlprompt:NoMethod

[vlprompt.datasets]
colours = extra_of_vlprompt:colours
emoji-food = extra_of_vlprompt:colours
no-dataset = extra_of_vlprompt:no_dataset

[vlprompt.backbones]
twice-mini = extra_of_vlprompt:twice_mini
mini = extra_of_vlprompt:no_backbone
no-backbone = extra_of_vlprompt:no_backbone
"""


def install(place: Path, package: str, entries: str, code: str | None = None) -> None:
    """A package of one module, as an installer would leave it."""
    metadata = place / f"{package}-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(entries)
    if code is not None:
        (place / f"{package}.py").write_text(code)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages on the path."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    yield place
    for name in ("extra_of_vlprompt", "second_of_vlprompt"):
        sys.modules.pop(name, None)


@pytest.fixture
def extra(site) -> Path:
    install(site, "extra_of_vlprompt", ENTRIES, CODE)
    return site


def test_a_method_of_a_package_is_fitted_and_predicted_with_by_its_name(vlprompt, extra, tmp_path) -> None:
    write_pictures(tmp_path / "pictures")
    ours = ("--method", "offered", *QUICK[2:])
    fitted = vlprompt("fit", "pictures", "--out", "model", *ours, "--calm", "0.5")
    assert fitted.code == 0, fitted.err
    assert json.loads((tmp_path / "model/model.json").read_text())["options"]["calm"] == 0.5
    assert vlprompt("predict", "model", "pictures").out.count("\n") == 9
    assert "of nothing at all" in vlprompt("fit", "--method", "offered", "--help").out


@pytest.mark.slow
def test_all_that_a_package_offers_takes_part_in_a_benchmark(vlprompt, extra) -> None:
    what = ("--methods", "zero-shot,offered", "--shots", "1", "--seeds", "1", "--out", "runs", *QUICK[4:])
    ran = vlprompt("benchmark", "base-to-new", "colours", *what, "--backbone", "twice-mini", "--workers", "2")
    assert ran.code == 0, ran.err
    told = vlprompt("report", "runs", "--format", "csv").out
    assert all(name in told for name in ("offered", "colours", "twice-mini"))


def test_results_of_another_version_of_the_package_do_not_count(extra) -> None:
    def run() -> Run:
        plan = Plan(BASE_TO_NEW, datasets=("colours",), methods=("offered",), shots=(1,), seeds=(1,))
        return runs_of(plan, load_datasets(plan), BackboneFacts("tiny", "0", "fp32", "cpu"))[0]

    before = run()
    assert run().settings_hash == before.settings_hash
    metadata = extra / "extra_of_vlprompt-1.2.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("1.2", "1.3"))
    assert run().settings_hash != before.settings_hash


def test_a_model_of_a_package_that_is_gone_says_so(vlprompt, extra, tmp_path) -> None:
    write_pictures(tmp_path / "pictures")
    assert vlprompt("fit", "pictures", "--out", "model", "--method", "offered", *QUICK[2:]).code == 0
    (extra / "extra_of_vlprompt-1.2.dist-info/entry_points.txt").write_text("")
    refused = vlprompt("predict", "model", "pictures")
    assert_refused(refused, "the method 'offered', which neither vlprompt nor an installed package has")


def test_a_data_set_of_a_package_is_loaded_by_its_name_unless_a_folder_is_called_so(
    extra, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load_dataset("colours").name, load_dataset("mine=colours").name) == ("colours", "mine")
    assert load_dataset("colours").class_names == ["a", "b", "c"]
    write_pictures(tmp_path / "colours")
    assert load_dataset("colours").class_names == ["blue", "green", "red"]


def test_a_backbone_of_a_package_is_loaded_by_its_name(extra) -> None:
    backbone = load_backbone("twice-mini", device="cpu")
    assert backbone.name == "twice-mini"
    assert backbone.fingerprint == load_backbone("mini", device="cpu").fingerprint


def test_a_name_of_ours_is_never_replaced(extra) -> None:
    assert method_class("coop") is CoOp
    assert load_dataset("emoji-food").bundled == "emoji-food/flat"
    assert load_backbone("mini", device="cpu").name == "mini"


@pytest.mark.parametrize(
    ("what", "name", "of_ours"),
    [("methods", "offered", "coop"), ("datasets", "colours", "emoji-food"), ("backbones", "twice-mini", "mini")],
)
def test_a_list_has_every_name_with_its_package_and_imports_none(vlprompt, extra, what, name, of_ours) -> None:
    (extra / "extra_of_vlprompt.py").write_text("raise SystemExit('imported')")
    rows = [(row["name"], row.get("about")) for row in json.loads(vlprompt("list", what, "--json").out)]
    assert (name, "of the installed package extra_of_vlprompt 1.2") in rows
    (told,) = [about for row, about in rows if row == of_ours and "not used" in str(about)]
    assert "because vlprompt has a" in told
    assert name in vlprompt("list", what).out
    assert "extra_of_vlprompt" not in sys.modules


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda: method_class("broken"),
            r"method broken of the installed package extra_of_vlprompt 1\.2 cannot be loaded",
        ),
        (lambda: method_class("lacking"), "cannot be loaded from extra_of_vlprompt:Missing"),
        (lambda: method_class("odd"), r"package extra_of_vlprompt 1\.2 has no class NoMethod that derives from"),
        (lambda: load_dataset("no-dataset"), r"no-dataset of the installed package extra_of_vlprompt 1\.2 is a int"),
        (
            lambda: load_backbone("no-backbone", device="cpu"),
            "extra_of_vlprompt 1.2 is a NoneType and no vlprompt.back",
        ),
    ],
)
def test_an_offer_that_cannot_be_used_is_refused_with_its_package(extra, ask, says) -> None:
    with pytest.raises(SettingsError, match=says):
        ask()


def test_a_broken_offer_is_one_sentence_for_who_asks_and_nothing_for_others(vlprompt, extra, tmp_path) -> None:
    write_pictures(tmp_path / "pictures")
    assert_refused(vlprompt("fit", "pictures", "--out", "model", "--method", "broken"), "extra_of_vlprompt_gone")
    assert vlprompt("fit", "pictures", "--out", "model", *QUICK).code == 0


def test_entry_points_that_cannot_be_read_stop_nobody_and_are_told_where_they_are_meant_for_us(extra) -> None:
    install(extra, "second_of_vlprompt", "[vlprompt.methods]\nno line of any sense\n")
    install(extra, "third", "[console_scripts]\nno line of any sense\n")
    with pytest.warns(SettingsWarning) as told:
        assert method_class("offered").name == "offered"
    assert [str(one.message)[:66] for one in told] == [
        "the entry points of the installed package second_of_vlprompt 1.2 ca"[:66]
    ]


def test_two_packages_with_one_name_are_named_both(vlprompt, extra) -> None:
    install(extra, "second_of_vlprompt", "[vlprompt.methods]\noffered = second_of_vlprompt:Offered\n", CODE)
    with pytest.raises(SettingsError, match=r"packages extra_of_vlprompt 1\.2 and second_of_vlprompt 1\.2; uninstall"):
        method_class("offered")
    rows = json.loads(vlprompt("list", "methods", "--json").out)
    assert sum("another package offers this name, too" in row["about"] for row in rows if row["name"] == "offered") == 2


def test_an_unknown_name_is_told_what_is_near_among_the_offers_too(extra) -> None:
    with pytest.raises(UnknownNameError, match="did you mean offered"):
        method_class("oferred")
    with pytest.raises(UnknownNameError, match="did you mean colours"):
        load_dataset("colors")
    with pytest.raises(UnknownNameError, match="did you mean twice-mini"):
        load_backbone("twice-mimi", device="cpu")
    assert "twice-mini" not in list_backbones()
