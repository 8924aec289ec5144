"""Batches for a language model: the corpus as `bs` long streams that are read side by side."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.order import EpochOrder, Ids
from ulmfit_easy.errors import TextError
from ulmfit_easy.schema import number, optional, takes, whole
from ulmfit_easy.user_code import warn_user

SHORT, SHORTEST = 0.05, 5  # the share of batches of half the length; tokens of the shortest; both with `bptt_jitter`


class LMDataLoader(EpochOrder):
    """A loader of batches `(xb (B, T), yb (B, T))` int64, in which yb is xb shifted by one token.

    The documents follow each other in one stream, which is cut into `bs` equal parts, one for each row.
    Row b of batch n+1 continues row b of batch n, so that a hidden state can be carried along. Only the last
    batch is shorter than `seq_len`. A batch reads bs * (seq_len + 1) tokens, whatever the size of the corpus.

    With `n_batches` an epoch has that many batches, and the next epoch continues where it ended. So a training can
    stop in the middle of a pass, or validate several times in one.

    With `bptt_jitter` each epoch cuts the stream at other places. The length of a batch is drawn from the normal
    distribution N(seq_len, bptt_jitter), and once in 20 times from N(seq_len / 2, bptt_jitter). The number of batches
    stays the same. Use `RateBySeqLen` then: a short batch has fewer tokens, and needs a smaller rate.

    Args:
        ids: an `IdStore`, or anything with its `lengths` and `read(doc, start, stop)`.
        rows: the documents.
        bs: rows of a batch. There are fewer if the text is too short for `seq_len` tokens in each.
        shuffle: put the documents in a new order each epoch.
        backwards: read each document from its end.
        both_ways: give batches of (2 B, T): B rows that read forwards, then B rows that read the same documents
            backwards.
        n_batches: batches of an epoch. By default (None) an epoch reads the whole corpus.
        bptt_jitter: the standard deviation of a batch's length, in tokens. 0, as in fastai, keeps it at `seq_len`. The
            paper has 5.
        end: the id of a token to add after each document. None if the documents have their own mark, such as `xxbos`.

    Raises: E103 for fewer than two tokens.
    Source: Merity et al. 2017 (arXiv 1708.02182), sections 4 and 5 (variable length).
    """

    n_inp = 1

    @takes({"bs": whole(), "seq_len": whole(), "n_batches": optional(whole()), "bptt_jitter": number(0)})
    def __init__(self, ids: Ids, rows: Sequence[int] | np.ndarray, *, bs: int = 64, seq_len: int = 72,
                 shuffle: bool = False, backwards: bool = False, seed: int | None = None,
                 device: torch.device | str | None = None, n_batches: int | None = None, bptt_jitter: float = 0.0,
                 both_ways: bool = False, end: int | None = None):
        super().__init__(ids, rows, shuffle=shuffle, seed=seed, device=device)
        self.seq_len, self.backwards, self.n_batches = seq_len, backwards, n_batches
        self.bptt_jitter, self.ways = bptt_jitter, (False, True) if both_ways else (backwards,)
        self.end, self.n_ends = end, int(end is not None)
        if end is not None:
            self.recipe["end"] = end
        if bptt_jitter:
            self.recipe["bptt_jitter"] = bptt_jitter
            self.seed = int(torch.randint(2**31, ())) if self.seed is None else self.seed
        self.n_tokens = int((ids.lengths[self.rows] + self.n_ends).sum())
        if self.n_tokens < 2:
            raise TextError("E103", received=f"{len(self.rows):,} documents with {self.n_tokens} tokens in all",
                            expected="two tokens or more, one to read and one to predict", fix="give more text")
        self.bs = bs
        if self.bs < bs and shuffle:
            warn_user(f"few texts ({self.n_tokens:,} tokens): training with smaller batches (bs={self.bs})")

    @property
    def bs(self) -> int:
        """The rows of a batch. As many as there is text for, if more are asked for."""
        return self._bs

    @bs.setter
    @takes({"bs": whole()})
    def bs(self, bs: int) -> None:
        self._bs = max(1, min(bs, (self.n_tokens - 1) // self.seq_len))

    @property
    def whole(self) -> int:
        return self.bs

    @property
    def row_len(self) -> int:
        """The tokens of each row. What is left over at the end of the text is left out."""
        return (self.n_tokens - 1) // self.bs

    @property
    def pass_len(self) -> int:
        """The batches of one pass over the corpus."""
        if self.bptt_jitter:
            return min(self.row_len, max(1, round(self.row_len / (self.seq_len * (1 - SHORT / 2)))))
        return math.ceil(self.row_len / self.seq_len)

    def __len__(self) -> int:
        return self.pass_len if self.n_batches is None else self.n_batches

    def unshuffled(self) -> "LMDataLoader":
        """Return a loader of one pass over the corpus in a fixed order, in batches of `seq_len`."""
        fixed = super().unshuffled()
        fixed.n_batches, fixed.bptt_jitter = None, 0.0
        return fixed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        start, docs = self.begin(), None
        own = range(self.bs * self.rank // self.world, self.bs * (self.rank + 1) // self.world)  # its streams
        for n in range((self.epoch - 1) * len(self) + start, self.epoch * len(self)):
            i_pass, batch = divmod(n, self.pass_len)
            if docs is None or batch == 0:
                docs = self.order_of(i_pass)
                ends = np.cumsum(self.ids.lengths[docs] + self.n_ends)  # (N,) where each document ends in the stream
                cuts = self.cuts_of(i_pass)
            at, n_read = cuts[batch], cuts[batch + 1] - cuts[batch] + 1
            rows = [self._read(docs, ends, b * self.row_len + at, n_read, way) for way in self.ways
                    for b in own]
            if not rows:  # more processes than streams, to validate with
                return
            tokens = torch.from_numpy(np.stack(rows)).to(self.device)  # (B, T + 1)
            yield tokens[:, :-1], tokens[:, 1:]

    def order_of(self, i_pass: int) -> np.ndarray:
        """Return the documents in the order of a pass over the corpus, counted from 0, (N,) int64."""
        return self.rng(i_pass + 1).permutation(self.rows) if self.shuffle else self.rows

    def cuts_of(self, i_pass: int) -> np.ndarray:
        """Return where the batches of a pass, counted from 0, begin in each row, and the end, (pass_len + 1,) int64."""
        if not self.bptt_jitter:
            return np.minimum(np.arange(self.pass_len + 1) * self.seq_len, self.row_len)
        rng = self.rng(i_pass + 1, 1)  # not the numbers of `order_of`
        mean = np.where(rng.random(self.pass_len) < SHORT, self.seq_len / 2, self.seq_len)
        drawn = np.maximum(min(SHORTEST, self.seq_len), rng.normal(mean, self.bptt_jitter))
        shares = np.concatenate([[0], np.cumsum(drawn)]) / drawn.sum()  # (pass_len + 1,)
        more = np.rint(shares * (self.row_len - self.pass_len)).astype(np.int64)  # beside one token for each batch
        return np.arange(self.pass_len + 1) + more

    def _read(self, docs: np.ndarray, ends: np.ndarray, start: int, n: int, backwards: bool) -> np.ndarray:
        """Return the n tokens of the stream from `start` on, each document read one way, (n,) int64."""
        out = np.empty(n, dtype=np.int64)
        i, done = int(np.searchsorted(ends, start, side="right")), 0
        while done < n:
            doc = docs[i]
            length = int(self.ids.lengths[doc])
            a = start + done - (int(ends[i]) - length - self.n_ends)  # position inside the document
            stop = a + n - done
            b = min(length, stop)
            out[done:done + b - a] = (self.ids.read(doc, length - b, length - a)[::-1] if backwards
                                      else self.ids.read(doc, a, b))
            if self.end is not None and stop > length:
                b += 1
                out[done + b - a - 1] = self.end
            done, i = done + b - a, i + 1
        return out
