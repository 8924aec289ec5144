"""Moving pretrained word rows to another vocabulary."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.text.vectors import WordVectors


class Matched(NamedTuple):
    """Rows for a new vocabulary."""

    weight: Tensor  # (V, E)
    bias: Tensor | None  # (V,)
    n_matched: int  # words of the new vocabulary that the old one has
    guessed: frozenset[str] = frozenset()  # words whose rows were made of their vectors


def match_embeds(old_weight: Tensor, old_bias: Tensor | None, old_vocab: Sequence[str],
                 new_vocab: Sequence[str], vectors: WordVectors | None = None) -> Matched:
    """Return the rows of an embedding for a new vocabulary, made from an old embedding.

    A word of both vocabularies keeps its row. A new word gets a row that is guessed from word vectors, or else the mean
    of all old rows. Words are matched by string, not by position. If a word is there several times, as `xxfake` may
    be, the first one gets the first row, and so on.

    Args:
        old_weight: (V0, E) embedding, in the order of `old_vocab`.
        old_bias: (V0,) decoder bias, or None.
        old_vocab, new_vocab: the V0 and V words.
        vectors: word vectors to guess the rows of new words. None, the default, guesses none.
    """
    old = {word: i for i, word in enumerate(_numbered(old_vocab))}
    at = torch.tensor([old.get(word, -1) for word in _numbered(new_vocab)],
                      device=old_weight.device)  # (V,), -1: new
    new = (at < 0).nonzero().flatten()  # (n,), where the new words are

    def move(rows: Tensor) -> Tensor:  # (V0, ...) -> (V, ...)
        moved = rows[at.clamp_min(0)]
        moved[new] = rows.mean(0)
        return moved

    weight, bias, words = move(old_weight), None if old_bias is None else move(old_bias), frozenset[str]()
    if vectors is not None and len(new):
        rows, guessed = rows_from_vectors(old_weight.cpu(), old_vocab, [new_vocab[i] for i in new.tolist()], vectors)
        weight[new[guessed]] = rows[guessed].to(weight.device)
        words = frozenset(new_vocab[i] for i in new[guessed].tolist())
    return Matched(weight, bias, len(at) - len(new), words)


def rows_from_vectors(old_weight: Tensor, old_vocab: Sequence[str], new_words: Sequence[str],
                      vectors: WordVectors) -> tuple[Tensor, Tensor]:
    """Guess the rows of words by the linear map that takes the vectors of known words nearest to their rows.

    Ordinary least squares (Kiros et al. 2015, arXiv 1506.06726, section 2.2, "Vocabulary expansion"). Nothing is
    guessed if less than half of the known words have a vector, as in another language. Nor if fewer than ten words have
    one for each of its numbers.

    Returns: rows (n, E) of the n `new_words`, and for which of them they are guesses, (n,).
    """
    x, known = map(torch.from_numpy, vectors.of(old_vocab))  # (V0, D), (V0,)
    x_new, guessed = map(torch.from_numpy, vectors.of(new_words))  # (n, D), (n,)
    x, x_new = (F.pad(v.double(), (0, 1), value=1.0) for v in (x, x_new))  # a constant after the D numbers
    if 2 * known.sum() < len(known) or known.sum() < 10 * x.shape[1]:
        return old_weight.new_zeros(len(x_new), old_weight.shape[1]), torch.zeros_like(guessed)
    x, rows = x[known], old_weight[known].double()
    solved = torch.linalg.lstsq(x.T @ x, x.T @ rows).solution  # (D + 1, E): normal equations, half of the time
    return (x_new @ solved).to(old_weight), guessed


def with_vectors(weight: Tensor, vectors: Tensor, known: Tensor, share: float = 4.0) -> Tensor:
    """Return an embedding that has word vectors in the directions in which its own rows vary least.

    What rows hold in the other directions stays, so that a trained model continues with little loss. Of random rows all
    directions are alike.

    Args:
        weight: (V, E) embedding.
        vectors: (V, D) for its words, D <= E / 2. Made to have mean 0.
        known: (V,) which words have one. The others get 0 in these directions, the mean of all.
        share: of the variance of the other directions, for all that the vectors bring together. More says more about
            the words, and costs a trained model more: 4 is where few labels gained most (docs/LOG.md, 13).

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
    """Yield each word with the number of times that it came before."""
    seen: Counter[str] = Counter()
    for word in vocab:
        yield word, seen[word]
        seen[word] += 1
