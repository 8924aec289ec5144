"""The processors of this process, and which one of several it is, as torchrun and `accelerate launch` tell it.

It needs no torch.
"""

import os
from functools import cache


@cache
def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def world() -> int:
    """Return how many processes train one model together. 1 unless a launcher started several."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def rank() -> int:
    """Return the number of this process, from 0 on."""
    return int(os.environ.get("RANK") or 0) if world() > 1 else 0


def is_main() -> bool:
    """Return True for the process that prints and writes: the first of several, or the only one."""
    return rank() == 0
