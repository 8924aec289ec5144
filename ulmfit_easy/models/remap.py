"""Moving pretrained word rows to another vocabulary."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Matched(NamedTuple):
    """Rows for a new vocabulary."""

    weight: Tensor  # (V, E)
    bias: Tensor | None  # (V,)
    n_matched: int  # words of the new vocabulary that the old one has


def match_embeds(old_weight: Tensor, old_bias: Tensor | None, old_vocab: Sequence[str],
                 new_vocab: Sequence[str]) -> Matched:
    """Rows for `new_vocab`: a known word keeps its old row, a new one gets the mean of all old rows.

    Words are matched by string, never by position. Where one is there more often, as `xxfake` may be, its
    first row goes to the first, and so on: the same vocabulary gives the same rows.

    Args:
        old_weight: (V0, E) embedding, in the order of `old_vocab`.
        old_bias: (V0,) decoder bias, or None.
        old_vocab, new_vocab: the V0 and V words.
    """
    old = {word: i for i, word in enumerate(_numbered(old_vocab))}
    at = torch.tensor([old.get(word, -1) for word in _numbered(new_vocab)],
                      device=old_weight.device)  # (V,), -1: new
    is_new = at < 0  # (V,)

    def move(rows: Tensor) -> Tensor:  # (V0, ...) -> (V, ...)
        moved = rows[at.clamp_min(0)]
        moved[is_new] = rows.mean(0)
        return moved

    bias = None if old_bias is None else move(old_bias)
    return Matched(move(old_weight), bias, int((~is_new).sum()))


def _numbered(vocab: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each word with the number of times that it came before."""
    seen = Counter()
    for word in vocab:
        yield word, seen[word]
        seen[word] += 1
