"""Batches for a text classifier: texts of like length together, padded on the right, with their lengths."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.balance import checked_weights, draw_rows, strayed
from ulmfit_easy.data.budget import buckets, cut_by_tokens
from ulmfit_easy.data.order import EpochOrder, Ids, of_tokens
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.schema import optional, takes, whole
from ulmfit_easy.text.vocab import padded

POOL = 50  # batches whose rows are sorted together: alike in length, yet new company each epoch


class ClassifierDataLoader(EpochOrder):
    """A loader of batches `(ids (B, T) int64, lengths (B,) int64, y)`, or without y if there are no targets.

    Texts of similar length share a batch, so that there is little padding.

    Without `shuffle` the longest texts come first. `order` then says which of `rows` each row of a batch is.
    With `shuffle` texts are sorted by length within pools of 50 batches, and batches come in random order. The batch
    with the longest text still comes first, so that a lack of memory shows at once. No batch has a single row,
    because batch normalisation needs two (unless `bs` is 1, or there is only one row).

    With `max_tokens` a batch has as many rows as fit into that many tokens. The batch with the most tokens comes
    first. Each epoch groups the rows again, into the same number of batches.

    Args:
        ids: an `IdStore`, or anything with its `lengths`, `pad_id` and `ids[i]`.
        rows: the documents, (N,).
        targets: N rows, in the order of `rows`. Whole numbers (N, T) are one target for each token, with -100 for no
            target.
        backwards: read each text from its end. Padding stays on the right.
        max_tokens: the most tokens of a batch, padding included. It replaces `bs`.
        weights: (N,) how often each row is drawn, relative to the others. Each epoch draws N rows. Needs `shuffle`.

    Raises: E602 for invalid weights, E603 for weights with `max_tokens` or without `shuffle`.
    """

    n_inp = 2

    @takes({"bs": whole(), "max_tokens": optional(whole())})
    def __init__(self, ids: Ids, rows: Sequence[int] | np.ndarray, targets: np.ndarray | Tensor | None = None, *,
                 bs: int = 64, shuffle: bool = False, backwards: bool = False, seed: int | None = None,
                 device: torch.device | str | None = None, max_tokens: int | None = None,
                 weights: Sequence | np.ndarray | None = None):
        super().__init__(ids, rows, shuffle=shuffle, seed=seed, device=device)
        self.bs, self.backwards, self.max_tokens = bs, backwards, max_tokens
        self.weights = None if weights is None else checked_weights(weights, self.n_rows)
        if weights is not None and (max_tokens or not shuffle):
            raise ArgumentError("E603", received=f"weights with shuffle={shuffle}, max_tokens={max_tokens}",
                                expected="weights for shuffled batches of bs rows",
                                fix="leave max_tokens out, or use class_weights(dls) in the loss instead of weights")
        if max_tokens:
            self.recipe["max_tokens"] = max_tokens
        if self.weights is not None:
            self.recipe["weights"] = sha256_bytes(self.weights.tobytes())
        self.targets = None if targets is None else torch.as_tensor(targets)
        self.lengths = np.asarray(ids.lengths)[self.rows]  # (N,)
        self.order = np.argsort(-self.lengths, kind="stable")  # (N,) positions in `rows`, longest first

    def __len__(self) -> int:
        if self.max_tokens:
            return sum(n for _, n in self._buckets(self.max_tokens)) if self.shuffle else len(self._cut(self.order))
        n, rest = divmod(len(self.lengths), self.bs)
        return n + (rest > 0) - (n > 0 and 0 < rest < self.least)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start = self.begin()
        batches = self._shuffled(self.epoch) if self.shuffle else self._cut(self.order)
        for positions in map(self._own, batches[start:]):
            if len(positions):
                yield self._batch(positions)

    @property
    def least(self) -> int:
        """The rows that the last batch has at least: one for each process, and two for batch normalisation."""
        return max(self.world, 1 + (self.shuffle and self.bs > 1))

    def _own(self, positions: np.ndarray) -> np.ndarray:
        """Return the part of a batch that this process reads: the rows are dealt by their length."""
        if self.world == 1:
            return positions
        return positions[np.argsort(-self.lengths[positions], kind="stable")][self.rank::self.world]

    def typical(self, n: int) -> "ClassifierDataLoader":
        """Return a loader of the rows of `n` batches, those whose size is nearest to the mean, padding included."""
        batches = self._shuffled(self.epoch) if self.shuffle else self._cut(self.order)
        sizes = np.array([len(batch) * self.lengths[batch].max() for batch in batches])
        picked = np.concatenate([batches[i] for i in np.argsort(np.abs(sizes - sizes.mean()), kind="stable")[:n]])
        return ClassifierDataLoader(self.ids, self.rows[picked], None if self.targets is None else self.targets[picked],
                                    bs=self.bs, backwards=self.backwards, device=self.device)

    def _cut(self, positions: np.ndarray) -> list[np.ndarray]:
        if self.max_tokens:
            return [positions[part] for part in cut_by_tokens(self.lengths[positions], self.max_tokens, self.world)]
        batches = [positions[i:i + self.bs] for i in range(0, len(positions), self.bs)]
        if len(batches) > 1 and len(batches[-1]) < self.least:
            batches[-2:] = [np.concatenate(batches[-2:])]
        return batches

    def _buckets(self, max_tokens: int) -> list[tuple[slice, int]]:
        return buckets(self.lengths[self.order], max_tokens, max(2, self.world))

    def _shuffled(self, epoch: int) -> list[np.ndarray]:
        rng = self.rng(epoch)
        batches = self._of_tokens(rng, self.max_tokens) if self.max_tokens else self._of_rows(rng)
        return [batches[0]] + [batches[1 + i] for i in rng.permutation(len(batches) - 1)]

    def _of_tokens(self, rng: np.random.Generator, max_tokens: int) -> list[np.ndarray]:
        """Return batches within the budget, the largest one first."""
        batches = [part for rows, n in self._buckets(max_tokens)
                   for part in np.array_split(rng.permutation(self.order[rows]), n)]
        largest = int(np.argmax([len(rows) * self.lengths[rows].max() for rows in batches]))
        return [batches.pop(largest), *batches]

    def _of_rows(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Return batches of `bs` rows, the one with the longest row first."""
        rows = self.order
        keys = self.lengths[rows].astype(np.float64)  # (N,) by which rows meet
        if self.weights is not None:
            rows = draw_rows(self.weights, rng)
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")]  # longest first
            keys = strayed(self.lengths[rows], rng)
            keys[0] = np.inf
        mixed = np.concatenate([[0], 1 + rng.permutation(len(rows) - 1)])  # places in `rows`
        pools = [mixed[i:i + POOL * self.bs] for i in range(0, len(mixed), POOL * self.bs)]
        return self._cut(rows[np.concatenate([p[np.argsort(-keys[p], kind="stable")] for p in pools])])

    def _batch(self, positions: np.ndarray) -> tuple[Tensor, ...]:
        docs = [self.ids[row] for row in self.rows[positions]]
        ids, lengths = padded(docs, self.ids.pad_id, self.backwards)  # (B, T), (B,)
        batch: tuple[Tensor, ...] = torch.from_numpy(ids), torch.from_numpy(lengths)
        if self.targets is not None:
            y = self.targets[torch.from_numpy(positions)]  # (B, ...)
            if y.ndim == 2 and not y.is_floating_point():
                y = y[:, :ids.shape[1]]  # (B, T)
                for row, n in zip(y, lengths, strict=True):
                    row[:n] = of_tokens(row, n, self.backwards)
            batch += (y,)
        return tuple(t.to(self.device) for t in batch)
