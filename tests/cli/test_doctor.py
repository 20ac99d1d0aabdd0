"""doctor looks at what is there and says what to do about what is not."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from vlprompt.cli import doctor


def findings(outcome):
    return {entry["about"]: entry for entry in json.loads(outcome.out)}


def test_a_sound_machine_has_nothing_missing(vlprompt, tmp_path):
    outcome = vlprompt("doctor", "--json")
    assert outcome.code == 0
    found = findings(outcome)
    assert found["torch"]["state"] == found["memory"]["state"] == found["feature cache"]["state"] == "ok"
    assert str(tmp_path / "cache") in found["feature cache"]["found"]
    assert "mini" in found["backbones"]["found"]


def test_piped_it_is_one_line_for_each_finding(vlprompt):
    lines = vlprompt("doctor").out.splitlines()
    assert all(len(line.split("\t")) == 4 for line in lines)
    assert {line.split("\t")[0] for line in lines} <= {"ok", "note"}


@pytest.mark.parametrize(("there", "said"), [(None, "not installed"), ("0.1", "0.1, where")], ids=["absent", "too old"])
def test_a_package_that_is_absent_or_too_old_is_missing_and_how_to_have_it_is_told(vlprompt, monkeypatch, there, said):
    real = doctor.version

    def version(name):
        if name != "safetensors":
            return real(name)
        if there is None:
            raise PackageNotFoundError(name)
        return there

    monkeypatch.setattr(doctor, "version", version)
    outcome = vlprompt("doctor", "--json")
    assert outcome.code == 2
    assert findings(outcome)["safetensors"]["advice"].startswith("pip install 'safetensors")
    assert said in findings(outcome)["safetensors"]["found"]
    assert "safetensors" in outcome.err


def test_an_extra_that_is_absent_is_a_note_that_says_what_it_serves(vlprompt, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: False)
    outcome = vlprompt("doctor", "--json")
    assert outcome.code == 0
    assert findings(outcome)["extra heic"]["state"] == "note"
    assert "HEIC" in findings(outcome)["extra heic"]["found"]
    assert "pip install 'vlprompt[heic]'" in findings(outcome)["extra heic"]["advice"]


def test_every_extra_of_the_package_but_the_developers_is_looked_at():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(doctor.EXTRAS) == set(doctor.PACKAGES_OF) == set(project["optional-dependencies"]) - {"dev"}
    for extra, packages in doctor.PACKAGES_OF.items():
        declared = " ".join(project["optional-dependencies"][extra])
        assert all(name in declared for name in packages)


def test_a_backbone_tells_its_weights_and_memory(vlprompt):
    outcome = vlprompt("doctor", "--backbone", "ViT-B-16/openai", "--json")
    told = " ".join(
        f"{entry['found']} {entry['advice']}" for entry in json.loads(outcome.out) if "ViT" in entry["about"]
    )
    assert "0.6 GB of memory for its weights" in told
    assert "downloaded at the first use" in told


def test_a_backbone_that_is_too_large_for_the_memory_is_missing_memory(vlprompt, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0.5e9, total=2e9))
    outcome = vlprompt("doctor", "--backbone", "ViT-B-16/openai", "--json")
    assert outcome.code == 2
    assert "take a smaller backbone" in outcome.out


def test_a_backbone_that_is_not_listed_is_answered_with_those_that_are(vlprompt):
    outcome = vlprompt("doctor", "--backbone", "ViT-B-17/openai")
    assert outcome.code == 2
    assert "ViT-B-16/openai" in outcome.err


def test_a_cache_that_cannot_be_written_is_told(vlprompt, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    outcome = vlprompt("doctor", "--json")
    assert outcome.code == 2
    assert "set VLPROMPT_CACHE" in findings(outcome)["feature cache"]["advice"]
