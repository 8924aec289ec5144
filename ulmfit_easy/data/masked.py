"""Batches for a masked language model: pieces of documents in which some tokens are hidden."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.errors import TextError, VocabError
from ulmfit_easy.schema import flag, fraction, optional, takes, whole
from ulmfit_easy.text.special import FAKE
from ulmfit_easy.text.vocab import Vocab, padded

IGNORE = -100  # the target of a token that was not chosen
MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens that become the mask, and another token; the rest stays


class MaskedDataLoader(ClassifierDataLoader):
    """A loader of batches `(ids (B, T), lengths (B,), at (n,), y (1, n))` for masked language modelling.

    In `ids` some tokens are hidden. `at` has their positions in the flattened ids, and `y` the tokens that were there.
    A document with more than `seq_len` tokens is cut into pieces of similar length. Each piece begins and ends with
    the special tokens of a whole document. In each piece 15 % of the tokens are chosen, at least one, and no special
    token. Of these, 80 % become the mask, 10 % another token, and 10 % stay as they are.

    The choice depends on the seed, the epoch and the piece alone. Without `shuffle`, as for validation, it is the same
    in each epoch. With `n_batches` an epoch has that many batches, as for `LMDataLoader`.

    Args:
        ids: an `IdStore`, or anything with its `lengths`, `pad_id`, `read` and `ids[i]`.
        rows: the documents, (N,).
        vocab: their vocabulary, with a mask among its special tokens.
        seq_len: the most tokens of a piece, special tokens included.
        share: the share of tokens to choose, 0 to 1.
        whole_words: choose all tokens of a word, or none of them. This needs a tokenizer that knows which word a token
            is from.
        bs, shuffle, backwards, seed, device, max_tokens: as for `ClassifierDataLoader`. Rows are pieces.

    Raises: E103 if no document has a token that is not special. E303 for a vocabulary without a mask.
    Source: Devlin et al. 2019 (arXiv 1810.04805), section 3.1 and appendix A.1. Whole words from its later release.
    """

    n_inp = 3

    @takes({"seq_len": whole(), "share": fraction, "whole_words": flag, "n_batches": optional(whole())})
    def __init__(self, ids: Ids, rows: Sequence[int] | np.ndarray, vocab: Vocab, *, seq_len: int = 72,
                 share: float = 0.15, whole_words: bool = False, bs: int = 64, shuffle: bool = False,
                 backwards: bool = False, seed: int | None = None, device: torch.device | str | None = None,
                 max_tokens: int | None = None, n_batches: int | None = None):
        super().__init__(ids, rows, bs=bs, shuffle=shuffle, backwards=backwards, seed=seed, device=device,
                         max_tokens=max_tokens)
        self.seq_len, self.share, self.whole_words, self.n_batches = seq_len, share, whole_words, n_batches
        self.recipe.update(seq_len=seq_len, share=share, whole_words=whole_words)
        self.mask_id = vocab.stoi[mask_of(vocab)]
        special = {*vocab.specials.values(), FAKE}
        self.is_special = np.array([token in special for token in vocab])  # (V,)
        self.others = np.flatnonzero(~self.is_special)  # what a random token is drawn from
        self._cut_documents(vocab)

    def _cut_documents(self, vocab: Vocab) -> None:
        """Find the pieces: `doc`, `start` and `stop` (P,) of each, and the ids of the special tokens around it."""
        first = self.ids[self.rows[0]] if len(self.rows) else np.empty(0, np.int32)
        self.head, self.tail = (np.array([i for i in end if vocab[i] == vocab.specials.get(role)], np.int32)
                                for role, end in (("bos", first[:1]), ("sep", first[1:][-1:])))
        n_ends = len(self.head) + len(self.tail)
        n_tokens = np.maximum(0, np.asarray(self.ids.lengths)[self.rows] - n_ends)  # (N,)
        n_pieces = -(-n_tokens // max(1, self.seq_len - n_ends))  # (N,)
        if not n_pieces.sum():
            raise TextError("E103", received=f"{len(self.rows):,} documents without a token that can be hidden",
                            expected="one token or more that is not special", fix="give more text")
        size, k = (np.repeat(each, n_pieces) for each in (n_tokens, n_pieces))  # (P,)
        n_th = np.arange(len(k)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)  # (P,) of its document
        self.doc = np.repeat(self.rows, n_pieces)
        self.start, self.stop = (len(self.head) + size * n // k for n in (n_th, n_th + 1))
        self.lengths = self.stop - self.start + n_ends
        self.order = np.argsort(-self.lengths, kind="stable")

    @property
    def pass_len(self) -> int:
        """The batches of one pass over the texts."""
        return super().__len__()

    def __len__(self) -> int:
        return self.pass_len if self.n_batches is None else self.n_batches

    def unshuffled(self) -> Self:
        """Return a loader of one pass in a fixed order, with the same tokens hidden each time."""
        fixed = super().unshuffled()
        fixed.n_batches = None
        return fixed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start, batches = self.begin(), None
        for n in range((self.epoch - 1) * len(self) + start, self.epoch * len(self)):
            i_pass, i = divmod(n, self.pass_len)
            if batches is None or i == 0:
                batches = self._shuffled(i_pass + 1) if self.shuffle else self._cut(self.order)
            if len(own := self._own(batches[i])):
                yield self._masked(own, i_pass + 1 if self.shuffle else 0)

    def _masked(self, pieces: np.ndarray, i_pass: int) -> tuple[Tensor, ...]:
        """Return the batch of some pieces, as it is in a pass, counted from 1. 0 is for a fixed choice."""
        hidden = [self.hide(*self.piece(i, i_pass), self.rng_of(i_pass, i)) for i in pieces]
        docs, targets = zip(*hidden, strict=True)
        ids, lengths = padded(docs, self.ids.pad_id, self.backwards)  # (B, T), (B,)
        y = padded(targets, IGNORE, self.backwards)[0].ravel()  # (B * T,)
        at = np.flatnonzero(y != IGNORE)  # (n,)
        if not len(at):  # special tokens alone, such as unknown ones: guess one that is shown
            at, y = np.zeros(1, np.int64), ids.ravel()
        return tuple(torch.from_numpy(each).to(self.device) for each in (ids, lengths, at, y[at][None]))

    def rng_of(self, *at: int) -> np.random.Generator:
        """Return the random numbers of a pass and a piece in it."""
        return np.random.default_rng([self.seed or 0, *at])

    def piece(self, i: int, i_pass: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the ids of a piece (T,) as it is in a pass, and the number of the word of each, or None."""
        ids, words = self.stretch(self.doc[i], self.start[i], self.stop[i])
        ends = [np.full(len(end), -1) for end in (self.head, self.tail)]
        return (np.concatenate([self.head, ids, self.tail]),
                None if words is None else np.concatenate([ends[0], words, ends[1]]))

    def stretch(self, doc: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the ids of a part of a document (T,), and the numbers of their words, or None unless both are used."""
        words = numbers_of_words(self.ids, doc) if self.whole_words else None
        return self.ids.read(doc, start, stop), None if words is None else words[start:stop]

    def hide(self, ids: np.ndarray, words: np.ndarray | None,
             rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return ids (T,) with hidden tokens, and the targets (T,), -100 for what was not chosen."""
        places = np.flatnonzero(~self.is_special[ids])  # (m,)
        of_word = np.arange(len(places))  # (m,): each token is a word of its own, unless its word is known
        if words is not None:
            alone = len(ids) + np.arange(len(places)) + words.max()
            of_word = np.unique(np.where(words[places] < 0, alone, words[places]), return_inverse=True)[1]
        sizes = np.bincount(of_word)  # (W,)
        order = rng.permutation(len(sizes))
        n_wanted = max(1, round(self.share * len(places)))
        enough = np.cumsum(sizes[order]) - sizes[order] / 2 > n_wanted  # nearer to it without this word than with it
        enough[:1] = False
        chosen = places[np.isin(of_word, order[~enough])]  # (n,)
        drawn, shown, targets = rng.random(len(chosen)), ids.copy(), np.full(len(ids), IGNORE)
        targets[chosen] = ids[chosen]
        shown[chosen[drawn < MASKED]] = self.mask_id
        other = chosen[(drawn >= MASKED) & (drawn < MASKED + RANDOM)]
        shown[other] = rng.choice(self.others, len(other))
        return shown, targets


def mask_of(vocab: Vocab) -> str:
    """Return the token that hides others. Raises: VocabError E303 for a vocabulary without one."""
    if "mask" not in vocab.specials:
        raise VocabError("E303", received=f"{vocab} without a mask", expected="one among its special tokens",
                         fix='pass MaskedToken().vocab_for(vocab); make the data with objective="mlm"')
    return vocab.specials["mask"]


def numbers_of_words(ids: Any, doc: int) -> np.ndarray | None:
    """Return the number of the word of each token of a document, (T,), or None."""
    store = getattr(ids, "store", None)
    if store is None:
        return ids.places[doc] if len(getattr(ids, "places", ())) else None
    return None if store.places is None else store.places_of(doc)
