"""The target of a language model that reads in one direction: the next token."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.data.targets.target import Target
from ulmfit_easy.text.vocab import Vocab


class NextToken(Target):
    """The next token of the text, which a language model learns without labels."""

    task, labelled, SETTINGS = "lm", False, {}
    tensors, batching, columns = ("next tokens",), ("bptt_jitter",), ("text", "next words")

    def loader(self, ids: Ids, rows: np.ndarray, y: np.ndarray | None = None, *, vocab: Vocab, seq_len: int,
               **kwargs: Any) -> LMDataLoader:
        return LMDataLoader(ids, rows, seq_len=seq_len, end=end_of(ids, rows, vocab), **kwargs)

    def shown(self, xb: Sequence[Tensor], *ids: Tensor, words: Callable[[Tensor], str]) -> list[list[str]]:
        return [list(map(words, row)) for row in zip(xb[0], *ids, strict=True)]

    def config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "NextToken":
        return cls()


def end_of(ids: Ids, rows: np.ndarray, vocab: Vocab) -> int | None:
    """Return the id of the token that ends a text, such as GPT-2's `<|endoftext|>`, if documents have no mark yet.

    None if their first token or their last one is a mark, or if the vocabulary has no such token.
    """
    marks = [vocab.stoi[token] for role, token in vocab.specials.items() if role in ("bos", "sep")]
    first = next((int(row) for row in rows if ids.lengths[row]), None)
    if "sep" not in vocab.specials or first is None:
        return None
    n = int(ids.lengths[first])
    is_marked = np.isin([*ids.read(first, 0, 1), *ids.read(first, n - 1, n)], marks).any()
    return None if is_marked else vocab.stoi[vocab.specials["sep"]]
