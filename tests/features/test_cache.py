from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.features.small_encoder import SmallEncoder, random_pixels
from vlprompt.errors import OutputError
from vlprompt.features import CacheWarning, FeatureExtractor, cache_folder, cache_info, clear_cache


def fill(encoder: SmallEncoder, images: int = 3) -> None:
    extractor = FeatureExtractor(encoder)
    extractor.extract([random_pixels(seed) for seed in range(images)])
    extractor.views([random_pixels(seed) for seed in range(images)], 2, seed=1)


def test_the_default_folder_is_the_variables_or_else_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLPROMPT_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    assert cache_folder("elsewhere") == Path("elsewhere")
    monkeypatch.delenv("VLPROMPT_CACHE")
    assert cache_folder().name == "vlprompt"


def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker run -u 12345` has it: no HOME, and no entry in the password file."""
    for variable in ("HOME", "XDG_CACHE_HOME", "VLPROMPT_CACHE"):
        monkeypatch.delenv(variable, raising=False)

    def missing(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", missing)


def test_without_a_home_nothing_is_kept_and_one_warning_says_how_to_keep_it(
    encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_home(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(CacheWarning, match="set VLPROMPT_CACHE") as caught:
        fill(encoder)
    assert len(caught) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="set VLPROMPT_CACHE"):
        cache_info()
    assert FeatureExtractor(encoder, cache=tmp_path / "mine")._folder == tmp_path / "mine"


def test_features_of_an_older_layout_are_not_read_and_go_with_the_rest(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    (new,) = cache.iterdir()
    old = cache / "vlprompt-features-1"
    new.rename(old)
    assert cache_info().entries == ()
    assert cache_info().size_bytes > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(encoder)
    assert {entry.rows for entry in cache_info().entries} == {3, 6}
    assert clear_cache() > 0
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "about",
    ["[" * 100_000, '{"width": NaN}', "[]", '{"backbone": "b"}', "{}".join(["x"] * 9), f'"{"9" * 5000}"'],
)
def test_a_damaged_about_file_is_no_entry(encoder: SmallEncoder, cache: Path, about: str) -> None:
    fill(encoder)
    for path in cache.glob("*/*/about.json"):
        path.write_text(about)
    assert cache_info().entries == ()
    assert clear_cache() > 0


def test_an_about_file_with_values_of_other_kinds_is_no_entry(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    for path, (key, value) in zip(cache.glob("*/*/about.json"), (("width", 10**12), ("backbone", 3)), strict=True):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert cache_info().entries == ()


def test_an_about_file_that_is_a_pipe_is_not_waited_for(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    for path in cache.glob("*/*/about.json"):
        path.unlink()
        os.mkfifo(path)
    assert cache_info().entries == ()


def test_info_lists_each_backbone_and_transform(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    fill(SmallEncoder(fingerprint="b" * 64, name="large", feature_size=32))
    info = cache_info()
    assert info.folder == cache
    assert {(entry.backbone, entry.rows) for entry in info.entries} == {
        ("small", 3),
        ("small", 6),
        ("large", 3),
        ("large", 6),
    }
    assert [entry.size_bytes for entry in info.entries] == sorted((e.size_bytes for e in info.entries), reverse=True)
    assert info.size_bytes >= sum(entry.size_bytes for entry in info.entries)


def test_features_computed_another_way_are_other_features(encoder: SmallEncoder, cache: Path) -> None:
    FeatureExtractor(encoder).extract([random_pixels(0)])
    encoder.image_code = "other-1"
    FeatureExtractor(encoder).extract([random_pixels(0)])
    assert encoder.encoded == 2
    assert len(cache_info(cache).entries) == 2


def test_a_cache_that_does_not_exist_is_empty(cache: Path) -> None:
    info = cache_info()
    assert (info.entries, info.size_bytes) == ((), 0)
    assert clear_cache() == 0
    assert not cache.exists()


def test_clearing_removes_what_is_ours_and_nothing_else(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    (inside,) = cache.iterdir()
    mine = [cache / "photo.npy", inside / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    size = cache_info().size_bytes
    assert clear_cache() == size > 0
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == sorted(mine)
    before = encoder.encoded
    fill(encoder)
    assert encoder.encoded == 2 * before


def test_clearing_an_untouched_cache_leaves_no_folder_of_ours(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    clear_cache()
    assert list(cache.iterdir()) == []


def test_what_cannot_be_removed_is_one_sentence(encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(encoder)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=r"\.npy cannot be removed from the cache: Permission denied"):
        clear_cache()


def test_a_foreign_description_is_no_entry(encoder: SmallEncoder, cache: Path) -> None:
    fill(encoder)
    for path in cache.rglob("about.json"):
        path.write_text('{"what": "else"}')
    assert cache_info().entries == ()


def test_the_cache_is_looked_after_without_torch() -> None:
    code = "import sys; from vlprompt.features import cache_info, clear_cache; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("work", [cache_info, clear_cache])
def test_a_cache_that_cannot_be_read_is_not_an_empty_one(tmp_path, work):
    (tmp_path / "cache").symlink_to("cache")  # an error to everybody, unlike a folder without permission
    with pytest.raises(OutputError, match=f"the cache {tmp_path / 'cache'} cannot be read"):
        work(tmp_path / "cache")
