"""The AWD-LSTM encoder: word ids in, one state per token out.

Source: Merity et al. 2017 (arXiv 1708.02182); sizes and dropouts of Howard & Ruder 2018 as fastai ships them.
"""

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from ulmfit_easy.models.dropout import EmbeddingDropout, RNNDropout, WeightDropout

__all__ = ["AWD_LSTM", "awd_lstm_clas_config", "awd_lstm_clas_split", "awd_lstm_lm_config", "awd_lstm_lm_split"]

Hidden = list[tuple[Tensor, ...]]  # per layer its state: tensors (1, B, ...), of an LSTM (h, c)
Groups = list[list[nn.Parameter]]  # input side first

awd_lstm_lm_config = dict(
    emb_sz=400, n_hid=1152, n_layers=3, pad_token=1, bidir=False, output_p=0.1, hidden_p=0.15, input_p=0.25,
    embed_p=0.02, weight_p=0.2, tie_weights=True, out_bias=True)

awd_lstm_clas_config = dict(
    emb_sz=400, n_hid=1152, n_layers=3, pad_token=1, bidir=False, output_p=0.4, hidden_p=0.3, input_p=0.4,
    embed_p=0.05, weight_p=0.5)


class EncoderOutput(NamedTuple):
    """What an encoder gives back for ids (B, T)."""

    states: list[Tensor]  # per layer (B, T, H), before dropout
    raw: Tensor  # (B, T, E), the last layer before dropout
    dropped: Tensor  # (B, T, E), the last layer as the head reads it
    hidden: Hidden  # after the last column
    embedded: Tensor | None = None  # (B, T, E), the words' own rows, before any layer


class AWDEncoder(nn.Module):
    """An embedding and a stack of recurrent layers, widths emb -> n_hid -> ... -> emb, with five kinds of dropout.

    A pure function: the state goes in and comes out, nothing is kept. The last layer is not dropped here
    (`dropped` is `raw`): output dropout belongs to the head. A subclass says what a layer is, in `make_rnn`, and how
    wide the tensors of its state are, in `state_sizes`.

    Args:
        vocab_sz, emb_sz, n_hid, n_layers: sizes; the last layer is `emb_sz` wide, to tie a decoder to it.
        pad_token: id of the padding token.
        hidden_p, input_p, embed_p, weight_p: dropout probabilities 0-1 between layers, on the embedded
            input, on whole words, on weights. Defaults as in fastai; train with the configs of the architecture.
    """

    def __init__(self, vocab_sz: int, emb_sz: int, n_hid: int, n_layers: int, pad_token: int = 1,
                 hidden_p: float = 0.2, input_p: float = 0.6, embed_p: float = 0.1, weight_p: float = 0.5):
        super().__init__()
        self.emb_sz = emb_sz
        self.encoder = nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.encoder_dp = EmbeddingDropout(self.encoder, embed_p)
        widths = [emb_sz, *[n_hid] * (n_layers - 1), emb_sz]
        self.rnns = nn.ModuleList(self.make_rnn(layer, n_in, n_out, weight_p)
                                  for layer, (n_in, n_out) in enumerate(pairwise(widths)))
        self.input_dp = RNNDropout(input_p)
        self.hidden_dps = nn.ModuleList(RNNDropout(hidden_p) for _ in range(n_layers - 1))

    def make_rnn(self, layer: int, n_in: int, n_out: int, weight_p: float) -> nn.Module:
        """Layer number `layer`: `rnn(x (B, T, n_in), state) -> (B, T, n_out), state`."""
        raise NotImplementedError

    def state_sizes(self, rnn: nn.Module) -> tuple[int, ...]:
        """The width of each tensor of a layer's state."""
        raise NotImplementedError

    def forward(self, ids: Tensor, lengths: Tensor | None = None,
                hidden: Hidden | None = None) -> EncoderOutput:
        """The states of every layer for `ids` (B, T) int64, going on from `hidden`, or from zeros.

        `lengths` is part of what every encoder takes; this one reads from left to right, so padding on the
        right reaches no real token and it has no use for them.
        """
        if hidden is None:
            hidden = self.init_hidden(ids.shape[0])
        embedded = self.encoder_dp(ids)  # (B, T, E)
        x = self.input_dp(embedded)
        states, after = [], []
        for layer, rnn in enumerate(self.rnns):
            if layer > 0:
                x = self.hidden_dps[layer - 1](x)
            x, state = rnn(x, hidden[layer])  # (B, T, H), tensors (1, B, ...)
            states.append(x)
            after.append(state)
        return EncoderOutput(states, raw=x, dropped=x, hidden=after, embedded=embedded)

    def init_hidden(self, bs: int) -> Hidden:
        """A state of zeros for `bs` rows, on the device and of the type of the weights."""
        return [tuple(self.encoder.weight.new_zeros(1, bs, size) for size in self.state_sizes(rnn))
                for rnn in self.rnns]

    def groups(self) -> Groups:
        """The layer groups [embedding], [rnn 1], .., [rnn L]: lists of parameters, input side first."""
        return [list(part.parameters()) for part in (self.encoder, *self.rnns)]


class AWD_LSTM(AWDEncoder):
    """The encoder made of LSTMs whose recurrent weights are dropped."""

    def make_rnn(self, layer: int, n_in: int, n_out: int, weight_p: float) -> WeightDropout:
        return WeightDropout(nn.LSTM(n_in, n_out, batch_first=True), weight_p)

    def state_sizes(self, rnn: WeightDropout) -> tuple[int, int]:
        return rnn.hidden_size, rnn.hidden_size


def awd_lstm_lm_split(model: nn.Module) -> Groups:
    """The groups of a language model: [rnn 1] .. [rnn L], [embedding + decoder].

    The decoder is tied to the embedding, so they share a group and no parameter stands in two.
    """
    embedding, *rnns = model[0].groups()
    own = {id(p) for p in embedding}
    return [*rnns, embedding + [p for p in model[1].parameters() if id(p) not in own]]


def awd_lstm_clas_split(model: nn.Module) -> Groups:
    """The groups of a classifier: [embedding], [rnn 1] .. [rnn L], [head]."""
    return [*model[0].module.groups(), list(model[1].parameters())]
