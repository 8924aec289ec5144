"""Seeds, and the state of the global random generators as values that a file can hold."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def random_state() -> dict:
    """Return the state of every global random generator, as tensors and plain values."""
    version, words, gauss = random.getstate()
    numpy = np.random.get_state(legacy=False)
    return {"python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
            "numpy": {"name": numpy["bit_generator"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
                      "pos": numpy["state"]["pos"], "has_gauss": numpy["has_gauss"], "cached": numpy["gauss"]},
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None}


def set_random_state(state: dict) -> None:
    """Put every global random generator back to a state from `random_state`."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state((numpy["name"], numpy["key"].numpy().astype(np.uint32), numpy["pos"], numpy["has_gauss"],
                         numpy["cached"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def python_random_kept() -> Iterator[None]:
    """Put Python's random numbers back after a block that imports.

    Some modules draw numbers while they are imported. A fit that is the first to need one must come to the same
    numbers as a fit that finds it imported.
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
