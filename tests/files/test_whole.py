from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.errors import OutputError
from vlprompt.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    check_writable,
    open_regular,
    read_bounded,
    write_atomically,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, failure: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise failure


@settings(deadline=None)
@given(content=st.one_of(st.binary(), st.text()))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: bytes | str) -> None:
    path = tmp_path_factory.getbasetemp() / "content.bin"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError, match="half way"):
        write_half(path, RuntimeError("half way"))
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["model.json"]


def test_ctrl_c_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_atomically(path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path, KeyboardInterrupt())
    assert names_in(tmp_path) == ["model.json"]


def test_the_temporary_path_lies_beside_and_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "figure.svg") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".svg"
        assert temporary.name.startswith(TEMPORARY_PREFIX)
        temporary.write_text("<svg/>")
    assert names_in(tmp_path) == ["figure.svg"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writing_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "out.json", tmp_path / "file" / "deeper" / "out.json"):
        with pytest.raises(OutputError, match=r"out\.json cannot be written: (not a directory|file exists)"):
            write_atomically(path, "x")


def test_writing_over_a_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder cannot be written: is a directory"):
        write_atomically(tmp_path / "folder", "x")
    assert names_in(tmp_path) == ["folder"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_atomically(path, "old")
    with pytest.raises(OutputError, match="weights cannot be written: no space left"):
        write_half(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["weights"]


def test_an_error_that_is_not_about_the_place_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing source"), atomic_path(tmp_path / "copy"):
        (tmp_path / "missing source").read_bytes()
    with pytest.raises(PermissionError, match="private"):
        write_half(tmp_path / "copy", PermissionError(errno.EACCES, "private", "elsewhere"))


def test_a_folder_that_can_be_made_passes_and_is_not_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", needed_bytes=1)
    assert names_in(tmp_path) == []


def test_a_relative_folder_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable("out")
    check_writable(".")


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match=r"out is a file, not a folder"):
        check_writable(tmp_path / "out")


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"cannot be made, because .*file is a file"):
        check_writable(tmp_path / "file" / "deeper" / "out")


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written; name a folder that you may write to"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match="no permission to write in"):
        check_writable(tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_with_its_write_bit_off_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            check_writable(tmp_path / "out")
    finally:
        tmp_path.chmod(0o755)


def test_too_little_space_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2_000_000))
    check_writable(tmp_path, needed_bytes=2_000_000)
    with pytest.raises(OutputError, match=r"2\.0 MB free and 5\.0 MB are needed"):
        check_writable(tmp_path, needed_bytes=5_000_000)


def test_only_regular_files_are_opened_and_none_is_waited_for(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "endless"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path, kind in ((pipe, "a pipe"), (link, "a device"), (tmp_path, "a folder")):
        with pytest.raises(OSError, match="regular file") as caught:
            open_regular(path)
        assert kind in (caught.value.strerror or "")


def test_a_file_is_read_up_to_its_bound_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "four").write_bytes(b"1234")
    assert read_bounded(tmp_path / "four", 4) == b"1234"
    with pytest.raises(OSError, match="more than") as caught:
        read_bounded(tmp_path / "four", 3)
    assert caught.value.errno == errno.EFBIG
