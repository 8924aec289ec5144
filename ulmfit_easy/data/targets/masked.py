"""The target of a masked language model: the tokens that were hidden."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ulmfit_easy.data.masked import MaskedDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.data.targets.target import Target
from ulmfit_easy.schema import flag, fraction, takes
from ulmfit_easy.text.special import MASK
from ulmfit_easy.text.vocab import Vocab, add_words


class MaskedToken(Target):
    """Describe a target without labels: a masked language model guesses hidden tokens from both sides.

    Args:
        share: the share of tokens to hide, 0 to 1.
        whole_words: hide all tokens of a word or none.

    Source: BERT (Devlin et al. 2019, section 3.1).
    """

    task, labelled, SETTINGS = "mlm", False, {"share": fraction, "whole_words": flag}
    tensors: tuple[str, ...] = ("lengths", "positions", "hidden tokens")
    batching = ("max_tokens",)
    columns = ("masked text", "hidden")

    @takes(SETTINGS)
    def __init__(self, share: float = 0.15, whole_words: bool = False):
        self.share, self.whole_words = share, whole_words

    @property
    def places(self) -> str | None:  # type: ignore[override]  # the settings decide
        return "words" if self.whole_words else None

    def vocab_for(self, vocab: Vocab) -> Vocab:
        """Return the vocabulary with a mask."""
        if "mask" in vocab.specials:
            return vocab
        return Vocab(add_words(vocab, [MASK]), {**vocab.specials, "mask": MASK})

    def loader(self, ids: Ids, rows: np.ndarray, y: np.ndarray | None = None, *, vocab: Vocab, seq_len: int,
               **kwargs: Any) -> MaskedDataLoader:
        return MaskedDataLoader(ids, rows, vocab, seq_len=seq_len, **self.config(), **kwargs)

    def shown(self, xb: Sequence[Tensor], *ids: Tensor, words: Callable[[Tensor], str]) -> list[list[str]]:
        texts, lengths, at = xb[:3]  # (B, T), (B,), (n,)
        row = at // texts.shape[1]  # (n,)
        return [[words(text[:n]), *(words(each[0][row == i]) for each in ids)]
                for i, (text, n) in enumerate(zip(texts, lengths, strict=True))]

    def config(self) -> dict:
        return {"share": self.share, "whole_words": self.whole_words}

    @classmethod
    def from_config(cls, config: dict) -> "MaskedToken":
        return cls(**config)
