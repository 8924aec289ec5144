"""The decoder of BERT: hidden tokens, and whether the second part of a text follows the first."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ulmfit_easy.models.encoder import Encoded, Encoder
from ulmfit_easy.models.heads.masked import MaskedDecoder
from ulmfit_easy.models.softmax import LMOutput


@dataclass(eq=False)
class PairOutput(LMOutput):
    """The result of a masked language model that reads pairs."""

    pairs: Tensor | Any = None  # (B, 2), the logits of "does not follow" and "follows"
    follows: Tensor | Any = None  # (B,) int64, the answer; None without one


class NextSentenceDecoder(MaskedDecoder):
    """A `MaskedDecoder`, and `softmax(tanh(C W_p^T) W^T)` over the state C of the first token, such as `[CLS]`.

    Source: Devlin et al. 2019 (arXiv 1810.04805), and the code that was released with it.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        width = self.dense.in_features
        layers = nn.Linear(width, width), nn.Linear(width, 2)
        self.pair = nn.Sequential(layers[0], nn.Tanh(), layers[1])
        for layer in layers:
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def read(self, encoder: Encoder, ids: Tensor,  # type: ignore[override]  # other inputs than those of streams
             lengths: Tensor | None = None, at: Tensor | None = None, follows: Tensor | None = None) -> PairOutput:
        """Return the output for hidden tokens as `MaskedDecoder.read`, and that for the B pairs."""
        raw = encoder(ids, lengths).raw  # (B, T, E)
        of_tokens = self(Encoded(raw if at is None else raw.flatten(0, 1)[at].unsqueeze(0)))
        return PairOutput(**vars(of_tokens), pairs=self.pair(raw[:, 0]), follows=follows)
