"""Transformer encoders that see a whole text at once, such as BERT."""

from typing import Any

import torch
from torch import Tensor

from ulmfit_easy.models.body import BODY, Body
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory

__all__ = ["Transformer"]


class Transformer(Body):
    """A transformer of the library `transformers` whose tokens see each other: BERT, RoBERTa, ELECTRA and others.

    It reads each text whole. A text with more tokens than the model has positions is read in windows of that many
    tokens, each by itself. The head pools the states of all of them. For GPT-2 or Llama see `CausalTransformer`.

    The arguments are those of `Body`, and:

    Args:
        sep_token: id of the separator, -1 for none. If the model has token types, a token is of the segment of so many
            separators as are before it (Devlin et al. 2019, section 3).
    """

    lm_config = Encoder.lm_config | BODY | dict(sep_token=-1)
    clas_config = Encoder.clas_config | BODY | dict(sep_token=-1)

    def __init__(self, vocab_sz: int, *args: Any, sep_token: int = -1, **kwargs: Any):
        super().__init__(vocab_sz, *args, **kwargs)
        self.span = _positions(self.body)
        self.sep, self.n_types = sep_token, getattr(self.body.config, "type_vocab_size", 1)

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """See `Encoder.forward`. The first layer is what the first block reads: words and their places."""
        lengths = ids.new_full((len(ids),), ids.shape[1]) if lengths is None else lengths
        types, cuts = self._types(ids), [slice(at, at + self.span) for at in range(0, ids.shape[1], self.span)]
        windows = [self._window(ids[:, cut], lengths - cut.start, layers, None if types is None else types[:, cut])
                   for cut in cuts]
        raw, *each = (torch.cat(states, 1) for states in zip(*windows, strict=True))
        return Encoded(raw, embedded=self.embedding(ids), layers=tuple(each))

    def _types(self, ids: Tensor) -> Tensor | None:
        """Return the segment of each token, (B, T), which is the number of separators before it. None without types."""
        if self.sep < 0 or self.n_types < 2:
            return None
        is_sep = (ids == self.sep).long()
        return (is_sep.cumsum(1) - is_sep).clamp_max(self.n_types - 1)

    def _window(self, ids: Tensor, lengths: Tensor, layers: bool, types: Tensor | None) -> tuple[Tensor, ...]:
        """Return the states (B, t, E) of one window of ids (B, t), and those of each layer if asked for.

        A row that has ended reads one token of padding.
        """
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths.clamp_min(1).unsqueeze(1)  # (B, t)
        types_too = {} if types is None else {"token_type_ids": types}
        found = self.body(input_ids=ids, attention_mask=mask.long(), use_cache=False, output_hidden_states=layers,
                          **types_too)
        return found.last_hidden_state, *(found.hidden_states if layers else ())


def _positions(body: Any) -> int:
    """Return how many tokens a model reads at once."""
    embedding = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    not_used = 0 if embedding is None or embedding.padding_idx is None else embedding.padding_idx + 1  # RoBERTa
    return body.config.max_position_embeddings - not_used
