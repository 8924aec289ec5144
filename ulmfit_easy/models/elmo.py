"""ELMo: a forward and a backward language model, whose layers a task mixes with weights that it learns.

Source: Peters et al. 2018, "Deep contextualized word representations" (arXiv 1802.05365).
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_lstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
from ulmfit_easy.models.dropout import EmbeddingDropout
from ulmfit_easy.models.encoder import Encoded, Encoder, Groups, Memory
from ulmfit_easy.models.softmax import LMDecoder, LMOutput

__all__ = ["ELMo", "ScalarMix"]

READS = "mix", "words", "both"
OWN = dict(shared=True, reads="mix")  # what the config of an AWD_LSTM lacks


class ScalarMix(nn.Module):
    r"""Return one vector per token: a weighted sum of L + 1 layers, whose weights are learned.

    $$ ELMo_k = \gamma \sum_{j=0}^{L} s_j h_{k,j}, \qquad s = \mathrm{softmax}(w) $$

    Zeros fill the narrower layers up to the width of the widest one. The mix starts with the mean of all layers.

    Args:
        n_layers: L + 1.

    Attributes:
        weights: (L + 1,) the share s of each layer.
        gamma: the scale of the sum.
    """

    def __init__(self, n_layers: int):
        super().__init__()
        self.scalars, self.gamma = nn.Parameter(torch.zeros(n_layers)), nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Tensor:
        """The share of each layer, (L + 1,)."""
        return self.scalars.softmax(0)

    def forward(self, layers: Sequence[Tensor]) -> Tensor:  # (B, T, 2, H) each: the two halves of a layer
        width = max(layer.shape[-1] for layer in layers)
        each = (F.pad(s * x, (0, width - x.shape[-1])) for s, x in zip(self.weights, layers, strict=True))
        return self.gamma * reduce(torch.add, each)  # (B, T, 2, W)


class ELMo(Encoder):
    """ELMo: a forward and a backward language model with AWD-LSTM layers, and a weighted sum (mix) of all their layers.

    Let $x_k$ be the row of token k in the embedding. Then $h_{k,0} = [x_k ; x_k]$, and $h_{k,j}$ joins layer j of the
    forward and of the backward model. A head reads the mix of all layers. After `freeze`, only the mix and the head
    train.

    Args:
        vocab_sz, emb_sz, n_hid, n_layers, pad_token, hidden_p, input_p, embed_p, weight_p: of each of the two, as for
            `AWD_LSTM`.
        shared: both models have the same embedding, as in the paper. False for two models that were trained apart:
            $h_{k,0}$ then joins the rows of both.
        reads: what the head gets. "mix" is the mix, and "words" is $h_{k,0}$ alone, which no other token changes.
            "both" joins the two, as the paper does at the input of a task model (section 3.3).
    Raises: E602 for another `reads`, and for `bidir=True`.

    Example:
        >>> dls = TextDataLoaders.from_df(df, pretrained="en")  # doctest: +SKIP
        >>> learn = text_classifier_learner(dls, ELMo)  # both models that ship, frozen  # doctest: +SKIP
        >>> learn.encoder.mix.weights  # the share of each layer  # doctest: +SKIP
    """

    new_on_top, one_way, objective = True, AWD_LSTM, "bilm"
    lm_config = awd_lstm_lm_config | OWN
    clas_config = awd_lstm_clas_config | OWN

    def __init__(self, vocab_sz: int, emb_sz: int, embed_p: float = 0.1, pad_token: int = 1, shared: bool = True,
                 reads: str = "mix", **config: Any):
        if reads not in READS:
            raise ArgumentError("E602", received=f"reads={reads!r:.40}", expected=f"one of {', '.join(READS)}",
                                fix='pass config=dict(reads="mix")')
        super().__init__()
        self.embedding = nn.Embedding(vocab_sz, emb_sz if shared else 2 * emb_sz, padding_idx=pad_token)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.embedding_dp = EmbeddingDropout(self.embedding, embed_p)
        self.ahead, self.back = (AWD_LSTM(2, emb_sz, **config) for _ in range(2))
        for model in (self.ahead, self.back):
            del model.encoder, model.encoder_dp  # the rows are in `embedding`
        self.mix, self.reads, self.shared = ScalarMix(len(self.ahead.rnns) + 1), reads, shared
        words, mix = 2 * emb_sz, 2 * max(map(max, self.ahead.state_sizes))
        self.width = {"words": words, "mix": mix, "both": words + mix}[reads]

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """See `Encoder.forward`. The layers are h_0 to h_L, (B, T, 2 H) each, and after them what a head reads."""
        embedded = self.embedding_dp(ids)  # (B, T, E), or (B, T, 2 E) if not shared
        words = torch.stack([embedded] * 2 if self.shared else embedded.chunk(2, 2), 2)  # (B, T, 2, E)
        pairs = [words]  # of each layer, (B, T, 2, H): forwards, backwards
        if self.reads != "words" or layers:
            pairs += self._above(words, ids.new_full((len(ids),), ids.shape[1]) if lengths is None else lengths)
        each = [pair.flatten(2) for pair in pairs]  # (B, T, 2 H)
        mix = [] if self.reads == "words" else [self.mix(pairs).flatten(2)]  # (B, T, 2 W)
        raw = torch.cat([*each[:self.reads != "mix"], *mix], 2)
        return Encoded(raw, None, embedded, (*each, raw) if layers else ())

    def _above(self, words: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the layers above the words (B, T, 2, E). The backward model reads each row from its last token."""
        position, last = torch.arange(words.shape[1], device=words.device), lengths.unsqueeze(1) - 1  # (T,), (B, 1)
        turned = torch.where(position <= last, last - position, position).unsqueeze(2)  # (B, T, 1)

        def turn(x: Tensor) -> Tensor:  # (B, T, H)
            return x.gather(1, turned.expand_as(x))

        ahead = self.ahead.states(words[:, :, 0], layers=True).layers
        back = self.back.states(turn(words[:, :, 1]), layers=True).layers
        return [torch.stack([x, turn(y)], 2) for x, y in zip(ahead[1:], back[1:], strict=True)]

    def groups(self) -> Groups:
        """Return the embedding, then layer by layer those of both models, and the mix."""
        rnns = zip(self.ahead.rnns, self.back.rnns, strict=True)
        return [[*self.embedding.parameters()], *([*a.parameters(), *b.parameters()] for a, b in rnns),
                [*self.mix.parameters()]]

    @classmethod
    def joined(cls, ahead: dict[str, Tensor], back: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Encoder.joined`. Each keeps its own embedding: `shared=False`."""
        words = torch.cat([ahead["encoder.weight"], back["encoder.weight"]], 1)  # (V, 2 E)
        layers = {f"{way}.{name}": weight for way, weights in (("ahead", ahead), ("back", back))
                  for name, weight in weights.items() if name.startswith("rnns.")}
        mix = ScalarMix(1 + len({name.split(".")[1] for name in ahead if name.startswith("rnns.")})).state_dict()
        return {"embedding.weight": words, "embedding_dp.emb.weight": words, **layers,
                **{f"mix.{name}": weight for name, weight in mix.items()}}


class BothWaysDecoder(LMDecoder):
    r"""The softmax that both directions share. They learn to raise the sum of their log-likelihoods (section 3.1).

    $$ \sum_k \log p(t_k | t_1, ..., t_{k-1}) + \log p(t_k | t_{k+1}, ..., t_N) $$

    The loss is the mean over the tokens of both, so that its exponential is a perplexity.
    """

    @classmethod
    def check_encoder(cls, arch: type[Encoder]) -> None:
        if not issubclass(arch, ELMo):
            raise ArgumentError("E603", received=f'objective="bilm" with {arch.__name__}', expected="an encoder that "
                                "reads both ways with a memory for each", fix="pass arch=ELMo, or leave out objective=")

    @classmethod
    def over(cls, encoder: ELMo, n_out: int, output_p: float = 0.1,  # type: ignore[override]  # it reads each way
             tie_weights: bool = True, out_bias: bool = True, softmax: str = "full") -> "BothWaysDecoder":
        if not encoder.shared:
            raise ArgumentError("E603", received="shared=False for a language model", expected="one embedding, whose "
                                "rows the softmax of both directions shares", fix="leave out shared=; tune two models "
                                "that were trained apart each by itself, as AWD_LSTM")
        tied = encoder.embedding if tie_weights else None
        return cls(n_out, encoder.ahead.width, output_p, tied, out_bias, softmax)

    def read(self, encoder: ELMo, ids: Tensor, memory: Memory | None = None) -> LMOutput:  # type: ignore[override]
        """Return the output for ids (2 B, T), B rows forwards and after them B rows backwards."""
        words, n = encoder.embedding_dp(ids), len(ids) // 2  # (2 B, T, E)
        ahead, back = (model.states(words[rows], memory and memory.rows(rows)) for model, rows in (
            (encoder.ahead, slice(n)), (encoder.back, slice(n, None))))
        after = Memory.join(cast(Memory, each.memory) for each in (ahead, back))
        return self(Encoded(torch.cat([ahead.raw, back.raw]), after))
