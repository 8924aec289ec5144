"""Move the batches of other loaders, such as those of torch, to one device."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from ulmfit_easy.data.held import hash_of_held
from ulmfit_easy.data.order import first_batch
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.reprs import described


def size_of(dl: Iterable) -> str:
    """Return the rows of a loader, or its batches, or nothing if it knows neither."""
    if hasattr(dl, "n_rows"):
        return f"{dl.n_rows:,} rows"
    try:
        return f"{len(dl):,} batches"  # type: ignore[arg-type]  # this too
    except TypeError:
        return "any number of batches"


class OnDevice:
    """Any iterable of batches, with each tensor moved to `device`.

    After `load_state_dict` the next iteration continues in the middle of an epoch. It starts that epoch again in its
    random state, so that a shuffling loader of torch gives the same order. Then it drops the batches before.
    """

    random: dict | None  # the state in which the last epoch began
    held: tuple[str | None, ...]
    one_batch = first_batch

    def __init__(self, dl: Iterable, device: torch.device | str = "cpu"):
        self.dl, self.device, self.position = dl, device, 0
        self.random, self.held = None, ()

    def __len__(self) -> int:
        return len(self.dl)  # type: ignore[arg-type]  # a TypeError, if it has no length

    def __repr__(self) -> str:
        return described(self, type(self.dl).__name__, size_of(self.dl), f"on {self.device}")

    def __iter__(self) -> Iterator:
        start, self.position, now = self.position, 0, random_state()
        if start and self.random:
            set_random_state(self.random)
        else:
            self.random = now
        batches = iter(self.dl)
        for _ in islice(batches, start):
            pass
        if start:
            set_random_state(now)
        for batch in batches:
            yield changed(batch, lambda tensor: tensor.to(self.device))

    def fingerprint(self) -> str | None:
        """Return a hash of the rows and labels that the dataset holds in memory, None if it holds none.

        It is taken once, because a dataset may put what it has loaded next to them.
        """
        self.held = self.held or (hash_of_held(getattr(self.dl, "dataset", self.dl)),)
        return self.held[0]

    def state_dict(self) -> dict:
        """Return the random state in which the last epoch began, and the position in it where it is to continue."""
        return {"random": self.random, "position": self.position}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        self.random, self.position = state["random"], state["position"]

    def __getattr__(self, name: str) -> Any:
        if name == "dl":  # while a copy or an unpickled object is still empty
            raise AttributeError(name)
        return getattr(self.dl, "batch_size" if name == "bs" else name)


def changed(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return a value with each tensor in it changed. Lists in it become tuples."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return tuple(changed(v, change) for v in value)
    return {k: changed(v, change) for k, v in value.items()} if isinstance(value, dict) else value
