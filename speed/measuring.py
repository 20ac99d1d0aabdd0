"""Times, memory and the machine, measured the same way in every benchmark.

Ratios come from one process, the ways interleaved (A B A B ...), the median of at least five rounds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""Processor time is of use where other programs run beside, and with one thread: waiting threads spin."""

SGEMM_SIZE = 2048


def parser(description: str, *, rounds: bool = True, threads: bool = True) -> argparse.ArgumentParser:
    """The options that benchmarks share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", type=Path, help="write the figures to this file")
    if rounds:
        options.add_argument("--rounds", type=int, default=5, help="timed rounds of each way (median is reported)")
    if threads:
        options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="processor: beside other programs")
    return options


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int, clock: str = "wall") -> dict[str, float]:
    """Median seconds of each way, after one untimed run of each."""
    now = CLOCKS[clock]
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = now()
            way()
            seconds[name].append(now() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_bytes(way: Callable[[], Any]) -> int:
    """How far the resident memory of this process rises above where it stood while `way` runs (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    way()
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def sgemm_rate(rounds: int = 5, size: int = SGEMM_SIZE, clock: str = "wall") -> float:
    """Floating-point operations a second of a large square fp32 matrix product, on the threads in use."""
    return sgemm_operations(size) / interleaved({"sgemm": sgemm(size)}, rounds, clock)["sgemm"]


def sgemm(size: int = SGEMM_SIZE) -> Callable[[], torch.Tensor]:
    """A large square fp32 matrix product."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    return lambda: left @ right


def sgemm_operations(size: int = SGEMM_SIZE) -> int:
    return 2 * size**3


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def report(title: str, figures: Mapping[str, Any], path: Path | None) -> None:
    """Print one table; write the figures with the machine where asked."""
    print(f"{title}\n{'-' * len(title)}")
    for name, value in figures.items():
        print(f"{name:32} {value:.4g}" if isinstance(value, float) else f"{name:32} {value}")
    if path is not None:
        path.write_text(json.dumps({"title": title, "figures": dict(figures), "machine": machine()}, indent=1))
