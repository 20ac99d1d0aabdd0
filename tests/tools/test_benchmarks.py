"""The benchmarks that measure a training step run to their end, so that a change of what they call is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "speed"


@pytest.mark.parametrize(
    ("script", "figure"),
    [
        ("training_step.py", "max_gradient_error"),
        ("roofline.py", "autograd_ratio"),
        ("pixel_step.py", "maple_to_cocoop_memory"),
    ],
)
def test_a_benchmark_of_a_step_gives_its_figures(tmp_path: Path, script: str, figure: str) -> None:
    small = ["--model", "ViT-B-32", "--classes", "3", "--rounds", "1", "--threads", "1"]
    command = [sys.executable, str(BENCHMARKS / script), *small, "--json", str(tmp_path / "figures.json")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert figure in json.loads((tmp_path / "figures.json").read_text())["figures"]
