"""Very large pictures one at a time, over threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from vlprompt.data import turns
from vlprompt.data.turns import ALONE_BYTES, turn_for

pytestmark = pytest.mark.skipif(turns.fcntl is None, reason="no file locks of this kind here")

HOLD = """
import sys, tempfile
from vlprompt.data.turns import ALONE_BYTES, turn_for
tempfile.tempdir = sys.argv[1]
with turn_for(ALONE_BYTES):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def together(count: int, bytes_taken: int) -> int:
    """How many of `count` threads had their turn at the same time."""
    inside, most = [], []

    def work() -> None:
        with turn_for(bytes_taken):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(most)


def test_threads_take_turns_for_large_pictures_only() -> None:
    assert together(3, ALONE_BYTES) == 1
    assert together(3, ALONE_BYTES - 1) > 1


def test_another_processs_turn_is_waited_for_and_given_back_when_it_is_killed(place) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    threading.Timer(0.3, holder.kill).start()
    began = time.monotonic()
    with turn_for(ALONE_BYTES):
        assert time.monotonic() - began > 0.2
    holder.wait()


def test_a_process_that_never_gives_it_back_is_waited_for_only_so_long(place, monkeypatch) -> None:
    monkeypatch.setattr(turns, "MOST_SECONDS", 0.1)
    with turn_for(ALONE_BYTES), turn_for(ALONE_BYTES):
        pass


def test_where_there_is_no_place_for_the_lock_nobody_waits(place, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "gone"))
    assert together(2, ALONE_BYTES) == 2


def test_a_link_in_the_place_of_the_lock_is_not_followed(place) -> None:
    (place / f"vlprompt-large-picture-{os.getuid()}.lock").symlink_to(place / "target")
    with turn_for(ALONE_BYTES):
        assert not (place / "target").exists()
