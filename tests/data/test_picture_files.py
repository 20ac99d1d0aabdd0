"""Which files below a folder are pictures, and that nothing is left out without a word."""

from __future__ import annotations

import os
import socket
import subprocess
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlprompt.data import formats
from vlprompt.data.picture_files import AGAIN, NOWHERE, FolderScan, LeftOut, is_hidden, why_no_picture
from vlprompt.errors import FilesLeftOutWarning


def scanned(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Pictures and what was left out by the first word of its reason, by their paths below the folder."""
    scan = FolderScan(folder)
    found = [path.relative_to(folder).as_posix() for path in scan.pictures(folder)]
    left_out = {
        reason.split()[0]: [path.relative_to(folder).as_posix() for path in paths]
        for reason, paths in scan.left_out.paths.items()
    }
    return found, left_out


def test_pictures_without_an_extension_are_known_by_their_first_bytes(write_picture, tmp_path) -> None:
    photo = write_picture("photo.png")
    for name in ("plain", "2024-05-01 12.30.15", "IMG_1.png_large", "IMG_2.001"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    (tmp_path / "README").write_text("no picture")
    (tmp_path / "empty").touch()
    found, left_out = scanned(tmp_path)
    assert found == ["2024-05-01 12.30.15", "IMG_1.png_large", "IMG_2.001", "photo.png", "plain"]
    assert left_out == {"no": ["README", "empty"]}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "JPEG2000", "QOI"])
def test_the_first_bytes_tell_every_common_format(tmp_path, form) -> None:
    if form not in formats.readable_formats():
        pytest.skip(f"this Pillow reads no {form}")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo", form)
    assert formats.sniffed_format(tmp_path / "photo") == form


def test_other_files_are_left_out_and_told(write_picture, tmp_path) -> None:
    write_picture("a.png")
    for name in ("notes.txt", "film.mp4", "page.pdf", "drawing.eps", "b.txt"):
        (tmp_path / name).write_bytes(b"no picture")
    assert scanned(tmp_path) == (["a.png"], {"no": ["b.txt", "drawing.eps", "film.mp4", "notes.txt", "page.pdf"]})


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".hif", ""])
def test_heic_without_its_package_is_left_out_and_the_package_is_named(
    write_picture, tmp_path, monkeypatch, suffix
) -> None:
    monkeypatch.setattr(formats, "readable_formats", lambda: ("JPEG", "PNG"))
    monkeypatch.setattr(formats, "image_suffixes", lambda: frozenset({".png"}))
    photo = tmp_path / f"photo{suffix}"
    photo.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "pillow-heif (pip install 'vlprompt[heic]')" in (formats.needed_for_format("HEIF") or "")
    reason = formats.needed_for(photo.suffix.lower()) if suffix else why_no_picture(photo)
    assert reason is not None
    assert "pillow-heif" in reason


def test_avif_counts_where_pillow_reads_it_and_else_the_way_is_told(monkeypatch) -> None:
    monkeypatch.setattr(formats, "readable_formats", lambda: ("JPEG",))
    monkeypatch.setattr(formats, "image_suffixes", lambda: frozenset({".jpg"}))
    assert "pip install --upgrade pillow" in (formats.needed_for(".avif") or "")
    assert formats.needed_for(".txt") is None


def test_hidden_pictures_are_left_out_and_of_what_systems_leave_nothing_is_said(write_picture, tmp_path) -> None:
    for name in ("a.png", ".thumbs/a.png", ".thumbs/b.png", "__MACOSX/a.png", "@eaDir/a.png", "deep/.b/c/a.png"):
        write_picture(name)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("")
    found, left_out = scanned(tmp_path)
    assert found == ["a.png"]
    assert left_out == {"copies": ["@eaDir", "__MACOSX"], "hidden": ["._a.png", ".thumbs", ".thumbs", "deep/.b"]}


def test_a_link_to_a_picture_is_a_picture_once(write_picture, tmp_path) -> None:
    far = write_picture("far/x.png")
    write_picture("here/a.png")
    here = tmp_path / "here"
    (here / "0-link.png").symlink_to("a.png")
    for name in ("far.png", "far-again.png"):
        (here / name).symlink_to(far)
    (here / "broken.png").symlink_to("nowhere.png")
    scan = FolderScan(here)
    assert [path.name for path in scan.pictures(here)] == ["a.png", "far-again.png"]
    assert {reason: [path.name for path in paths] for reason, paths in scan.left_out.paths.items()} == {
        NOWHERE: ["broken.png"],
        AGAIN: ["0-link.png", "far.png"],
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_pipes_sockets_and_devices_are_left_out_without_waiting(write_picture, tmp_path) -> None:
    write_picture("a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        place = os.getcwd()
        os.chdir(tmp_path)  # a socket's path may have only 108 bytes
        try:
            listening.bind("socket.png")
        finally:
            os.chdir(place)
        assert scanned(tmp_path) == (["a.png"], {"pipes,": ["endless.png", "pipe", "pipe.png", "socket.png"]})


def test_two_links_in_a_circle_end(write_picture, tmp_path) -> None:
    for name in ("a/1.png", "b/2.png"):
        write_picture(name)
    (tmp_path / "a" / "to-b").symlink_to("../b")
    (tmp_path / "b" / "to-a").symlink_to("../a")
    (tmp_path / "self").symlink_to(".")
    assert scanned(tmp_path)[0] == ["a/1.png", "b/2.png"]
    assert scanned(tmp_path / "a")[0] == ["1.png", "to-b/2.png"]


def test_links_that_cannot_be_followed_are_left_out(write_picture, tmp_path) -> None:
    write_picture("1.png")
    for name, target in {"itself.png": "itself.png", "inside.png": "1.png/2.png", "long": "a" * 3000}.items():
        (tmp_path / name).symlink_to(target)
    assert scanned(tmp_path) == (["1.png"], {NOWHERE.split()[0]: ["inside.png", "itself.png", "long"]})
    assert FolderScan(tmp_path).folders_in(tmp_path) == []


def test_hidden_folders_are_counted_however_deep_they_are(write_picture, tmp_path, monkeypatch) -> None:
    write_picture("1.png")
    monkeypatch.chdir(tmp_path)
    for name in [".hidden", *["a"] * 1100]:
        os.mkdir(name)
        os.chdir(name)
    Path("2.png").touch()
    try:
        assert scanned(tmp_path) == (["1.png"], {"hidden": [".hidden"]})
    finally:
        os.chdir(tmp_path)
        subprocess.run(["rm", "-r", ".hidden"], check=True)  # shutil.rmtree and pytest's clean-up are recursive


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), max_size=6))
def test_every_name_is_taken_or_has_a_reason(names) -> None:
    for name in names:
        reason = why_no_picture(Path("nowhere") / name.replace("/", "-"))
        assert reason is None or isinstance(reason, str)
        assert is_hidden("." + name)


def test_one_line_tells_all_reasons_with_the_first_names() -> None:
    left_out = LeftOut()
    for number in range(30):
        left_out.add("HEIC pictures", Path(f"top/{number}.heic"))
    left_out.add("hidden", Path("top/" + "x" * 300 + ".png"))
    left_out.add("", Path("top/Thumbs.db"))
    with pytest.warns(FilesLeftOutWarning) as caught:
        left_out.tell(Path("top"))
    message = str(caught[0].message)
    assert message.startswith(
        "31 files left out of top; HEIC pictures: 30 (0.heic, 1.heic, 2.heic and 27 others); hidden"
    )
    assert len(message) < 250
    assert "\n" not in message


def test_where_nothing_is_left_out_nothing_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LeftOut().tell(Path("top"))
