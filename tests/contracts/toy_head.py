"""A head that the library does not know: linear layers over each token."""

from torch import nn

from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.schema import whole


class ToyHead(Head):
    """Logits (B, T, C)."""

    SETTINGS = {**Head.SETTINGS, "depth": whole(0, 9)}

    def __init__(self, width, n_out, p, depth):
        super().__init__()
        hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
        self.layers = nn.Sequential(nn.Dropout(p), *hidden, nn.Linear(width, n_out))

    @classmethod
    def over(cls, encoder, n_out, output_p, depth=0):
        return cls(encoder.width, n_out, output_p, depth)

    def forward(self, read):
        return self.layers(read.raw)
