"""Freed memory stays in a process that encodes images, and in no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlprompt.cli import main
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.experiments.workers import Setup
from vlprompt.process import allocator
from vlprompt.protocols import BASE_TO_NEW

pytestmark = pytest.mark.skipif(allocator._glibc() is None, reason="the allocator is not glibc's")

# Takes and fills 20 blocks of 48 MB, each freed before the next; prints how many pages were taken for the last ten.
CHURN = """
import resource
def churn(times):
    for _ in range(times):
        block = bytearray(b"x") * 48_000_000
churn(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn(10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
TOLD = "from vlprompt.process.allocator import keep_freed_memory; print(keep_freed_memory());"
PAGES_OF_ALL = 10 * 48_000_000 // 4096


def run(code: str, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_is_freed_is_taken_again_without_page_faults() -> None:
    told, faults = run(TOLD + CHURN)
    assert told == "True"
    assert int(faults) < PAGES_OF_ALL / 20


def test_importing_the_library_changes_nothing() -> None:
    (faults,) = run("import vlprompt, vlprompt.process.allocator, vlprompt.features, vlprompt.backbones" + CHURN)
    assert int(faults) > PAGES_OF_ALL / 2


@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"},
    ],
)
def test_what_the_user_has_set_wins(variables: dict[str, str]) -> None:
    told, faults = run(TOLD + CHURN, **variables)
    assert told == "False"
    assert int(faults) > PAGES_OF_ALL / 2


def test_kept_memory_is_given_back_when_asked() -> None:
    resident = "next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS'))"
    give_back = "from vlprompt.process.allocator import give_back_freed_memory; give_back_freed_memory();"
    _, _, before, after = run(f"{TOLD}{CHURN}\nprint({resident})\n{give_back}\nprint({resident})")
    assert int(before) - int(after) > 40_000


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    assert allocator.keep_freed_memory() is False
    allocator.give_back_freed_memory()


def encoding(device: str, images: int) -> str:
    """A script that extracts features and says how often the allocator was told to keep and to give back."""
    return f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from tests.features.small_encoder import SmallEncoder, random_pixels
from vlprompt.features import FeatureExtractor, extraction
calls = []
extraction.keep_freed_memory = lambda: calls.append("keep")
extraction.give_back_freed_memory = lambda: calls.append("give_back")
encoder = SmallEncoder()
encoder.device = torch.device({device!r})
extractor = FeatureExtractor(encoder, cache=None, batch_size=4, workers=0)
try:
    extractor.extract([random_pixels(seed) for seed in range({images})])
except Exception:
    pass
print(*calls)
"""


@pytest.mark.parametrize(
    ("device", "images", "expected"),
    [("cpu", 0, []), ("cpu", 3, ["keep"]), ("cpu", 9, ["keep", "give_back"]), ("meta", 9, [])],
)
def test_the_extractor_keeps_memory_while_it_encodes_on_the_cpu(device: str, images: int, expected: list[str]) -> None:
    assert run(encoding(device, images)) == expected


class Told(Exception):
    """Raised where the allocator would be told."""


def raise_told() -> bool:
    raise Told


def test_the_command_line_keeps_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "keep_freed_memory", raise_told)
    with pytest.raises(Told):
        main(["cache", "info"])


def test_help_tells_the_allocator_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "keep_freed_memory", raise_told)
    assert main(["--help"]) == 0


def test_a_benchmarks_workers_keep_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(allocator, "keep_freed_memory", raise_told)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    setup = Setup(tmp_path, BASE_TO_NEW, "mini", "cpu", "fp32", {}, None, threads=1, max_pixels=MAX_PIXELS)
    with pytest.raises(Told):
        setup.bench()
