"""The real command with stdout and stderr as scripts, cron and full disks have them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from vlprompt import streams
from vlprompt.errors import OutputError


def run(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m vlprompt` with these arguments, its streams led as `shell` says."""
    line = " ".join([sys.executable, "-m", "vlprompt", *arguments, shell])
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=120
    )


@pytest.mark.parametrize("arguments", [("list", "methods"), ("list", "methods", "--json"), ("--help",)])
def test_a_full_disk_behind_stdout_is_one_sentence(arguments):
    done = run(*arguments, shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("vlprompt: the results cannot be written to stdout (no space left on device); ")
    assert done.stderr.count("\n") == 1


def test_results_that_stdout_does_not_take_are_kept_in_a_file(tmp_path):
    done = run("list", "methods", shell="> /dev/full", TMPDIR=str(tmp_path))
    (kept,) = tmp_path.iterdir()
    assert str(kept) in done.stderr
    assert kept.read_text() == run("list", "methods").stdout


def test_where_no_file_can_keep_them_the_sentence_says_how_to_get_them_again(monkeypatch):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(streams.tempfile, "NamedTemporaryFile", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    with pytest.raises(OutputError, match="the same command gives them again"):
        streams.write_results("cat\n")


def test_a_closed_stdout_is_refused_before_the_work():
    done = run("predict", "no-such-model", "no-such-picture", shell=">&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "stdout is closed" in done.stderr


@pytest.mark.parametrize("led", ["2>&-", "2> /dev/full"])
def test_a_closed_or_full_stderr_costs_no_results(led, tmp_path):
    done = run("cache", "info", shell=led, VLPROMPT_CACHE=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("led", [">&- 2>&-", "<&- >&- 2>&-"])
def test_files_never_take_the_numbers_of_closed_streams(led):
    code = "from vlprompt.streams import occupy_closed_streams as o; o(); import os, sys; sys.exit(os.open('/', 0) < 3)"
    assert subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" {led}'], check=False).returncode == 0


def test_a_reader_that_has_gone_ends_the_command_in_silence():
    command = [sys.executable, "-m", "vlprompt", "list", "methods"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8:strict"])
def test_letters_that_stdout_lacks_are_shown_by_their_codes(encoding):
    code = (
        "from vlprompt.cli.output import *\nfrom vlprompt.streams import *\n"
        "with showing_any_letter():\n"
        " print_table(('name',), [('日本', 'caf\\udce9')]); print_json(['日本', 'caf\\udce9'])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    row, *rest = done.stdout.decode("utf-8").splitlines()
    names = "日本" if encoding.startswith("utf-8") else "\\u65e5\\u672c"
    assert row == f"{names}\tcaf\\xe9"
    assert __import__("json").loads("".join(rest)) == ["日本", "caf\udce9"]


def test_errors_name_files_without_obeying_them(tmp_path, capsys, monkeypatch):
    from vlprompt.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["predict", "mo\x1b[2Jdel\nvlprompt: all is well", "x.png"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert r"mo\x1b[2Jdel\nvlprompt: all is well" in said


def test_where_there_is_no_folder_for_temporary_files_that_is_one_sentence(monkeypatch, capsys):
    from vlprompt.cli import main

    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)
    assert main(["list", "methods"]) == 2
    assert "set TMPDIR" in capsys.readouterr().err


def test_a_warning_that_is_given_twice_is_said_once(monkeypatch, capsys):
    from vlprompt.cli import listings, main
    from vlprompt.features import CacheWarning

    def warn():
        for level in (1, 2):
            warnings.warn("no cache", CacheWarning, stacklevel=level)
        return []

    monkeypatch.setitem(listings.LISTS, "methods", warn)
    assert main(["list", "methods"]) == 0
    assert capsys.readouterr().err == "vlprompt: warning: no cache\n"


def test_a_current_folder_that_was_deleted_is_one_sentence(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    source = Path(streams.__file__).parents[1]
    line = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m vlprompt list methods"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "current folder" in done.stderr
