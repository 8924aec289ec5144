"""The decoder of a masked language model."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoded, Encoder
from ulmfit_easy.models.softmax import LMDecoder, LMOutput
from ulmfit_easy.schema import one_of

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh"), "relu": F.relu, "silu": F.silu}


class MaskedDecoder(LMDecoder):
    """A dense layer, an activation and a layer norm, and then what leads to the vocabulary, as in BERT.

    Args:
        n_out, n_hid: V, and the width of the embedding, which the decoder shares.
        n_in: E, the width of a state. That of the embedding by default.
        output_p, tie_encoder, bias, softmax: as for `LMDecoder`.
        activation: a name of `ACTIVATIONS`. "gelu" as in BERT. A pretrained model brings its own.

    Source: Devlin et al. 2019 (arXiv 1810.04805), and the code that was released with it.
    """

    SETTINGS = {**LMDecoder.SETTINGS, "activation": one_of(ACTIVATIONS)}

    def __init__(self, n_out: int, n_hid: int, output_p: float = 0.0, tie_encoder: nn.Embedding | None = None,
                 bias: bool = True, softmax: str = "full", n_in: int | None = None, activation: str = "gelu"):
        super().__init__(n_out, n_hid, output_p, tie_encoder, bias, softmax)
        self.act = ACTIVATIONS[activation]
        self.dense, self.norm = nn.Linear(n_in or n_hid, n_hid), nn.LayerNorm(n_hid, eps=1e-12)
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)

    @classmethod
    def check_encoder(cls, arch: type[Encoder]) -> None:
        if arch.streams:
            raise ArgumentError("E603", received=f"data with hidden tokens for {arch.__name__}, which sees no later "
                                "token", expected="an encoder that sees a whole text (`streams = False`)",
                                fix='pass arch=Transformer; make the data with objective="lm"')

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float = 0.0, tie_weights: bool = True, out_bias: bool = True,
             softmax: str = "full", activation: str = "gelu") -> "MaskedDecoder":
        tied, n_hid = encoder.embedding if tie_weights else None, encoder.embedding.weight.shape[1]
        return cls(n_out, n_hid, output_p, tied, out_bias, softmax, encoder.width, activation)

    def read(self, encoder: Encoder, ids: Tensor,  # type: ignore[override]  # other inputs than those of streams
             lengths: Tensor | None = None, at: Tensor | None = None) -> LMOutput:
        """Return the output for the positions `at` (n,) of the flattened ids (B, T), as one row (1, n). None for all.

        `lengths` (B,) are the real tokens of each row.
        """
        raw = encoder(ids, lengths).raw  # (B, T, E)
        return self(Encoded(raw if at is None else raw.flatten(0, 1)[at].unsqueeze(0)))

    def forward(self, output: Encoded) -> LMOutput:  # type: ignore[override]  # as for `LMDecoder`
        states = self.norm(self.act(self.dense(self.output_dp(output.raw))))
        sampler = self.sampler if self.training else None
        return LMOutput(output.raw, states, None, self.decoder, sampler)
