"""Count the processors, and tell the rank of this process among those that torchrun or `accelerate launch` started.

It needs no torch.
"""

import os
import signal


def processors() -> int:
    """Return how many processors this process may run on. The CPU quota of a container is not counted."""
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


def ignore_interrupts() -> None:
    """Ignore Ctrl-C until this process ends.

    The launcher's signal may come after another process has stopped this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
