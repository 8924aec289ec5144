"""The target of BERT: the tokens that were hidden, and whether the second part of a text follows the first."""

from typing import Any

import numpy as np

from ulmfit_easy.data.next_sentence import NextSentenceDataLoader
from ulmfit_easy.data.order import Ids
from ulmfit_easy.data.targets.masked import MaskedToken
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.text.vocab import Vocab, add_words

SEP = "[SEP]"  # stands after each part of a text; in a vocabulary only if such a model needs one


class NextSentence(MaskedToken):
    """Describe BERT's target without labels: hidden tokens, and whether one part of a text follows the other.

    RoBERTa (Liu et al. 2019, section 4.2) and ALBERT found that models without next-sentence prediction are as good or
    better. So `MaskedToken` is the default. Use this one for lessons and comparisons.

    Args:
        share, whole_words: as for `MaskedToken`.

    Source: BERT (Devlin et al. 2019, section 3.1).
    """

    task = "mlm+nsp"
    tensors = ("lengths", "positions", "follows", "hidden tokens")

    def vocab_for(self, vocab: Vocab) -> Vocab:
        """Return the vocabulary with a mask and a separator."""
        vocab = super().vocab_for(vocab)
        if "sep" in vocab.specials:
            return vocab
        return Vocab(add_words(vocab, [SEP]), {**vocab.specials, "sep": SEP})

    def loader(self, ids: Ids, rows: np.ndarray, y: np.ndarray | None = None, *, vocab: Vocab, seq_len: int,
               backwards: bool = False, **kwargs: Any) -> NextSentenceDataLoader:
        if backwards:
            raise ArgumentError("E603", received=f'backwards=True with objective="{self.task}"',
                                expected="data that " "reads forwards, because the state of the first token decides",
                                fix="leave out backwards=")
        return NextSentenceDataLoader(ids, rows, vocab, seq_len=seq_len, **self.config(), **kwargs)
