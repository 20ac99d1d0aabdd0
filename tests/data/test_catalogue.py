"""The one door: which kind of source is meant, and what is said when none is."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from vlprompt.data.catalogue import DATASETS, load_dataset
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, SettingsError, UnknownNameError


@pytest.fixture
def drawings(monkeypatch):
    """A stand-in for the bundled drawings that says what was asked of it."""
    asked = []

    def load_emoji(name: str, domain: str) -> Dataset:
        asked.append((name, domain))
        return Dataset(name, (Sample(Path("a.png"), 0, "owl"), Sample(Path("b.png"), 1, "fox")), template="a {}.")

    bundled = types.ModuleType("vlprompt.data.emoji")
    bundled.load_emoji = load_emoji
    monkeypatch.setitem(sys.modules, "vlprompt.data.emoji", bundled)
    return asked


def test_a_bundled_name_loads_the_drawings_of_a_domain(drawings) -> None:
    assert load_dataset("emoji-food").name == "emoji-food"
    assert load_dataset("emoji-animals", domain="3d", name="zoo", template="{}!").name == "zoo"
    assert drawings == [("emoji-food", "flat"), ("emoji-animals", "3d")]


def test_a_folder_called_like_a_bundled_data_set_is_meant_by_its_path(drawings, write_folder, monkeypatch) -> None:
    folder = write_folder("emoji-food", pie=2, tea=2)
    monkeypatch.chdir(folder.parent)
    for source in ("./emoji-food", Path("emoji-food"), folder):
        assert load_dataset(source).class_names == ["pie", "tea"]
    assert drawings == []


def test_a_bundled_data_set_takes_no_class_words(drawings) -> None:
    with pytest.raises(SettingsError, match=r"class_words is .* but emoji-food does not take it"):
        load_dataset("emoji-food", class_words={"pie": "cake"})


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no data set or folder named 'emoji-fod'; did you mean emoji-food"):
        load_dataset("emoji-fod")


@pytest.mark.parametrize(
    "source", ["nowhere/at/all", "gone.csv", Path("nowhere"), "~/nowhere at all", "~nosuchuser/x", "long/" + 300 * "x"]
)
def test_a_path_that_does_not_exist_is_named(source, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"there is no folder or file {source}"):
        load_dataset(source)


def test_an_image_root_of_a_user_that_does_not_exist_is_named(tmp_path) -> None:
    (tmp_path / "m.csv").write_text("path,label\na.png,cat\n")
    with pytest.raises(DataError, match=r"image_root is ~nosuchuser/x, which is no folder"):
        load_dataset(tmp_path / "m.csv", image_root="~nosuchuser/x")


def test_only_bundled_data_sets_have_domains(write_folder) -> None:
    with pytest.raises(SettingsError, match=r"domain is '3d', but .*pets is not bundled"):
        load_dataset(write_folder("pets", cat=1, dog=1), domain="3d")


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_a_template_needs_one_place_for_the_name(write_folder, template) -> None:
    with pytest.raises(SettingsError, match=r"it must have {} once, where the class name goes"):
        load_dataset(write_folder("pets", cat=1, dog=1), template=template)


def test_a_single_class_can_be_allowed(write_folder) -> None:
    assert load_dataset(write_folder("pets", cat=3), minimum_classes=1).class_names == ["cat"]


def test_the_names_of_the_bundled_data_sets_are_those_of_the_drawings() -> None:
    emoji = pytest.importorskip("vlprompt.data.emoji")
    assert sorted(emoji.EMOJI_DATASETS) == sorted(DATASETS)


def test_listing_and_opening_images_needs_no_torch(write_folder) -> None:
    folder = write_folder("pets", cat=4, dog=4)
    code = (
        "import sys; from vlprompt.data.catalogue import load_dataset; from vlprompt.data.images import open_image; "
        "import vlprompt.data.in_memory, vlprompt.data.torchvision_sets, vlprompt.data.exporting; "
        f"open_image(load_dataset({str(folder)!r}).train[0].image); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision', 'open_clip', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("source", ["", " "])
def test_nothing_is_no_data_set_and_not_the_current_folder(write_folder, monkeypatch, source) -> None:
    monkeypatch.chdir(write_folder("pets", cat=1, dog=1))
    with pytest.raises(DataError, match=r"the data are ' ?', which names nothing"):
        load_dataset(source)
