"""Two encoders that the library does not know: all that a new one has to write."""

import torch
import torch.nn.functional as F
from torch import nn

from ulmfit_easy.models.encoder import Encoded, Encoder, Memory


class Neighbours(Encoder):
    """An encoder without memory: each token looks at all tokens of its text."""

    lm_config = Encoder.lm_config | dict(emb_sz=8)
    clas_config = Encoder.clas_config | dict(emb_sz=8)

    def __init__(self, vocab_sz, emb_sz, pad_token=1):
        super().__init__()
        self.width, self.embedding = emb_sz, nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        self.look = nn.Linear(emb_sz, 3 * emb_sz)

    def forward(self, ids, lengths=None, memory=None, layers=False):
        embedded = self.embedding(ids)  # (B, T, E)
        lengths = torch.full_like(ids[:, 0], ids.shape[1]) if lengths is None else lengths
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # (B, T)
        query, key, value = self.look(embedded).chunk(3, 2)
        x = F.scaled_dot_product_attention(query, key, value, real[:, None])  # (B, T, E)
        return Encoded(x, None, embedded, (embedded, x) if layers else ())

    def groups(self):
        return [list(self.embedding.parameters()), list(self.look.parameters())]


class Causal(Encoder):
    """A causal transformer whose layers see the last `span` tokens; its memory holds them, and how many are real."""

    lm_config = Encoder.lm_config | dict(emb_sz=8, n_layers=2, span=4, layer_p=0.1)
    clas_config = Encoder.clas_config | dict(emb_sz=8, n_layers=2, span=4, layer_p=0.1)
    streams = True

    def __init__(self, vocab_sz, emb_sz, n_layers, span, layer_p, pad_token=1):
        super().__init__()
        self.width, self.embedding = emb_sz, nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        self.looks = nn.ModuleList(nn.Linear(emb_sz, 3 * emb_sz) for _ in range(n_layers))
        self.span, self.drop = span, nn.Dropout(layer_p)

    def forward(self, ids, lengths=None, memory=None, layers=False):
        x = embedded = self.embedding(ids)  # (B, T, E)
        none = [x.new_zeros(ids.shape[0], self.span, self.width)] * len(self.looks)  # (B, span, E) each
        *before, n_real = Memory([*none, ids.new_zeros(ids.shape[0])]) if memory is None else memory
        key = torch.arange(self.span + ids.shape[1], device=ids.device)  # (span + T,)
        ago = self.span + torch.arange(ids.shape[1], device=ids.device)[:, None] - key  # (T, span + T)
        seen = (ago >= 0) & (ago < self.span) & (key >= self.span - n_real[:, None, None])  # (B, T, span + T)
        after, outputs = [], [x]
        for look, old in zip(self.looks, before, strict=True):
            both = torch.cat([old.to(x.dtype), x], 1)  # (B, span + T, E)
            query, (_, key, value) = look(x).chunk(3, 2)[0], look(both).chunk(3, 2)
            after.append(both[:, -self.span:])
            x = x + self.drop(F.scaled_dot_product_attention(query, key, value, seen))
            outputs.append(x)
        memory = Memory([*after, (n_real + ids.shape[1]).clamp(max=self.span)])
        return Encoded(x, memory, embedded, tuple(outputs) if layers else ())

    def groups(self):
        return [list(part.parameters()) for part in (self.embedding, *self.looks)]
