"""One writer an output folder, and none waits for one that has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vlprompt.errors import OutputError
from vlprompt.files import atomic_path, locks, remove_leftovers, staged_folder, write_atomically
from vlprompt.files.locks import lock_beside, lock_inside

HOLD = """
import sys, time
from pathlib import Path
from vlprompt.files import atomic_path, staged_folder
from vlprompt.files.locks import lock_beside, lock_inside
with {what}(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder():
    """Starts a process that stays within one of the context managers, and gives it once it is there."""
    started = []

    def start(what: str, path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD.format(what=what), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


LOCKS = pytest.mark.parametrize("lock", [lock_beside, lock_inside])


@LOCKS
def test_a_folder_that_another_process_writes_is_refused_in_one_sentence(holder, tmp_path, lock):
    holder(lock.__name__, tmp_path / "out")
    with pytest.raises(OutputError, match="another process is writing .*out") as refusal, lock(tmp_path / "out"):
        pass
    assert "\n" not in str(refusal.value)


@LOCKS
def test_a_killed_process_blocks_nobody(holder, tmp_path, lock):
    process = holder(lock.__name__, tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lock(tmp_path / "out"):
        pass
    assert not list(tmp_path.rglob("*.lock"))


@LOCKS
def test_a_lock_leaves_nothing_behind_and_can_be_taken_again(tmp_path, lock):
    for _ in range(2):
        with lock(tmp_path / "out"):
            assert len(list(tmp_path.rglob("*lock"))) == 1
        assert not list(tmp_path.rglob("*lock"))


@LOCKS
def test_a_thread_may_take_its_own_lock_again_and_another_thread_may_not(tmp_path, lock):
    refusals = []

    def other() -> None:
        try:
            with lock(tmp_path / "out"):
                pass
        except OutputError as error:
            refusals.append(error)

    with lock(tmp_path / "out"):
        with lock(tmp_path / "out"):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refusals) == 1


@LOCKS
def test_folders_made_for_a_lock_go_with_it_unless_something_was_written(tmp_path, lock):
    with lock(tmp_path / "a" / "b" / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
    with lock(tmp_path / "a" / "b" / "out"):
        (tmp_path / "a" / "result").write_text("x")
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["result"]


def test_two_names_of_one_folder_have_one_lock(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    with lock_beside(tmp_path / "out"):
        assert {entry.name for entry in tmp_path.iterdir()} == {"out", "link", ".out.lock"}
        with lock_beside(tmp_path / "link"):
            assert {entry.name for entry in tmp_path.iterdir()} == {"out", "link", ".out.lock"}


def test_a_forked_child_does_not_keep_the_lock_of_a_parent_that_has_ended(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; from vlprompt.files.locks import lock_beside\n"
        "with lock_beside(Path(sys.argv[1])):\n"
        " if not os.fork(): print(os.getpid(), flush=True); time.sleep(60); os._exit(0)\n"
        " time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        with lock_beside(tmp_path / "out"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_where_there_are_no_locks_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "try_lock", lambda _: None)
    with lock_beside(tmp_path / "out"):
        pass


def test_a_lock_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / ".out.lock").mkdir()
    with pytest.raises(OutputError, match=r"its lock .*\.out\.lock cannot be made"), lock_beside(tmp_path / "out"):
        pass


@pytest.mark.parametrize("what", ["atomic_path", "staged_folder"])
def test_the_next_save_removes_what_a_killed_one_left(holder, tmp_path, what):
    process = holder(what, tmp_path / "model")
    (left,) = tmp_path.iterdir()
    process.kill()
    process.wait()
    assert left.exists()
    with {"atomic_path": atomic_path, "staged_folder": staged_folder}[what](tmp_path / "model"):
        assert not left.exists()


@pytest.mark.parametrize("what", ["atomic_path", "staged_folder"])
def test_what_a_living_process_writes_stays(holder, tmp_path, what):
    holder(what, tmp_path / "model")
    (being_written,) = tmp_path.iterdir()
    write_atomically(tmp_path / "model", "x")
    assert being_written.exists()


def test_files_that_only_look_alike_stay(tmp_path):
    names = [".tmp-0123456789ab-other", ".tmp-notes-model", ".tmp-0123456789ab-model.old"]
    for name in names:
        (tmp_path / name).write_text("mine")
    remove_leftovers(tmp_path, "model")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)
