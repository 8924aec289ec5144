"""The AWD-LSTM encoder: word ids in, one state per token out.

Source: Merity et al. 2017 (arXiv 1708.02182). Sizes and dropouts of Howard & Ruder 2018 as fastai ships them.
"""

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.dropout import EmbeddingDropout, Recurrent, RNNDropout, WeightDropout
from ulmfit_easy.models.encoder import Encoded, Encoder, Groups, Memory, text_split

__all__ = ["AWD_LSTM", "awd_lstm_clas_config", "awd_lstm_clas_split", "awd_lstm_lm_config", "awd_lstm_lm_split"]

awd_lstm_lm_config = dict(
    emb_sz=400, n_hid=1152, n_layers=3, pad_token=1, bidir=False, output_p=0.1, hidden_p=0.15, input_p=0.25,
    embed_p=0.02, weight_p=0.2, tie_weights=True, out_bias=True)

awd_lstm_clas_config = dict(
    emb_sz=400, n_hid=1152, n_layers=3, pad_token=1, bidir=False, output_p=0.4, hidden_p=0.3, input_p=0.4,
    embed_p=0.05, weight_p=0.5)


class AWDEncoder(Encoder):
    """An embedding and a stack of recurrent layers, widths emb -> n_hid -> ... -> emb, with five kinds of dropout.

    The last layer is not dropped here: output dropout belongs to the head. A subclass makes the layers, in `make_rnn`,
    and names a weight of theirs and its number of gates, in `gates`.

    Args:
        vocab_sz, emb_sz, n_hid, n_layers: sizes. The last layer is `emb_sz` wide, to tie a decoder to it.
        pad_token: id of the padding token.
        hidden_p, input_p, embed_p, weight_p: dropout probabilities 0-1 between layers, on the embedded
            input, on whole words, on weights. Defaults as in fastai. Train with the configs of the architecture.
        bidir: Kept for fastai compatibility. Only False works.
    Raises: E602 for `bidir=True`.
    """

    streams, penalties = True, (2.0, 1.0)  # Merity et al. 2017, section 5
    gates: tuple[str, int]  # a weight has a row for each gate and each of the H numbers of a layer

    def __init__(self, vocab_sz: int, emb_sz: int, n_hid: int, n_layers: int, pad_token: int = 1,
                 hidden_p: float = 0.2, input_p: float = 0.6, embed_p: float = 0.1, weight_p: float = 0.5,
                 bidir: bool = False):
        if bidir:
            raise ArgumentError("E602", received="bidir=True", expected="a model that reads in one direction",
                                fix="train a second model with backwards=True and average the two")
        super().__init__()
        self.width = emb_sz
        self.encoder = nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.encoder_dp = EmbeddingDropout(self.encoder, embed_p)
        widths = [emb_sz, *[n_hid] * (n_layers - 1), emb_sz]
        rnns = [self.make_rnn(layer, n_in, n_out, weight_p) for layer, (n_in, n_out) in enumerate(pairwise(widths))]
        self.rnns, self.state_sizes = nn.ModuleList(rnns), [rnn.state_sizes for rnn in rnns]
        self.input_dp = RNNDropout(input_p)
        self.hidden_dps = nn.ModuleList(RNNDropout(hidden_p) for _ in range(n_layers - 1))

    def make_rnn(self, layer: int, n_in: int, n_out: int, weight_p: float) -> Recurrent:
        """Make layer number `layer`, from `n_in` to `n_out` numbers a token."""
        raise NotImplementedError

    @property
    def embedding(self) -> nn.Embedding:  # type: ignore[override]  # two attributes would be two weights in a file
        """The embedding. `encoder` is its published name."""
        return self.encoder

    def drawn(self) -> dict:
        """See `Encoder.drawn`: the weights of the recurrent layers, one mask for all windows (Merity et al. 2017)."""
        return {"weights": [cast(Recurrent, rnn).drawn() for rnn in self.rnns]}

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False, weights: Sequence[list[Tensor] | None] | None = None) -> Encoded:
        """See `Encoder.forward`. `lengths` has no use, since padding on the right reaches no real token."""
        return self.states(self.encoder_dp(ids), memory, layers, weights)

    def states(self, embedded: Tensor, memory: Memory | None = None, layers: bool = False,
               weights: Sequence[list[Tensor] | None] | None = None) -> Encoded:
        """Return the states for tokens that are embedded already, (B, T, E)."""
        before = iter(self.init_memory(embedded.shape[0]) if memory is None else memory)  # tensors (B, H)
        x = self.input_dp(embedded)
        outputs, after = [embedded], list[Tensor]()
        weights = [None] * len(self.rnns) if weights is None else weights
        for layer, (rnn, sizes, own) in enumerate(zip(self.rnns, self.state_sizes, weights, strict=True)):
            if layer > 0:
                x = self.hidden_dps[layer - 1](x)
            state = tuple(s.unsqueeze(0) for s in islice(before, len(sizes)))  # (1, B, H) each
            x, state = rnn(x, state, own)  # (B, T, H), (1, B, H) each
            if layers:
                outputs.append(x)
            after += [s.squeeze(0) for s in state]
        return Encoded(x, Memory(after), embedded, tuple(outputs) if layers else ())

    def init_memory(self, bs: int) -> Memory:
        """Return a memory of zeros for `bs` rows, on the device and of the type of the weights."""
        weight = next(self.rnns.parameters())
        return Memory(weight.new_zeros(bs, size) for sizes in self.state_sizes for size in sizes)

    def groups(self) -> Groups:
        """Return the layer groups [embedding], [rnn 1], .., [rnn L]."""
        return [list(part.parameters()) for part in (self.encoder, *self.rnns)]

    @classmethod
    def sizes_of(cls, shapes: Mapping[str, torch.Size]) -> dict:
        """See `Encoder.sizes_of`."""
        name, n_gates = cls.gates
        try:
            (vocab_sz, emb_sz), n_hid = shapes["encoder.weight"], shapes[f"rnns.0.{name}"][0] // n_gates
        except (LookupError, ValueError):
            return {}
        n_layers = len({name.split(".")[1] for name in shapes if name.startswith("rnns.")})
        return {"vocab_sz": vocab_sz, "emb_sz": emb_sz, "n_hid": n_hid, "n_layers": n_layers}


class AWD_LSTM(AWDEncoder):
    """The AWD-LSTM, ULMFiT's encoder: LSTM layers with dropout on words, activations and recurrent weights."""

    lm_config, clas_config = awd_lstm_lm_config, awd_lstm_clas_config
    gates = "weight_hh_l0_raw", 4

    def make_rnn(self, layer: int, n_in: int, n_out: int, weight_p: float) -> WeightDropout:
        return WeightDropout(nn.LSTM(n_in, n_out, batch_first=True), weight_p)


awd_lstm_lm_split = awd_lstm_clas_split = text_split  # fastai's names
