"""Batches for a language model: the corpus as `bs` long streams that are read side by side."""

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.order import EpochOrder
from ulmfit_easy.errors import TextError, TrainingError


class LMDataLoader(EpochOrder):
    """Batches `(xb (B, T), yb (B, T))` int64, where yb is xb one token later in the stream.

    The documents follow each other in one stream, which is cut into `bs` equal parts, one for each row.
    Row b of batch n+1 continues row b of batch n, so that a hidden state can be carried along. Only the last
    batch is shorter than `seq_len`. A batch reads bs * (seq_len + 1) tokens, whatever the size of the corpus.

    With `n_batches` an epoch is that many batches, and the next one reads on where it ended: after the last batch
    of the corpus comes the first one of a new order. So one schedule can span a budget that is no whole number of
    passes, and a long pass can be validated several times. The batches are those of whole passes, cut elsewhere.

    Args:
        ids: an `IdStore`, or anything with its `lengths` and `read(doc, start, stop)`.
        rows: the documents.
        bs: rows of a batch; fewer if there is too little text for `seq_len` in each.
        shuffle: put the documents in a new order each epoch.
        backwards: read each document from its end.
        n_batches: batches of an epoch; None for the whole corpus.

    Raises: E103 for fewer than two tokens, E502 for `n_batches` below 1.
    Source: Merity et al. 2017 (arXiv 1708.02182), section 4.
    """

    n_inp = 1

    def __init__(self, ids, rows: Sequence[int], *, bs: int = 64, seq_len: int = 72, shuffle: bool = False,
                 backwards: bool = False, seed: int | None = None, device=None, n_batches: int | None = None):
        super().__init__(ids, rows, shuffle=shuffle, seed=seed, device=device)
        self.seq_len, self.backwards, self.n_batches = seq_len, backwards, n_batches
        if n_batches is not None and n_batches < 1:
            raise TrainingError("E502", received=f"n_batches={n_batches}", expected="1 or more batches an epoch",
                                fix="leave it out for the whole corpus")
        n_tokens = int(ids.lengths[self.rows].sum())
        if n_tokens < 2:
            raise TextError("E103", received=f"{len(self.rows):,} documents with {n_tokens} tokens in all",
                            expected="two or more, one to read and one to predict", fix="give more text")
        self.bs = max(1, min(bs, (n_tokens - 1) // seq_len))
        if self.bs < bs and shuffle:
            warnings.warn(f"{n_tokens:,} tokens are too few for {bs} rows of {seq_len} tokens: training with "
                          f"bs={self.bs}", stacklevel=2)
        self.row_len = (n_tokens - 1) // self.bs  # tokens of each row; the rest at the end is left out

    @property
    def pass_len(self) -> int:
        """The batches of one pass over the corpus."""
        return math.ceil(self.row_len / self.seq_len)

    def __len__(self) -> int:
        return self.pass_len if self.n_batches is None else self.n_batches

    def unshuffled(self) -> "LMDataLoader":
        """A loader of one pass over the corpus in a fixed order."""
        fixed = super().unshuffled()
        fixed.n_batches = None
        return fixed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        start, docs = self.begin(), None
        for n in range((self.epoch - 1) * len(self) + start, self.epoch * len(self)):
            i_pass, batch = divmod(n, self.pass_len)
            if docs is None or batch == 0:
                docs = self.order_of(i_pass)
                ends = np.cumsum(self.ids.lengths[docs])  # (N,) where each document ends in the stream
            at = batch * self.seq_len
            n_read = min(self.seq_len, self.row_len - at) + 1
            rows = [self._read(docs, ends, b * self.row_len + at, n_read) for b in range(self.bs)]
            tokens = torch.from_numpy(np.stack(rows)).to(self.device)  # (B, T + 1)
            yield tokens[:, :-1], tokens[:, 1:]

    def order_of(self, i_pass: int) -> np.ndarray:
        """The documents in the order of a pass over the corpus, counted from 0, (N,) int64."""
        return self.rng(i_pass + 1).permutation(self.rows) if self.shuffle else self.rows

    def _read(self, docs: np.ndarray, ends: np.ndarray, start: int, n: int) -> np.ndarray:
        """The n tokens of the stream from `start` on, (n,) int64."""
        out = np.empty(n, dtype=np.int64)
        i, done = int(np.searchsorted(ends, start, side="right")), 0
        while done < n:
            doc = docs[i]
            length = int(self.ids.lengths[doc])
            a = start + done - (int(ends[i]) - length)  # position inside the document
            b = min(length, a + n - done)
            out[done:done + b - a] = (self.ids.read(doc, length - b, length - a)[::-1] if self.backwards
                                      else self.ids.read(doc, a, b))
            done, i = done + b - a, i + 1
        return out
