"""Measure a language model by figures that can be compared across vocabularies."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ulmfit_easy.data.budget import cut_by_tokens
from ulmfit_easy.errors import TextError
from ulmfit_easy.learner.score import score_ids
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.text.given import given_texts

WINDOW = 1 << 19  # tokens that are sorted by length and batched together
PADDED = 1 << 17  # tokens of a batch, padding included, unless one document has more


class LMScore(NamedTuple):
    """The result of `evaluate_lm`: perplexity, bits per character, share of unknown tokens, number of tokens."""

    perplexity: float
    bits_per_char: float
    unknown: float  # share of the tokens that are not in the vocabulary, 0-1
    n_tokens: int

    def figures(self) -> dict[str, str | int]:
        """Return the figures in words, as a model card has them."""
        return {"perplexity": f"{self.perplexity:.2f}", "bits per character": f"{self.bits_per_char:.4f}",
                "unknown tokens": f"{self.unknown:.2%}", "tokens": self.n_tokens}

    def __str__(self) -> str:
        unknown = f"unknown {100 * self.unknown:.2f} %, " if self.unknown else ""
        return (f"perplexity {self.perplexity:.2f}, bits per character {self.bits_per_char:.4f}, {unknown}"
                f"tokens {self.n_tokens}")


class ValidScore(NamedTuple):
    """The figures of a model that does not guess each next token: those of its own validation."""

    perplexity: float  # of a token that it guesses
    accuracy: float
    n_tokens: int  # that were guessed
    others: dict[str, float] = {}  # further metrics of its task, by name

    def figures(self) -> dict[str, str | int]:
        """Return the figures in words, as a model card has them."""
        return {"perplexity": f"{self.perplexity:.2f}", "accuracy": f"{self.accuracy:.2%}", **{
            name.replace("_", " "): f"{value:.2%}" for name, value in self.others.items()}, "tokens": self.n_tokens}

    def __str__(self) -> str:
        others = "".join(f"{name.replace('_', ' ')} {value:.4f}, " for name, value in self.others.items())
        return f"perplexity {self.perplexity:.2f}, accuracy {self.accuracy:.4f}, {others}tokens {self.n_tokens}"


def valid_score(learn: TextLearner) -> ValidScore:
    """Return the figures of a learner with the metrics `accuracy`, `Perplexity()` and others, in that order."""
    _, right, perplexity, *others = learn.validate()
    n_tokens = sum(batch[-1].numel() for batch in learn.dls.valid)
    return ValidScore(perplexity, right, n_tokens, dict(zip(learn.recorder.names[2:], others, strict=True)))


def evaluate_lm(learn: LMLearner, texts: Iterable[str], bs: int = 64) -> LMScore:
    r"""Return the perplexity and the bits per character of documents, each read from its beginning.

    $$ perplexity = \exp(-\tfrac{1}{N} \sum \ln p), \qquad
       bits\ per\ character = (-\sum \log_2 p + \log_2 A \cdot U) / C $$

    N is the number of tokens, control tokens such as `xxmaj` included, without the first one of each document
    (`xxbos`). The end of a document is not predicted. p is the probability of a token, or of `xxunk` for an unknown
    one.

    C is the number of characters (Unicode code points, white space included) of the raw texts. U is the number of
    characters of all unknown tokens, and A the number of distinct characters of the texts. So an unknown token costs
    what it takes to spell it, and a model cannot improve by a small vocabulary. Compare models of words and of pieces
    by bits per character. Perplexities compare only if the tokens are the same.

    Args:
        texts: any iterable of documents. It may be larger than memory, and a document may have any length.
        bs: documents per batch. It does not change the result.

    Raises: TextError E103 if no token is predicted.
    """
    n_chars, alphabet = 0, set[str]()

    def seen() -> Iterator[str]:
        nonlocal n_chars
        for text in given_texts(texts, learn.dls.prepare.text_cols)[0]:
            n_chars += len(text)
            alphabet.update(text)
            yield text

    nll, n_tokens, n_unknown, spelled = 0.0, 0, 0, 0
    for batch in _batches(_ids(learn, seen()), bs):
        spelled += sum(chars for _, chars in batch)
        for score in score_ids(learn, [ids for ids, _ in batch]):
            nll, n_tokens, n_unknown = nll - score.logprob, n_tokens + score.n_tokens, n_unknown + score.n_unknown
    if not (n_tokens and n_chars):
        raise TextError("E103", received="texts without a token to predict", expected="two tokens in one of them",
                        fix="give more text")
    bits = nll / math.log(2) + spelled * math.log2(len(alphabet))
    return LMScore(math.exp(min(nll / n_tokens, 700)), bits / n_chars, n_unknown / n_tokens, n_tokens)


def _ids(learn: LMLearner, texts: Iterable[str]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield each document as ids (T,) in reading order, with the characters of its unknown tokens but the first."""
    vocab, step = learn.dls.text_vocab, -1 if learn.dls.backwards else 1
    for tokens, _ in learn.dls.tokenizer.pipe(texts):
        tokens = tokens[::step]
        ids = vocab.ids(tokens)
        yield ids, sum(len(tokens[i]) for i in np.flatnonzero(ids == vocab.unk_id) if i)


def _batches(docs: Iterable[tuple[np.ndarray, int]], bs: int) -> Iterator[list[tuple[np.ndarray, int]]]:
    """Documents of like lengths together, a window of the corpus at a time."""
    window, size = [], 0
    for doc in docs:
        window.append(doc)
        size += len(doc[0])
        if size >= WINDOW:
            yield from _of_like_length(window, bs)
            window, size = [], 0
    yield from _of_like_length(window, bs)


def _of_like_length(window: list[tuple[np.ndarray, int]], bs: int) -> Iterator[list[tuple[np.ndarray, int]]]:
    window = sorted(window, key=lambda doc: -len(doc[0]))
    for cut in cut_by_tokens([len(ids) for ids, _ in window], PADDED):
        yield from (window[cut][start : start + bs] for start in range(0, len(window[cut]), bs))
