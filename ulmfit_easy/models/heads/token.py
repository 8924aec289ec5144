"""Heads that read one token of a text: the first, BERT's `[CLS]`, or the last, as GPT-1 does."""

import torch
from torch import Tensor, nn

from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.heads.pooling import SigmoidRange
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import ascending, optional


class LastTokenHead(Head):
    """Dropout and one linear layer over the state of a text's last token (Radford et al. 2018, section 3.2).

    The token has seen the whole text if the encoder reads from left to right. A text without tokens reads zeros.

    Args:
        width, n_out: E and C.
        output_p: dropout probability 0-1.
        y_range: (low, high) of a regression target, or None.
    """

    SETTINGS = {**Head.SETTINGS, "y_range": optional(ascending)}

    def __init__(self, width: int, n_out: int, output_p: float, y_range: tuple[float, float] | None = None):
        super().__init__()
        linear, bounded = nn.Linear(width, n_out), [] if y_range is None else [SigmoidRange(*y_range)]
        nn.init.normal_(linear.weight, std=0.02)  # as in both papers
        nn.init.zeros_(linear.bias)
        self.layers = nn.Sequential(nn.Dropout(output_p), linear, *bounded)

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float,
             y_range: tuple[float, float] | None = None) -> "LastTokenHead":
        return cls(encoder.width, n_out, output_p, y_range)

    def at(self, mask: Tensor) -> Tensor:
        """Return the position (B,) of the token in the states, given their mask (B, K)."""
        return torch.arange(mask.shape[1], device=mask.device).masked_fill(mask, 0).amax(1)

    def pooled(self, read: Read) -> Tensor:
        state = read.raw[torch.arange(len(read.raw), device=read.raw.device), self.at(read.mask)]  # (B, E)
        return state.masked_fill(read.mask.all(1, keepdim=True), 0)

    def answer(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled)


class CLSHead(LastTokenHead):
    """`softmax(C W^T)`: as `LastTokenHead`, over the state C of the first token, such as `[CLS]`.

    It sees the first token of every text, so `max_len` cuts none off.

    Source: Devlin et al. 2019, section 4.1.
    """

    whole = True

    def at(self, mask: Tensor) -> Tensor:
        return mask.new_zeros(len(mask), dtype=torch.long)
