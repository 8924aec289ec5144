"""Transformer encoders that see a whole text at once, such as BERT."""

from typing import Any

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.body import BODY, Body
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory
from ulmfit_easy.models.windows import windows

__all__ = ["Transformer"]

WINDOWS: dict = dict(sep_token=-1, window=0, stride=-1)  # what the config of a `Body` lacks


class Transformer(Body):
    """BERT, RoBERTa, ELECTRA and other models of the library `transformers` in which each token sees all others.

    A text is read whole. If it has more tokens than the model has positions, it is read in windows. The head then gets
    the states of all windows. If the text is a pair, such as a question and a long context, each window begins with
    the first field. For GPT-2 or Llama use `CausalTransformer`.

    The arguments are those of `Body`, and:

    Args:
        sep_token: the id of the separator, -1 for none. In a model with token types, the type of a token is the number
            of separators before it (Devlin et al. 2019, section 3).
        window: tokens that are read at once. 0, the default, is the number of positions of the model, such as 512.
            Fewer need less memory: BERT's code for SQuAD has 384.
        stride: tokens that a window shares with the one before it, below half of `window`. An answer with more tokens
            may be cut in two. The default, -1, takes a quarter of the window for a pair, such as 128 of 512. For other
            texts it takes 0.

    Raises: ArgumentError E602 for a `window` or a `stride` that is too large.
    """

    lm_config = Encoder.lm_config | BODY | WINDOWS | dict(output_p=0.0, activation="gelu")  # no dropout, as BERT's
    clas_config = Encoder.clas_config | BODY | WINDOWS
    objective = "mlm"

    def __init__(self, vocab_sz: int, *args: Any, sep_token: int = -1, window: int = 0, stride: int = -1,
                 **kwargs: Any):
        super().__init__(vocab_sz, *args, **kwargs)
        most = _positions(self.body)
        self.span, self.stride = window or most, stride
        if not (1 <= self.span <= most and 2 * stride < self.span):
            raise ArgumentError("E602", received=f"window={window:,} and stride={stride:,}",
                                expected=f"a window of up to {most:,} tokens, the positions of this model, and a "
                                "stride below half of it",
                                fix="pass config=dict(window=384, stride=128), or leave them out")
        self.sep, self.n_types = sep_token, getattr(self.body.config, "type_vocab_size", 1)

    @classmethod
    def sized(cls, emb: int | None = None, hid: int | None = None, layers: int | None = None) -> dict:
        """Return the config of a small BERT: BERT-mini of Turc et al. 2019 (arXiv 1908.08962), if no size is given."""
        emb = emb or 256
        heads = next(n for n in range(max(1, emb // 64), 0, -1) if emb % n == 0)
        return {"body": {"model_type": "bert", "hidden_size": emb, "num_hidden_layers": layers or 4,
                         "num_attention_heads": heads, "intermediate_size": hid or 4 * emb}}

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """See `Encoder.forward`. The first layer is what the first block reads: words and their places."""
        lengths = ids.new_full((len(ids),), ids.shape[1]) if lengths is None else lengths
        read = self._window if ids.shape[1] <= self.span else self._windows
        raw, *each = read(ids, lengths, layers, self._types(ids))
        return Encoded(raw, embedded=self.embedding(ids), layers=tuple(each))

    def _types(self, ids: Tensor) -> Tensor | None:
        """Return the segment of each token, (B, T), which is the number of separators before it. None without types."""
        if self.sep < 0 or self.n_types < 2:
            return None
        is_sep = (ids == self.sep).long()
        return (is_sep.cumsum(1) - is_sep).clamp_max(self.n_types - 1)

    def _first_field(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return how many tokens the first field of each row has, (B,), its separators too. 0 for a text of one."""
        is_sep = ids == self.sep
        second = ((is_sep.cumsum(1) > 0) & ~is_sep).int().argmax(1)  # (B,), 0 if there is none
        return second * (second < lengths)

    def _windows(self, ids: Tensor, lengths: Tensor, layers: bool, types: Tensor | None) -> tuple[Tensor, ...]:
        """As `_window`, for texts with more tokens than positions."""
        states: tuple[Tensor, ...] = ()
        for rows, at, n_real, kept in windows(lengths, self._first_field(ids, lengths), self.span, self.stride):
            within = at.clamp_max(ids.shape[1] - 1)  # (r, t)
            of_types = None if types is None else types[rows].gather(1, within)
            found = self._window(ids[rows].gather(1, within), n_real, layers, of_types)
            states = states or tuple(x.new_zeros(*ids.shape, x.shape[2]) for x in found)
            for all_states, x in zip(states, found, strict=True):
                all_states[rows.unsqueeze(1).expand_as(at)[kept], at[kept]] = x[kept]
        return states

    def _window(self, ids: Tensor, lengths: Tensor, layers: bool, types: Tensor | None) -> tuple[Tensor, ...]:
        """Return the states (B, t, E) of ids (B, t) read at once, and those of each layer if asked for."""
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)  # (B, t)
        types_too = {} if types is None else {"token_type_ids": types}
        found = self.body(input_ids=ids, attention_mask=mask.long(), use_cache=False, output_hidden_states=layers,
                          **types_too)
        return found.last_hidden_state, *(found.hidden_states if layers else ())


def _positions(body: Any) -> int:
    """Return how many tokens a model reads at once."""
    embedding = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    not_used = 0 if embedding is None or embedding.padding_idx is None else embedding.padding_idx + 1  # RoBERTa
    return body.config.max_position_embeddings - not_used
