"""Batches for a text classifier: texts of like length together, padded on the right, with their lengths."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.order import EpochOrder
from ulmfit_easy.text.special import PAD_ID

POOL = 50  # batches whose rows are sorted together: alike in length, yet new company each epoch


class ClassifierDataLoader(EpochOrder):
    """Batches `(ids (B, T) int64, lengths (B,) int64, y)`, or without y where there are no targets.

    Not shuffled, the longest rows come first, and `order` says which of `rows` each yielded row is.
    Shuffled, the batch with the longest row comes first, so that a lack of memory shows at once; rows are
    sorted by length in pools of 50 batches, and the other batches come in random order. No shuffled batch
    has one row alone, unless `bs` is 1 or there is no other row (batch normalisation needs two).

    Args:
        ids: an `IdStore`.
        rows: the documents, (N,).
        targets: N rows, in the order of `rows`.
        backwards: read each text from its end; padding stays on the right.
    """

    n_inp = 2

    def __init__(self, ids, rows: Sequence[int], targets=None, *, bs: int = 64, shuffle: bool = False,
                 backwards: bool = False, seed: int | None = None, device=None):
        super().__init__(ids, rows, shuffle=shuffle, seed=seed, device=device)
        self.bs, self.backwards = bs, backwards
        self.targets = None if targets is None else torch.as_tensor(targets)
        self.lengths = np.asarray(ids.lengths)[self.rows]  # (N,)
        self.order = np.argsort(-self.lengths, kind="stable")  # (N,) positions in `rows`, longest first

    def __len__(self) -> int:
        n, rest = divmod(self.n_rows, self.bs)
        return n + (rest > 0) - (self.shuffle and n > 0 and rest == 1)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start = self.begin()
        batches = self._shuffled() if self.shuffle else self._cut(self.order)
        for positions in batches[start:]:
            yield self._batch(positions)

    def _cut(self, positions: np.ndarray) -> list[np.ndarray]:
        return [positions[i:i + self.bs] for i in range(0, len(positions), self.bs)]

    def _shuffled(self) -> list[np.ndarray]:
        rng = self.rng(self.epoch)
        mixed = np.concatenate([self.order[:1], rng.permutation(self.order[1:])])
        pools = [mixed[i:i + POOL * self.bs] for i in range(0, len(mixed), POOL * self.bs)]
        batches = self._cut(np.concatenate([p[np.argsort(-self.lengths[p], kind="stable")] for p in pools]))
        if len(batches) > 1 and len(batches[-1]) == 1 < self.bs:
            batches[-2:] = [np.concatenate(batches[-2:])]
        return [batches[0]] + [batches[1 + i] for i in rng.permutation(len(batches) - 1)]

    def _batch(self, positions: np.ndarray) -> tuple[Tensor, ...]:
        lengths = self.lengths[positions]  # (B,)
        ids = np.full((len(positions), max(1, lengths.max())), PAD_ID, dtype=np.int64)  # (B, T)
        for row, (position, n) in enumerate(zip(positions, lengths, strict=True)):
            doc = self.ids[self.rows[position]]  # (n,)
            ids[row, :n] = doc[::-1] if self.backwards else doc
        batch = torch.from_numpy(ids), torch.from_numpy(lengths.astype(np.int64))
        if self.targets is not None:
            batch += (self.targets[torch.from_numpy(positions)],)
        return tuple(t.to(self.device) for t in batch)
