"""The order in which a loader takes its rows: fixed, or new each epoch and repeatable."""

import copy
from collections.abc import Sequence

import numpy as np
import torch


class EpochOrder:
    """Rows and their order; the order of an epoch depends on the seed and the number of the epoch alone.

    A `state_dict()` taken before an epoch starts gives that same epoch again after `load_state_dict`.
    """

    def __init__(self, rows: Sequence[int], *, shuffle: bool, seed: int | None, device):
        self.rows, self.shuffle = np.asarray(rows, dtype=np.int64), shuffle
        self.seed = int(torch.randint(2**31, ())) if seed is None and shuffle else seed
        self.epoch, self.device = 0, torch.device("cpu" if device is None else device)

    @property
    def n_rows(self) -> int:
        """The number of documents."""
        return len(self.rows)

    def unshuffled(self):
        """This loader with its rows in a fixed order."""
        fixed = copy.copy(self)
        fixed.shuffle = False
        return fixed

    def next_rng(self) -> np.random.Generator:
        """The random numbers of the epoch that starts now."""
        self.epoch += 1
        return np.random.default_rng([self.seed, self.epoch])

    def next_order(self) -> np.ndarray:
        """The rows in the order of the epoch that starts now, (N,) int64."""
        return self.next_rng().permutation(self.rows) if self.shuffle else self.rows

    def state_dict(self) -> dict:
        """The seed and the number of epochs that were started."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict):
        """Go on from `state_dict()`."""
        self.seed, self.epoch = state["seed"], state["epoch"]
