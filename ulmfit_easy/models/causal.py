"""Transformer encoders that read from left to right and stream, such as GPT-2 and Llama."""

from inspect import signature
from itertools import chain

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.models.body import BODY, Body, is_causal
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory

__all__ = ["CausalTransformer"]

SPAN = 1024  # tokens, as GPT-2 has positions: the memory of 64 rows of SmolLM2 then takes 3 GB


class CausalTransformer(Body):
    """GPT-2, Llama and other causal models of the library `transformers`: a token sees only the tokens before it.

    It can generate and score texts, and trains on streams. Its memory holds the keys and values of all layers. A text
    is read in blocks of `span` tokens. After each block the memory is empty and positions start at 0. So reading in
    windows of any size gives the same states as reading at once.

    Args:
        span: tokens per block, from 1 to the number of positions of the model. 0, the default, takes all positions, up
            to 1,024. A longer block needs more memory in training.

    The other arguments are those of `Body`.

    Raises: ArgumentError E602 if the body is not causal, or if `span` is larger than the number of positions.
    """

    lm_config = Encoder.lm_config | BODY | dict(span=0)
    clas_config = Encoder.clas_config | BODY | dict(span=0)
    streams, preset = True, "decoder"
    seq_len = 512  # short texts at once, so that gradients reach all: 1.4 to 1.7 times as fast as 72 from 250 tokens on

    def __init__(self, vocab_sz: int, body: dict, n_layers: int = 0, layer_p: float = 0.1, span: int = 0,
                 pad_token: int = 0):
        super().__init__(vocab_sz, body, n_layers, layer_p, pad_token)
        own, takes = self.body.config, signature(self.body.forward).parameters.keys()
        self.cache = next((name for name in ("cache", "past_key_values") if name in takes), "")  # renamed in 5.24
        lacks = {"keys and values of the tokens before": self.cache, "positions of its tokens": "position_ids" in takes}
        if why := "sees tokens on both sides, or has other layers than attention" if not is_causal(own) else next(
                (f"takes no {what}" for what, has in lacks.items() if not has), ""):
            raise ArgumentError("E602", received=f"body with the model_type {own.model_type!r}, which {why}",
                                expected="a causal model that keeps keys and values, such as gpt2 or llama",
                                fix="take another model; pass Transformer as the architecture for one like BERT")
        most = min(own.max_position_embeddings, getattr(own, "sliding_window", None) or own.max_position_embeddings)
        if span > most:
            raise ArgumentError("E602", received=f"span={span:,}",
                                expected=f"up to {most:,}, the tokens that this model sees at once",
                                fix="lower span in config")
        self.span = span or min(most, SPAN)
        self.few_columns = own.model_type == "gpt_neo"  # its own mask has a column for each position only

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """See `Encoder.forward`. The first layer is what the first block reads: words and their places."""
        windows, at = list[tuple[Tensor, ...]](), 0
        while at < ids.shape[1] or not windows:
            n = self.span - (memory[0].shape[2] if memory and self.few_columns else 0)
            states, memory = self._window(ids[:, at:at + n], memory, layers)
            windows.append(states)
            at += n
        raw, *each = (torch.cat(states, 1) for states in zip(*windows, strict=True))
        return Encoded(raw, memory, self.embedding(ids), tuple(each))

    def _window(self, ids: Tensor, memory: Memory | None, layers: bool) -> tuple[tuple[Tensor, ...], Memory]:
        """Return the states (B, t, E) of at most `span` tokens (B, t), those of each layer, and the memory after them.

        The memory has the keys and the values (B, heads, S, size) of each layer. Its last entry is n (B,), the number
        of tokens of each row in its block. They are the last n of the S columns. Other columns are never seen.
        """
        *before, n = memory or [ids.new_zeros(ids.shape[:1])]
        n_kept, n_read = before[0].shape[2] if before else 0, ids.shape[1]
        position = n.unsqueeze(1) + torch.arange(-n_kept, n_read, device=ids.device)  # (B, S + t), negative: not seen
        query, key = position[:, n_kept:].unsqueeze(2), position.unsqueeze(1)  # (B, t, 1), (B, 1, S + t)
        seen = (key <= query) & (key // self.span == query // self.span)  # (B, t, S + t)
        mask = torch.zeros(seen.shape, device=ids.device, dtype=self.body.dtype).masked_fill(~seen, -torch.inf)
        cache = optional_package("transformers").DynamicCache([*zip(before[::2], before[1::2], strict=True)])
        found = self.body(input_ids=ids, attention_mask=mask.unsqueeze(1), position_ids=query.squeeze(2) % self.span,
                          use_cache=True, output_hidden_states=layers, **{self.cache: cache})
        n, n_kept = (n + n_read) % self.span, n_kept + n_read
        if n_kept >= self.span:  # a row began a block
            n_kept = int(n.max())
        kept = chain.from_iterable((layer.keys, layer.values) for layer in cache.layers)
        after = Memory([*(t[:, :, t.shape[2] - n_kept:] for t in kept), n])
        return (found.last_hidden_state, *(found.hidden_states if layers else ())), after
