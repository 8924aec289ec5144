"""Batches for a masked language model that also tells if the second part of a text follows the first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.masked import MaskedDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.errors import TextError
from ulmfit_easy.text.vocab import Vocab

ENDS = ".", "!", "?", "\u3002"  # tokens that end a sentence


class NextSentenceDataLoader(MaskedDataLoader):
    """Batches `(ids (B, T), lengths (B,), at (n,), follows (B,), y (1, n))`, as `MaskedDataLoader`, of pairs.

    Each piece of a document becomes `[CLS] a [SEP] b [SEP]`. In half of the pairs `follows` is 1, and b is what stands
    after a. In the others b is a part of another document, no longer than what stands after a. A piece is split at the
    end of a sentence near a random place, or at that place if no sentence ends in it. So a "sentence" is a stretch of
    text, as in the paper.

    Which pairs follow, and where pieces are split, depends on the seed, the epoch and the piece alone. The arguments
    are those of `MaskedDataLoader`. `vocab` has a separator too.

    Raises: E103 without two documents of two tokens or more. What `MaskedDataLoader` raises.
    Source: Devlin et al. 2019 (arXiv 1810.04805), section 3.1, task 2, and appendix A.2.
    """

    n_inp = 4

    def __init__(self, ids: Ids, rows: Sequence[int] | np.ndarray, vocab: Vocab, *, seq_len: int = 72, **kwargs: Any):
        super().__init__(ids, rows, vocab, seq_len=max(1, seq_len - 2), **kwargs)  # room for two more separators
        self.seq_len, self.sep = seq_len, np.array([vocab.stoi[vocab.specials["sep"]]], np.int32)
        self.recipe.update(seq_len=seq_len, pairs=True)
        self.ends = [vocab.stoi[token] for token in ENDS if token in vocab]
        pairs = self.stop - self.start > 1
        self.doc, self.start, self.stop = self.doc[pairs], self.start[pairs], self.stop[pairs]
        docs, first, which, count = np.unique(self.doc, return_index=True, return_inverse=True, return_counts=True)
        if len(docs) < 2:
            raise TextError("E103", received=f"{len(docs)} documents of two tokens or more to train on or to validate "
                            "with", expected="two documents or more: half of the second parts are another document's",
                            fix='give more documents, or pass objective="mlm"')
        self.first, self.count = first[which], count[which]  # (P,) of the pieces of its document, which are neighbours
        self.lengths = self.stop - self.start + len(self.head) + 2
        self.order = np.argsort(-self.lengths, kind="stable")

    def split(self, i: int, i_pass: int) -> int:
        """Return where a piece is split in a pass: the position of its second part in the document."""
        start, stop = self.start[i], self.stop[i]
        place = self.rng_of(i_pass, i, 1).integers(1, stop - start)
        ends = 1 + np.flatnonzero(np.isin(self.ids.read(self.doc[i], start, stop - 1), self.ends))
        return int(start + (ends[np.abs(ends - place).argmin()] if len(ends) else place))

    def second(self, i: int, i_pass: int) -> int:
        """Return the piece whose second part is in a pair: the piece itself, or one of another document."""
        rng = self.rng_of(i_pass, i, 2)
        if rng.random() < 0.5:
            return i
        other = int(rng.integers(len(self.doc) - self.count[i]))
        return other + (other >= self.first[i]) * int(self.count[i])

    def piece(self, i: int, i_pass: int) -> tuple[np.ndarray, np.ndarray | None]:
        at, j = self.split(i, i_pass), self.second(i, i_pass)
        begin = self.split(j, i_pass)
        a = self.stretch(self.doc[i], self.start[i], at)
        b = self.stretch(self.doc[j], begin, min(self.stop[j], begin + self.stop[i] - at))
        words = None
        if a[1] is not None and b[1] is not None:
            none, after = np.full(1, -1), np.where(b[1] < 0, -1, b[1] + 1 + a[1].max())
            words = np.concatenate([none[:len(self.head)], a[1], none, after, none])
        return np.concatenate([self.head, a[0], self.sep, b[0], self.sep]), words

    def _masked(self, pieces: np.ndarray, i_pass: int) -> tuple[Tensor, ...]:
        *inputs, y = super()._masked(pieces, i_pass)
        follows = torch.tensor([self.second(i, i_pass) == i for i in pieces], device=self.device)  # (B,)
        return *inputs, follows.long(), y
