"""Rows of a loader one by one, as the model would read them: for looking at data and for other people's loops."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ulmfit_easy.absent import TellsAbsent

if TYPE_CHECKING:
    from ulmfit_easy.data.order import EpochOrder


class TextDataset(TellsAbsent):
    """The documents of a loader in the order of its rows: ids (T,) int64, or a pair of ids and target."""

    def __init__(self, dl: "EpochOrder"):
        self.dl = dl

    def __len__(self) -> int:
        return self.dl.n_rows

    def __getitem__(self, i: int) -> Tensor | tuple[Tensor, Tensor]:
        i = range(len(self))[i]  # IndexError beyond the last
        doc = self.dl.ids[self.dl.rows[i]]
        ids = torch.from_numpy((doc[::-1] if self.dl.backwards else doc).astype("int64"))  # (T,)
        targets = self.dl.targets
        return ids if targets is None else (ids, of_tokens(targets[i], len(ids), self.dl.backwards))


def of_tokens(target: Tensor, n: int, backwards: bool) -> Tensor:
    """Return the target of a text; of one per token, (T,) whole numbers, those of its n tokens as they are read."""
    if target.ndim != 1 or target.is_floating_point():
        return target
    return target[:n].flip(0) if backwards else target[:n]
