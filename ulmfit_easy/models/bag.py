"""The simplest encoder: a text is a bag of word vectors."""

from torch import Tensor, nn

from ulmfit_easy.models.dropout import EmbeddingDropout
from ulmfit_easy.models.encoder import Encoded, Encoder, Groups, Memory

__all__ = ["BagOfVectors"]


class BagOfVectors(Encoder):
    """An encoder of word vectors alone: the state of a token is its row of the embedding. Word order does not count.

    With the pooling head on top it is a deep averaging network, whose word dropout is `embed_p`. Source: Iyyer et al.
    2015, "Deep unordered composition rivals syntactic methods". `learn.load_vectors` gives it word vectors.

    Args:
        vocab_sz, emb_sz: V and E.
        pad_token: id of padding.
        embed_p: probability 0-1 that a word is left out of a training batch. 0.3 as in section 2.3 of that paper.
    """

    clas_config = Encoder.clas_config | dict(emb_sz=50, embed_p=0.3)

    def __init__(self, vocab_sz: int, emb_sz: int, pad_token: int = 1, embed_p: float = 0.3):
        super().__init__()
        self.width, self.embedding = emb_sz, nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        self.dropout = EmbeddingDropout(self.embedding, embed_p)

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """See `Encoder.forward`. The embedding is the only layer."""
        rows = self.dropout(ids)  # (B, T, E)
        return Encoded(rows, embedded=rows, layers=(rows,) if layers else ())

    def groups(self) -> Groups:
        """Return the embedding."""
        return [list(self.embedding.parameters())]
