"""The benchmarks that call most of the package run to their end, so that a change of what they call is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tools.tool_modules import benchmark

BENCHMARKS = Path(__file__).parents[2] / "speed"

recorded = benchmark("recording").recorded

LEFT, RIGHT, BIAS = torch.ones(4, 8), torch.ones(8, 2), torch.ones(2)


def figures_of(script: str, small: list[str], folder: Path) -> dict[str, Any]:
    file = folder / "figures.json"
    command = [sys.executable, str(BENCHMARKS / script), *small, "--threads", "1", "--rounds", "1", "--json", str(file)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    figures: dict[str, Any] = json.loads(file.read_text())["figures"]
    return figures


@pytest.mark.parametrize(
    ("script", "figure"),
    [
        ("training_step.py", "max_gradient_error"),
        ("roofline.py", "reached_of_limit"),
        ("pixel_step.py", "maple_to_cocoop_memory"),
    ],
)
def test_a_benchmark_of_a_step_gives_its_figures(tmp_path: Path, script: str, figure: str) -> None:
    assert figure in figures_of(script, ["--model", "ViT-B-32", "--classes", "3"], tmp_path)


def test_a_laptops_fit_with_a_head_encodes_each_picture_once_and_with_cocoop_ten_views_more(tmp_path: Path) -> None:
    figures = figures_of("laptop.py", ["--model", "mini", "--method", "gda", "--pictures", "12"], tmp_path)
    assert figures["after_encodings"] == 12
    assert figures["before_encodings"] == 12 + 10 * 12
    assert 0 < figures["after_first_line_s"] <= figures["after_wall_s"]


def test_a_recording_keeps_products_forward_and_backward_in_their_order() -> None:
    left = LEFT.clone().requires_grad_()
    recording = recorded(lambda: torch.addmm(BIAS, left.exp(), RIGHT).sum().backward())
    assert [operation.overloadpacket.__name__ for operation, *_ in recording.products] == ["addmm", "mm"]
    assert [given[0].shape for _, given, _ in recording.products] == [(2,), (4, 2)]


@pytest.mark.parametrize(
    ("moved", "numbers"),
    [
        (lambda: LEFT.exp(), 2 * 32),
        (lambda: LEFT.clone().add_(1.0), 4 * 32),
        (lambda: torch.empty(4, 8).copy_(LEFT), 2 * 32),
        (lambda: torch.exp(LEFT, out=torch.empty(4, 8)), 2 * 32),
        (lambda: LEFT[:1].expand(4, 8) + LEFT, 8 + 2 * 32),
        (lambda: LEFT.view(8, 4).T, 0),
        (lambda: LEFT @ RIGHT, 0),
    ],
    ids=["exp", "in place", "copy", "out", "repeated", "views", "product"],
)
def test_a_recording_counts_the_bytes_that_passes_read_and_write(moved: Callable[[], Any], numbers: int) -> None:
    assert recorded(moved).pass_bytes == 4 * numbers
