"""Downloads from a local server: whole, resumed, checked, refused."""

from __future__ import annotations

import hashlib
import socket

import pytest

from vlprompt.data.published import downloading
from vlprompt.data.published.downloading import download
from vlprompt.errors import DownloadError

CONTENT = bytes(range(256)) * 40
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def url(server) -> str:
    server.files["/a.zip"] = CONTENT
    return f"{server.address}/a.zip"


@pytest.mark.parametrize("checksum", [SHA256, MD5, ""])
def test_a_file_comes_whole_and_nothing_else_is_left(url, tmp_path, checksum) -> None:
    download(url, tmp_path / "in" / "a.zip", checksum)
    assert (tmp_path / "in" / "a.zip").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.zip"]


def test_what_came_before_is_not_asked_for_again(url, server, tmp_path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:3000])
    download(url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("/a.zip", "bytes=3000-")]


def test_a_connection_that_ends_early_is_taken_up_again(url, server, tmp_path) -> None:
    server.cut_after = 4000
    download(url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=4000-", "bytes=8000-"]


def test_a_server_without_ranges_starts_from_the_beginning(url, server, tmp_path) -> None:
    server.ranges = False
    (tmp_path / "a.zip.part").write_bytes(b"x" * 20_000)
    download(url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_that_is_whole_is_only_checked(url, server, tmp_path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    download(url, tmp_path / "a.zip", SHA256)
    assert len(server.asked) == 1


def test_a_part_that_is_too_long_is_thrown_away(url, tmp_path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    download(url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_progress_is_told_in_bytes_with_those_of_before(url, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(downloading, "BLOCK", 4096)
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:2048])
    told = []
    download(url, tmp_path / "a.zip", SHA256, lambda done, total: told.append((done, total)))
    assert told == [(6144, 10240), (10240, 10240)]


def test_another_content_is_refused_with_both_checksums_and_removed(url, tmp_path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(DownloadError, match=f"{SHA256}; it must be {wrong}"):
        download(url, tmp_path / "a.zip", wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_in_place_of_a_file_is_refused(url, server, tmp_path) -> None:
    server.files["/a.zip"] = b"\n<!DOCTYPE html><title>Quota exceeded</title>"
    with pytest.raises(DownloadError, match="gives a web page in place of the file; get it with a browser"):
        download(url, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_refuses_is_one_sentence(server, tmp_path) -> None:
    with pytest.raises(DownloadError, match=r"/none cannot be downloaded: the server answers 404 Not Found\.$"):
        download(f"{server.address}/none", tmp_path / "a.zip")


def test_a_connection_that_gives_nothing_is_given_up_and_keeps_what_came(url, server, tmp_path) -> None:
    server.cut_after = 0
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:100])
    with pytest.raises(DownloadError, match="ended early; the same command goes on from the 100 bytes that are here"):
        download(url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:100]
    assert len(server.asked) == 3


def test_no_network_is_said_as_such(tmp_path, monkeypatch) -> None:
    def unknown(*_: object, **__: object):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"https://example.org/a cannot be downloaded: there is no network"):
        download("https://example.org/a", tmp_path / "a")
