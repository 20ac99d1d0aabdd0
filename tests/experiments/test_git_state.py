from __future__ import annotations

import subprocess

import pytest

from vlprompt.experiments import git_state
from vlprompt.experiments.git_state import GitState, git_states


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The working folder, with one commit; the package lies elsewhere, and outside git."""

    def git(*arguments: str) -> str:
        own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *own, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(git_state, "PACKAGE", tmp_path)
    git_states.cache_clear()
    git("init", "-q")
    (folder / "__init__.py").write_text("")
    git("add", ".")
    git("commit", "-qm", "one")
    yield git
    git_states.cache_clear()


def test_the_commit_of_the_working_folder_is_known(repository):
    assert git_states() == {"working folder": GitState(repository("rev-parse", "HEAD"), dirty=False)}


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(repository, tmp_path):
    (tmp_path / "work" / "new.txt").write_text("")
    assert not git_states()["working folder"].dirty
    git_states.cache_clear()
    (tmp_path / "work" / "__init__.py").write_text("changed")
    assert git_states()["working folder"].dirty


def test_a_package_that_git_tracks_is_named_once(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(git_state, "PACKAGE", tmp_path / "work")
    assert list(git_states()) == ["vlprompt"]


def test_outside_git_and_without_it_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(git_state, "PACKAGE", tmp_path)
    for path in (None, ""):
        git_states.cache_clear()
        if path is not None:
            monkeypatch.setenv("PATH", path)
        assert git_states() == {}
    git_states.cache_clear()
