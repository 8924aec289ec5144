"""The head of a tagger: from each state, or from an LSTM in both directions over the states, to the logits of tags."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import one_of, optional, whole

PLACES = "input", "output", "both"


class TokenClassifier(Head):
    """Dropout and a linear layer over each token's state, as in BERT (Devlin et al. 2019, section 5.3).

    Args:
        width, n_out: E and C.
        output_p: dropout of the states.
        n_hid: units in each direction of an LSTM between the two, as in ELMo's taggers (Peters et al. 2018). 0 for
            none.
        states: where the encoder's states go if there is an LSTM. "input": the LSTM reads them. "output": it reads the
            tokens' own rows, and the linear layer reads the states next to what it gives. "both": the LSTM reads them,
            and the linear layer again. See section 3.3 of that paper. It learns a mix for each place, here both share
            one.
        n_words: the width of the tokens' own rows.
    """

    SETTINGS = {**Head.SETTINGS, "n_hid": optional(whole(0)), "states": one_of(PLACES)}
    whole = True

    def __init__(self, width: int, n_out: int, output_p: float, n_hid: int, states: str = "input", n_words: int = 0):
        super().__init__()
        self.drop, self.pool_words, self.beside = nn.Dropout(output_p), states == "output", states != "input"
        n_in = n_words if self.pool_words else width
        self.lstm = nn.LSTM(n_in, n_hid, batch_first=True, bidirectional=True) if n_hid else None
        self.linear = nn.Linear(2 * n_hid + (self.beside or not n_hid) * width, n_out)

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float, n_hid: int | None = None,
             states: str = "input") -> "TokenClassifier":
        """Return a fresh head. By default only an encoder that streams, which sees no later word, has the LSTM."""
        n_hid = (256 if encoder.streams else 0) if n_hid is None else n_hid
        return cls(encoder.width, n_out, output_p, n_hid, states, encoder.embedding.embedding_dim)

    def forward(self, read: Read) -> Tensor:
        """Return the logits, (B, K, C)."""
        states = self.drop(read.raw)
        if self.lstm is not None:
            under = states if read.embedded is None or not self.pool_words else self.drop(read.embedded)
            lengths = (~read.mask).sum(1).clamp_min(1).cpu()  # no row depends on padding
            packed = pack_padded_sequence(under, lengths, batch_first=True, enforce_sorted=False)
            above, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=states.shape[1])
            states = torch.cat([self.drop(above), states], 2) if self.beside else self.drop(above)
        return self.linear(states)
