"""Forking after something was computed: the child computes on one thread, where else it would wait for ever.

torch's pool of threads does not survive a fork, and GNU's OpenMP waits for those that are gone. One thread needs none.
"""

from __future__ import annotations

import os
from functools import cache


@cache
def survive_forks() -> None:
    """From now on let every forked child of this process compute on one thread; called again, it does nothing."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_compute_alone)


def _compute_alone() -> None:
    import torch

    torch.set_num_threads(1)
