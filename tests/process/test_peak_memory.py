from __future__ import annotations

import sys

import pytest

from vlprompt.process.peak_memory import forget_peak, peak_bytes, peak_gpu_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells it")
def test_the_peak_is_of_what_was_held_since_it_was_forgotten():
    size = 200_000_000
    forget_peak("cpu")
    before = peak_bytes()
    held = bytearray(size)
    held[::4096] = b"1" * len(held[::4096])
    assert peak_bytes() - before > 0.9 * size
    del held
    forget_peak("cpu")
    assert peak_bytes() - before < 0.5 * size


def test_without_a_gpu_there_is_no_peak_of_one():
    assert peak_gpu_bytes("cpu") is None
