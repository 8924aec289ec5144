"""Seeds: the same random numbers again."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ulmfit_easy.cleanup import ending_with
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.learner.turns import turn_to_fit
from ulmfit_easy.schema import takes, whole


@takes({"s": whole(0, (1 << 63) - 1)})
def set_seed(s: int, reproducible: bool = False) -> None:
    """Seed Python, numpy and torch. `reproducible` also makes cuDNN deterministic, at some cost in speed."""
    random.seed(s)
    np.random.seed(s % 2**32)
    torch.manual_seed(s)
    if reproducible:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextmanager
def no_random(seed: int = 42, reproducible: bool = True) -> Iterator[None]:
    """Draw random numbers from `seed` in a `with` block. After it they continue as if the block had drawn none.

    All threads share Python's, numpy's and torch's generators. So the fits and the blocks of other threads wait for
    the end of this one: what is built and trained in such a block is the same, alone or next to other threads.

    Args:
        seed: any integer. Default 42.
        reproducible: also make cuDNN deterministic in the block. Default True.
    """
    cudnn = torch.backends.cudnn
    with turn_to_fit():
        before, flags = random_state(), (cudnn.deterministic, cudnn.benchmark)

        def put_back():
            set_random_state(before)
            cudnn.deterministic, cudnn.benchmark = flags

        with ending_with(put_back):
            set_seed(seed, reproducible)
            yield
