"""The head of a tagger: from each state, or from an LSTM in both directions over the states, to the logits of tags."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import flag, optional, whole


class TokenClassifier(Head):
    """Dropout and a linear layer over each token's state, as in BERT (Devlin et al. 2019, section 5.3).

    Args:
        width, n_out: E and C.
        output_p: dropout of the states.
        n_hid: units in each direction of an LSTM between the two, as in ELMo's taggers (Peters et al. 2018). 0 for
            none.
        skip: the linear layer reads the states beside those of the LSTM, as in section 3.3 of that paper.
    """

    SETTINGS = {**Head.SETTINGS, "n_hid": optional(whole(0)), "skip": flag}
    whole = True

    def __init__(self, width: int, n_out: int, output_p: float, n_hid: int, skip: bool = False):
        super().__init__()
        self.drop = nn.Dropout(output_p)
        self.lstm = nn.LSTM(width, n_hid, batch_first=True, bidirectional=True) if n_hid else None
        self.skip, self.linear = skip, nn.Linear(2 * n_hid + (skip or not n_hid) * width, n_out)

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float, n_hid: int | None = None,
             skip: bool = False) -> "TokenClassifier":
        """Return a fresh head. By default only an encoder that streams, which sees no later word, has the LSTM."""
        n_hid = (256 if encoder.streams else 0) if n_hid is None else n_hid
        return cls(encoder.width, n_out, output_p, n_hid, skip and n_hid > 0)

    def forward(self, read: Read) -> Tensor:
        """Return the logits, (B, K, C)."""
        states = self.drop(read.raw)
        if self.lstm is not None:
            lengths = (~read.mask).sum(1).clamp_min(1).cpu()  # no row depends on padding
            packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
            above, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=states.shape[1])
            states = torch.cat([self.drop(above), states], 2) if self.skip else self.drop(above)
        return self.linear(states)
