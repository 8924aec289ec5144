"""The target of two language models that learn together: the next token forwards, the one before it backwards."""

from typing import Any

import numpy as np

from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.data.targets.next_token import NextToken
from ulmfit_easy.data.targets.target import Target
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.text.vocab import Vocab


class BothWays(Target):
    """The next token of the text forwards and backwards, as ELMo learns it. B rows of a batch read each way."""

    task, labelled, SETTINGS = "bilm", False, {}
    tensors, batching, columns = NextToken.tensors, NextToken.batching, NextToken.columns

    def loader(self, ids: Ids, rows: np.ndarray, y: np.ndarray | None = None, *, vocab: Vocab, seq_len: int,
               backwards: bool = False, **kwargs: Any) -> LMDataLoader:
        if backwards:
            raise ArgumentError("E603", received=f'backwards=True with objective="{self.task}"', expected="data that "
                                "reads forwards: this objective reads both ways by itself", fix="leave out backwards=")
        return LMDataLoader(ids, rows, seq_len=seq_len, both_ways=True, **kwargs)

    shown, config = NextToken.shown, NextToken.config

    @classmethod
    def from_config(cls, config: dict) -> "BothWays":
        return cls()
