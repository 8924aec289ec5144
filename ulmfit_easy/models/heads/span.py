"""The head of spans: two numbers for each token, one for the first and one for the last of an answer."""

from torch import Tensor, nn

from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.readers import Read


class SpanHead(Head):
    """Logits (B, T, 2): the products of each state with a start vector and an end vector.

    Source: Devlin et al. 2019, section 4.2.
    """

    whole = True

    def __init__(self, width: int, n_out: int, p: float):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(p), nn.Linear(width, n_out))

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float) -> "SpanHead":
        return cls(encoder.width, n_out, output_p)

    def forward(self, read: Read) -> Tensor:
        return self.layers(read.raw)
