"""One file from the network: resumed by byte range, checked by its checksum, in place whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from vlprompt import __version__
from vlprompt.errors import DownloadError, NoNetworkError
from vlprompt.progress import OnProgress

TIMEOUT_SECONDS = 60
TRIES_WITHOUT_A_BYTE = 3
BLOCK = 1 << 20
PART = ".part"
"""What the name of an unfinished download ends in."""


def download(url: str, file: Path, checksum: str = "", on_progress: OnProgress | None = None) -> None:
    """Download a file; one that was begun before, with `.part` at the end of its name, is continued.

    Args:
        url: of https, or of http where there is a checksum.
        file: where it goes.
        checksum: "md5:..." or "sha256:..."; "" checks nothing but that it is no web page in place of the file.
        on_progress: told how many bytes are there, and of how many.

    Raises:
        NoNetworkError: there is no network.
        DownloadError: the server refuses, the connection ends again and again, or the content is another. What has come
            stays for the next call, unless it is wrong.
    """
    part = file.with_name(file.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    fruitless = 0
    while True:
        before = _size(part)
        try:
            if _fetch(url, part, on_progress):
                break
            reason = "the connection ended early"
        except HTTPError as error:
            raise DownloadError(
                f"{url} cannot be downloaded: the server answers {error.code} {error.reason}."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            if _is_no_network(error):
                raise NoNetworkError(f"{url} cannot be downloaded: there is no network.") from error
            reason = _reason(error)
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= TRIES_WITHOUT_A_BYTE:
            raise DownloadError(
                f"{url} cannot be downloaded: {reason}; the same command goes on from the {_size(part):,} bytes that "
                "are here."
            )
    _check(url, part, checksum)
    os.replace(part, file)


def _fetch(url: str, part: Path, on_progress: OnProgress | None) -> bool:
    """Append what is missing; whether the file is whole now."""
    there = _size(part)
    headers = {"User-Agent": f"vlprompt/{__version__}", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        # What is here is all there is, or more: the server names the whole size.
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _total(error.headers.get("Content-Range")) == there:
                return True
            part.unlink()
            return False
        raise
    with response, part.open("r+b" if there else "wb") as file:
        if response.status == http.client.PARTIAL_CONTENT and _starts_at(response, there):
            file.seek(there)
        else:  # the server knows no ranges: from the beginning
            file.truncate(0)
            there = 0
        length = response.headers.get("Content-Length")
        total = there + int(length) if length else 0
        while block := response.read(BLOCK):
            file.write(block)
            there += len(block)
            if on_progress is not None:
                on_progress(there, total)
    return not total or there >= total


def _starts_at(response: Any, place: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {place}-")


def _total(content_range: str | None) -> int | None:
    match = re.search(r"/(\d+)$", content_range or "")
    return int(match[1]) if match else None


def _check(url: str, part: Path, checksum: str) -> None:
    if checksum:
        found = checksum_of(part, checksum)
        if found != checksum:
            part.unlink()
            raise DownloadError(
                f"{url} gives a file with the checksum {found}; it must be {checksum}. What came is removed; try again "
                "later, or get the file elsewhere."
            )
    elif _is_web_page(part):
        part.unlink()
        raise DownloadError(f"{url} gives a web page in place of the file; get it with a browser.")


def checksum_of(file: Path, like: str) -> str:
    """The file's checksum of the kind that `like`, "md5:..." or "sha256:...", is of."""
    kind = like.partition(":")[0]
    with file.open("rb") as content:
        return f"{kind}:{hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()}"


def _is_web_page(part: Path) -> bool:
    with part.open("rb") as file:
        return file.read(1024).lstrip().lower().startswith((b"<!doctype", b"<html"))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _is_no_network(error: Exception) -> bool:
    cause = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, socket.gaierror) or getattr(cause, "errno", None) == errno.ENETUNREACH


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return "the server does not answer"
    return str(cause) or type(cause).__name__
