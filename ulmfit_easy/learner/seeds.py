"""Random numbers that can be had again."""

import random
from contextlib import contextmanager

import numpy as np
import torch

from ulmfit_easy.data.random_state import checked_seed, random_state, set_random_state


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

    Args:
        reproducible: also a deterministic cuDNN for the length of the block.
    """
    before, cudnn = random_state(), torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    try:
        set_seed(seed, reproducible)
        yield
    finally:
        set_random_state(before)
        cudnn.deterministic, cudnn.benchmark = flags
