from __future__ import annotations

import mmap
import sys

import pytest

from vlprompt.process.peak_memory import forget_peak, peak_bytes, peak_gpu_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells it")
def test_the_peak_is_of_what_was_held_since_it_was_forgotten():
    size = 200_000_000
    forget_peak("cpu")
    before = peak_bytes()
    with mmap.mmap(-1, size) as held:  # goes back to the system at once, whatever the allocator keeps
        for place in range(0, size, 4096):
            held[place] = 1
        assert peak_bytes() - before > 0.9 * size
    forget_peak("cpu")
    assert peak_bytes() - before < 0.5 * size


def test_without_a_gpu_there_is_no_peak_of_one():
    assert peak_gpu_bytes("cpu") is None
