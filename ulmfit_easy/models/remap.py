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


def with_vectors(weight: Tensor, vectors: Tensor, known: Tensor, share: float = 0.3) -> Tensor:
    """An embedding that has word vectors in the directions in which its own rows vary least.

    What rows hold in the other directions stays, so that a trained model goes on with little loss; of random rows all
    directions are alike.

    Args:
        weight: (V, E) embedding.
        vectors: (V, D) for its words, D <= E / 2; made to have mean 0.
        known: (V,) which words have one; the others get 0 in these directions, the mean of all.
        share: of the variance of the other directions, for all that the vectors bring together. With .3 a trained model
            of perplexity 50.8 went on from 52 (docs/LOG.md, 12).

    Returns:
        (V, E)
    """
    n_dims = vectors.shape[1]
    own = weight - weight.mean(0)  # (V, E)
    variance, directions = torch.linalg.eigh(own.T @ own / len(own))  # (E,), smallest first; (E, E), one a column
    least = directions[:, :n_dims]  # (E, D)
    new = torch.where(known[:, None], vectors - vectors[known].mean(0), 0.0)  # (V, D)
    scale = (share * variance[n_dims:].sum() / new[known].pow(2).sum(1).mean()).sqrt()
    return weight - own @ least @ least.T + scale * new @ least.T


def _numbered(vocab: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each word with the number of times that it came before."""
    seen = Counter()
    for word in vocab:
        yield word, seen[word]
        seen[word] += 1
