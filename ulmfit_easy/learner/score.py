"""Score texts by their likelihood under a language model."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ulmfit_easy.models.encoder import needs_memory
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.softmax import lm_cross_entropy
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.text.vocab import padded
from ulmfit_easy.user_code import UNCHANGED, interrupted

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import LMLearner


class TextScore(NamedTuple):
    """The log-likelihood of one text under a language model, and how many of its tokens are unknown."""

    logprob: float  # sum over the tokens, in nats
    n_tokens: int
    n_unknown: int  # tokens counted as `xxunk`: many of them make a perplexity look better than it is

    @property
    def perplexity(self) -> float:
        """Return exp of the mean negative log-likelihood per token. NaN for a text without tokens."""
        return math.exp(-self.logprob / self.n_tokens) if self.n_tokens else math.nan


@interrupted(UNCHANGED)
def logprob(learn: "LMLearner", texts: Iterable, bs: int = 64) -> TextScore | list[TextScore] | Iterator[TextScore]:
    """Return a `TextScore` for each text, in order.

    Args:
        texts: one text gives one score. A list, tuple, Series or table gives a list. Any other iterable an iterator
            that reads `bs` texts at a time, so that a corpus of any size takes bounded memory.
        bs: texts per batch.
    """
    texts, alone = given_texts(texts, learn.dls.prepare.text_cols)
    if alone:
        return next(_stream(learn, texts, bs))
    scores = _stream(learn, texts, bs)
    return list(scores) if hasattr(texts, "__len__") else scores


def _stream(learn: "LMLearner", texts: Iterable[str], bs: int) -> Iterator[TextScore]:
    docs = learn.dls.tokenizer.ids(texts)
    while batch := list(islice(docs, bs)):
        if learn.dls.backwards:
            batch = [d[::-1].copy() for d in batch]
        yield from score_ids(learn, batch)


@without_gradients
def score_ids(learn: "LMLearner", docs: list[np.ndarray]) -> list[TextScore]:
    """Return a `TextScore` for each document of one batch, given as ids (T,) in the order in which the model reads."""
    needs_memory(learn.encoder, "a score")
    device, seq_len, vocab = learn.dls.device, learn.dls.seq_len, learn.dls.text_vocab
    ids, lengths = (torch.from_numpy(each).to(device) for each in padded(docs, vocab.pad_id))  # (B, T), (B,)
    total, memory, model = torch.zeros(len(docs), dtype=torch.float64, device=device), None, evaluated(learn.model)
    for start in range(0, ids.shape[1] - 1, seq_len):
        xb, yb = ids[:, start : start + seq_len], ids[:, start + 1 : start + 1 + seq_len]
        xb = xb[:, : yb.shape[1]]
        output = model(xb, memory)
        memory = output.memory
        nll = lm_cross_entropy(output, yb, reduction="none")  # (B, t)
        real = torch.arange(start + 1, start + 1 + yb.shape[1], device=device) < lengths.unsqueeze(1)  # (B, t)
        total -= nll.double().where(real, 0.0).sum(1)
    unknown = ((ids == vocab.unk_id) & (torch.arange(ids.shape[1], device=device) > 0)).sum(1)
    return [TextScore(float(p), max(int(n) - 1, 0), int(u)) for p, n, u in zip(total, lengths, unknown, strict=True)]
