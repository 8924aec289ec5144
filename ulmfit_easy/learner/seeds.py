"""Random numbers that can be had again."""

import random
from contextlib import contextmanager

import numpy as np
import torch

from ulmfit_easy.data.random_state import checked_seed, random_state, set_random_state
from ulmfit_easy.learner.turns import turn_to_fit


def set_seed(s: int, reproducible: bool = False):
    """Seed Python, numpy and torch; `reproducible` also makes cuDNN deterministic, at some cost in speed."""
    s = checked_seed(s)
    random.seed(s)
    np.random.seed(s % 2**32)
    torch.manual_seed(s)
    if reproducible:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextmanager
def no_random(seed: int = 42, reproducible: bool = True):
    """Random numbers from `seed` for the length of a block; after it they go on as if there had been none.

    All threads share Python's, numpy's and torch's generators. So the fits and the blocks of other threads wait for
    the end of this one: what is built and trained in such a block is the same, alone or beside other threads.

    Args:
        reproducible: also a deterministic cuDNN for the length of the block.
    """
    cudnn = torch.backends.cudnn
    with turn_to_fit():
        before, flags = random_state(), (cudnn.deterministic, cudnn.benchmark)

        def put_back():
            set_random_state(before)
            cudnn.deterministic, cudnn.benchmark = flags

        try:
            try:
                set_seed(seed, reproducible)
                yield
            finally:
                put_back()
        finally:
            put_back()  # a Ctrl-C may have broken into the lines above
