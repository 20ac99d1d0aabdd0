"""The README's commands and code are run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def mini_is_bundled() -> bool:
    return (resources.files("vlprompt.backbones") / "mini" / "open_clip_config.json").is_file()


@pytest.mark.skipif(not mini_is_bundled(), reason="the bundled model has not been trained yet")
def test_the_five_lines_of_shell_and_the_five_of_python_run(tmp_path):
    (shell,), (python,) = blocks("sh"), blocks("python")
    assert [len([line for line in block.splitlines() if line]) for block in (shell, python)] == [5, 5]
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "VLPROMPT_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    where = {"cwd": tmp_path, "env": environment, "check": True, "text": True}
    subprocess.run(["bash", "-eu", "-c", shell], **where)
    guesses = json.loads((tmp_path / "guesses.json").read_text())
    assert {guess["predictions"][0]["class"] for guess in guesses} <= {"sushi", "pizza", "a cup of tea"}
    names = subprocess.run([sys.executable, "-c", python], capture_output=True, **where).stdout
    assert all(name in os.listdir(tmp_path / "my-pictures/test") for name in re.findall("'([^']+)'", names))


def test_every_command_and_option_in_the_readme_exists():
    from vlprompt.cli.arguments import build_parser

    commands = build_parser()._subcommands_action._name_parser_map
    text = "\n".join([*blocks("sh"), *(" ".join(said.split()) for said in re.findall("`(vlprompt [^`]*)`", README))])
    for name, rest in re.findall(r"vlprompt (\w+)([^\n`|>]*)", text):
        assert name in commands, name
        parser, words = commands[name], rest.split()
        while words and (below := getattr(parser, "_subcommands_action", None)):
            parser = below._name_parser_map[words.pop(0)]
        flags = {flag for action in parser._actions for flag in action.option_strings}
        assert set(re.findall(r"--[\w-]+", rest)) <= flags, rest


def test_every_file_that_the_readme_links_to_is_there():
    root = Path(__file__).resolve().parent.parent
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (root / target).exists(), target


def test_the_make_targets_of_the_readme_exist():
    makefile = (Path(__file__).resolve().parent.parent / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", "\n".join(blocks("console"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
