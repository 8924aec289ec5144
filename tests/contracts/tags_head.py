"""A head that the library does not know: a linear layer over each token."""

from torch import nn

from ulmfit_easy.models.heads.head import Head


class TagHead(Head):
    """Logits (B, T, C)."""

    def __init__(self, width, n_out, p):
        super().__init__()
        self.drop, self.out = nn.Dropout(p), nn.Linear(width, n_out)

    @classmethod
    def over(cls, encoder, n_out, output_p):
        return cls(encoder.width, n_out, output_p)

    def forward(self, read):
        return self.out(self.drop(read.raw))
