"""What `predict` is given: files, folders, patterns and paths from standard input, each picture once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vlprompt.cli import picture_arguments
from vlprompt.cli.picture_arguments import expand
from vlprompt.errors import DataError, FilesLeftOutWarning


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(name, "PNG")


def expanded(*arguments: str) -> list[str]:
    return [path.as_posix() for path in expand(arguments)]


def from_standard_input(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_overlapping_arguments_name_a_picture_once() -> None:
    write("in/a.png", "in/b.png")
    Path("link").symlink_to("in")
    Path("a-link.png").symlink_to("in/a.png")
    several = (
        "in/b.png",
        "in",
        "./in/a.png",
        "in/../in/b.png",
        os.path.abspath("in/a.png"),
        "link",
        "a-link.png",
        "in/*",
    )
    assert expanded(*several) == ["in/b.png", "in/a.png"]


def test_a_named_file_is_taken_whatever_it_is_called() -> None:
    write(".hidden.png", "odd.txt", "no-extension")
    assert expanded(".hidden.png", "odd.txt", "no-extension", "missing.png") == [
        ".hidden.png",
        "odd.txt",
        "no-extension",
        "missing.png",
    ]


def test_patterns_go_through_folders_and_pass_over_what_is_hidden() -> None:
    write("a.png", "in/b.png", "in/deep/c.png", "in/.d/e.png", ".f.png")
    assert expanded("**/*.png") == ["a.png", "in/b.png", "in/deep/c.png"]
    assert expanded("in/**/*.png") == ["in/b.png", "in/deep/c.png"]
    assert expanded(f"{os.getcwd()}/in/*.png") == [f"{os.getcwd()}/in/b.png"]
    assert expanded("i[n]") == ["in/b.png", "in/deep/c.png"]
    assert expanded(".*.png") == [".f.png"]


def test_a_pattern_over_links_in_a_circle_ends() -> None:
    write("in/a.png")
    for name in ("one", "two", "three"):
        Path("in", name).symlink_to("..")
    assert expanded("in/**/*.png") == ["in/a.png"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern() -> None:
    write("a[1].png", "a1.png")
    assert expanded("a[1].png") == ["a[1].png"]


def test_what_a_pattern_leaves_out_is_told() -> None:
    write("a.png")
    Path("notes.txt").touch()
    with pytest.warns(FilesLeftOutWarning, match=r"1 file left out of \*; no pictures .*: 1 \(notes.txt\)"):
        assert expanded("*") == ["a.png"]


@pytest.mark.parametrize("argument", ["*.txt", "only"])
def test_nothing_but_other_files_is_an_error_with_the_reason(argument) -> None:
    Path("only").mkdir()
    for name in ("notes.txt", "only/notes.txt"):
        Path(name).touch()
    with pytest.raises(DataError, match=r"gives no pictures \(no pictures .*notes.txt"):
        expand([argument])


def test_standard_input_has_a_path_a_line(monkeypatch) -> None:
    write("in/a.png", "a b.png", "[c].png")
    from_standard_input(monkeypatch, b"a b.png\r\n\n[c].png\nin\ncaf\xe9.png")
    assert [os.fsencode(path) for path in expand(["-"])] == [b"a b.png", b"[c].png", b"in/a.png", b"caf\xe9.png"]


def test_standard_input_may_have_paths_that_end_in_nul(monkeypatch) -> None:
    write("line\nbreak.png")
    from_standard_input(monkeypatch, b"line\nbreak.png\0b.png\0")
    assert expanded("-0") == ["line\nbreak.png", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "content", "sentence"),
    [
        (["-"], b"", r"standard input \(-\) names no pictures"),
        (["-"], b"a.png\0b.png\0", r"end in NUL; read them with -0"),
        (["-", "-0"], b"", r"named more than once"),
        (["-"], b"x" * 200, r"standard input has more than"),
    ],
)
def test_standard_input_that_is_no_list_of_paths_is_refused(monkeypatch, arguments, content, sentence) -> None:
    monkeypatch.setattr(picture_arguments, "MOST_INPUT_BYTES", 100)
    from_standard_input(monkeypatch, content)
    with pytest.raises(DataError, match=sentence):
        expand(arguments)


@pytest.mark.parametrize(("argument", "end"), [("-", "\n"), ("-0", "\0")])
def test_predict_reads_paths_from_standard_input(vlprompt, model, monkeypatch, argument, end) -> None:
    from_standard_input(monkeypatch, f"pictures/red/0.png{end}pictures/blue/1.png{end}".encode())
    outcome = vlprompt("predict", "model", argument)
    assert outcome.code == 0, outcome
    assert [line.split("\t")[0] for line in outcome.out.splitlines()] == ["pictures/red/0.png", "pictures/blue/1.png"]


def test_patterns_reach_pictures_however_deep_they_are() -> None:
    start = os.getcwd()
    for name in ["top", *["a"] * 1100]:
        os.mkdir(name)
        os.chdir(name)
    write("1.png")
    try:
        os.chdir(start)
        assert expanded("top/**/*.png") == ["top/" + "a/" * 1100 + "1.png"]
    finally:
        subprocess.run(["rm", "-r", "top"], check=True)  # shutil.rmtree and pytest's clean-up are recursive


def test_an_empty_name_is_not_the_current_folder() -> None:
    with pytest.raises(DataError, match="a name of a picture is empty"):
        expand(["a.png", ""])
