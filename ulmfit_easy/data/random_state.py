"""Seeds, and the state of the global random generators as values that a file can hold."""

import random
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch

from ulmfit_easy.errors import TrainingError


def checked_seed(seed) -> int | None:
    """Return a seed as Python's int, or None; E502 for what is no whole number from 0 on."""
    if seed is None:
        return None
    if not isinstance(seed, Integral) or not 0 <= seed < 2**63:
        raise TrainingError("E502", received=f"seed={seed!r}", expected="a whole number, 0 or more, of 63 bits",
                            fix="try seed=0; None is another one each time")
    return int(seed)


def random_state() -> dict:
    """Return the state of every global random generator, as tensors and plain values."""
    version, words, gauss = random.getstate()
    name, key, pos, has_gauss, cached = np.random.get_state()
    return {"python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
            "numpy": {"name": name, "key": torch.from_numpy(key.astype(np.int64)), "pos": pos,
                      "has_gauss": has_gauss, "cached": cached},
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None}


def set_random_state(state: dict):
    """Put every global random generator back to a state from `random_state`."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state((numpy["name"], numpy["key"].numpy().astype(np.uint32), numpy["pos"], numpy["has_gauss"],
                         numpy["cached"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def python_random_kept():
    """Put Python's random numbers back after a block that imports.

    Some modules draw numbers while they are imported. A fit that is the first to need one must come to the same
    numbers as a fit that finds it imported.
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
