"""Messages between processes that train one model. For one process, each function here answers at once.

A launcher starts the processes: torchrun, `accelerate launch`, or `ulmfit train --processes`. accelerate joins them to
a group and gives each its device. All of them have to call these functions in the same order.
"""

import atexit
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.errors import TrainingError, UlmfitError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.processes import ignore_interrupts, is_main, rank, world

T = TypeVar("T")
TIMEOUT = timedelta(hours=2)  # the others wait while one works alone; a process that ends is noticed at once


@contextmanager
def _together() -> Iterator[None]:
    """Say with E508 that another process has ended: torch tells of a connection that was closed."""
    try:
        yield
    except UlmfitError:
        raise
    except RuntimeError as e:
        error = TrainingError("E508", received=f"no answer from another of the {world()} processes, of which this is "
                              f"number {rank()}", expected="all of them until the end",
                              fix="look at the error of the process that ended first, then start all of them again; a "
                              "fit with CheckpointCallback(resume=True) goes on from its last checkpoint")
        vars(error)["told"] = None  # the process that ended tells it, or its launcher, unless it was killed
        raise error from e


def start() -> None:
    """Join the processes that a launcher started, and take this one's device. Does nothing for one process.

    Raises: E507 without accelerate. E508 if another process does not come.
    """
    if world() > 1 and not dist.is_initialized():
        with _together():
            optional_package("accelerate").PartialState(timeout=TIMEOUT)
        atexit.register(_leave)


def _leave() -> None:
    """Close the connections before Python ends: a thread of torch that still waits on one would abort the process."""
    if dist.is_initialized():
        ignore_interrupts()
        dist.destroy_process_group()


def gathered(value: T) -> list[T]:
    """Return the value of each process, by their numbers."""
    if world() == 1:
        return [value]
    start()
    values: list = [None] * world()
    with _together():
        dist.all_gather_object(values, value)
    return values


def from_main(make: Callable[[], T]) -> T:
    """Return what `make()` returns in the main process, which alone calls it. Its error is raised in all of them."""
    if world() == 1:
        return make()
    value: Any = None
    error: UlmfitError | None = None
    if is_main():
        try:
            value = make()
        except UlmfitError as e:
            error = e
    value, error = gathered((value, error))[0]
    if error is not None:
        vars(error)["told"] = not is_main()  # the main process tells it
        raise error
    return value


def largest(*numbers: int) -> list[int]:
    """Return the largest of all processes for each number."""
    if world() == 1:
        return [*numbers]
    return [max(each) for each in zip(*gathered(numbers), strict=True)]


def wait() -> None:
    """Wait until all processes are here. One process alone, or with no group yet, does not wait."""
    if world() > 1 and dist.is_initialized():
        gathered(None)


def summed(t: Tensor) -> Tensor:
    """Return a tensor with the sum over all processes in it."""
    with _together():
        dist.all_reduce(t)
    return t


def mean_gradients(parameters: list[Tensor]) -> None:
    """Give each parameter the mean of its gradients in all processes.

    A parameter without a gradient in one process counts as 0 there. One without any keeps none.
    """
    device = parameters[0].device if parameters else None
    there = summed(torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=device))
    having: list[Any] = [p for p, n in zip(parameters, there.tolist(), strict=True) if n]
    for p in having:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad.contiguous()
    with _together():
        for work in [dist.all_reduce(p.grad, async_op=True) for p in having]:
            work.wait()
    torch._foreach_div_([p.grad for p in having], world())


def like_main(tensors: list[Tensor]) -> None:
    """Put the main process's numbers into these tensors."""
    with _together():
        for t in tensors:
            dist.broadcast(t, 0)


def same_random() -> None:
    """Put the random state of the main process into all, so that all of them draw the same rows and weights."""
    if world() > 1:
        set_random_state(gathered(random_state())[0])


def own_random() -> None:
    """Let each process but the main one draw numbers of its own, such as masks of dropout, that the seed decides."""
    if rank():
        seed = int(torch.randint(2**31, ())) + rank()
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
