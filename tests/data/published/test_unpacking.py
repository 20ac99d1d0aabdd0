"""Archives of data sets, and those that are none or mean harm."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.published import unpacking
from vlprompt.data.published.unpacking import unpack
from vlprompt.errors import DataError

FILES = {"images/cat/1.jpg": b"one", "images/cat/2.jpg": b"two", "list.txt": b"three"}


def write_tar(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o4777
            archive.addfile(entry, io.BytesIO(content))
        for entry in more:
            archive.addfile(entry)
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write(path: Path, files: dict[str, bytes]) -> Path:
    return write_zip(path, files) if path.suffix == ".zip" else write_tar(path, files)


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "outer" / "out"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.gz"])
def test_every_kind_is_unpacked_into_plain_files(name, tmp_path, out) -> None:
    unpack(write(tmp_path / name, FILES), out)
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == FILES
    assert not any(path.stat().st_mode & (stat.S_ISUID | 0o111) for path in out.rglob("*") if path.is_file())


def test_a_plain_tar_may_be_called_gz_as_that_of_imagenet_v2_is(tmp_path, out) -> None:
    unpack(write_tar(tmp_path / "a.tar", FILES).rename(tmp_path / "a.tar.gz"), out)
    assert (out / "list.txt").read_bytes() == b"three"


@pytest.mark.parametrize("kind", ["a.zip", "a.tar"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil-of-vlprompt", "..\\evil", "C:\\evil", "C:evil"])
def test_a_path_that_leads_out_is_refused(kind, name, tmp_path, out) -> None:
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(write(tmp_path / kind, {name: b"x"}), out)
    assert list(out.rglob("*")) == []
    assert [path.name for path in (tmp_path / "outer").iterdir()] == ["out"]


@given(st.lists(st.sampled_from(["..", ".", "a", "b", ""]), min_size=1, max_size=6))
def test_no_path_of_such_parts_writes_outside(tmp_path_factory, parts) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "out").mkdir()
    archive = write_tar(home / "a.tar", {"/".join(parts): b"x"})
    with suppress(DataError):
        unpack(archive, home / "out")
    assert {path.name for path in home.iterdir()} == {"out", "a.tar"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_a_tar_are_refused(kind, tmp_path, out) -> None:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc"
    with pytest.raises(DataError, match="holds a link or device, 'link'"):
        unpack(write_tar(tmp_path / "a.tar", {}, entry), out)
    assert list(out.iterdir()) == []


def test_links_of_a_zip_are_refused(tmp_path, out) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc")
    with pytest.raises(DataError, match="holds a link or device, 'link'"):
        unpack(tmp_path / "a.zip", out)


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_far_more_bytes_than_the_archive_has_are_refused_before_they_are_written(name, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "ALLOWANCE", 1000)
    with pytest.raises(DataError, match="holds far more bytes than it has"):
        unpack(write(tmp_path / name, {"bomb": bytes(1_000_000)}), out)
    assert list(out.iterdir()) == []


def test_more_files_than_any_data_set_has_are_refused(tmp_path, out, monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_FILES", 2)
    with pytest.raises(DataError, match="holds more than 2 files"):
        unpack(write(tmp_path / "a.zip", FILES), out)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
@pytest.mark.parametrize("content", [b"", b"no archive at all", None])
def test_what_is_damaged_is_one_sentence(name, content, tmp_path, out) -> None:
    path = write(tmp_path / name, {"a": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:150] if content is None else content)
    with pytest.raises(DataError, match=rf"{name} cannot be unpacked: .*; get it again"):
        unpack(path, out)
