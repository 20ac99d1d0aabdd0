"""The most memory that this process has held since a moment."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def forget_peak(device: str) -> None:
    """Begin anew, in main memory and on a GPU."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes() -> int | None:
    """Of main memory, since `forget_peak`; None where the system does not tell it (it is Linux that does)."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def peak_gpu_bytes(device: str) -> int | None:
    """Of a GPU's memory, since `forget_peak`; None without a GPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)
