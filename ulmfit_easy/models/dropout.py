"""The dropouts of the AWD-LSTM: on word rows, on whole sequences, on recurrent weights.

Source: Merity et al. 2017 (arXiv 1708.02182), sections 2 and 4. Gal & Ghahramani 2016 (arXiv 1512.05287).
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models import lstm16
from ulmfit_easy.models.precision import autocast

FEW = 32  # tokens: torch's LSTM brings the weights into another order in each call, which takes longer than these


def dropout_mask(x: Tensor, size: Sequence[int], p: float) -> Tensor:
    """Return a mask of `size`, like `x` in type and device: 0 with probability `p`, else 1 / (1 - p).

    Each number comes from 16 random bits, so `p` is exact to 1 / 131,072. A quarter of the random numbers that
    `bernoulli_` would draw, which for the recurrent weights of every layer and step is worth it.
    """
    n = math.prod(size)
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    keep = words.view(torch.int16)[:n].view(size) >= min(round(2**16 * p), 2**16 - 1) - 2**15
    return keep.to(x.dtype).div_(1 - p)


def dropped(weight: Tensor, p: float, training: bool) -> Tensor:
    """Return a weight, in training with each number dropped with probability `p` (DropConnect)."""
    return weight * dropout_mask(weight, weight.shape, p) if training and p > 0 else weight


class RNNDropout(nn.Module):
    """Dropout with one mask for all time steps of a row ("variational" or "locked" dropout).

    Args:
        p: probability 0-1 that a feature is dropped for the whole row.

    Returns: (B, T, E), as its input (B, T, E).
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:  # (B, T, E)
        if not self.training or self.p == 0:
            return x
        return x * dropout_mask(x, (x.shape[0], 1, x.shape[2]), self.p)  # (B, T, E) * (B, 1, E)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class EmbeddingDropout(nn.Module):
    """Embedding lookup that drops whole words: a dropped word is zero wherever it stands in the batch.

    Args:
        emb: the wrapped embedding (V, E).
        embed_p: probability 0-1 that a word is dropped.

    Returns: (B, T, E) for ids (B, T).
    """

    def __init__(self, emb: nn.Embedding, embed_p: float):
        super().__init__()
        self.emb, self.embed_p = emb, embed_p

    def forward(self, ids: Tensor) -> Tensor:  # (B, T) int64
        embedded = self.emb(ids)  # (B, T, E)
        if not self.training or self.embed_p == 0:
            return embedded
        keep = dropout_mask(embedded, (self.emb.num_embeddings,), self.embed_p)  # (V,), one draw per word
        return embedded * keep[ids].unsqueeze(-1)  # (B, T, E) * (B, T, 1)

    def extra_repr(self) -> str:
        return f"embed_p={self.embed_p}"


class Recurrent(nn.Module):
    """A layer `rnn(x (B, T, E), state) -> (B, T, H), state`. The states, (1, B, size) each, have its `state_sizes`."""

    state_sizes: tuple[int, ...]

    def drawn(self) -> list[Tensor] | None:
        """Return weights that several forwards share, as a third argument. None if each forward draws its own."""
        return None

    def packed(self, precision: str) -> "Recurrent | None":
        """Return a layer for answers in "bf16" or "int8", with the weights of now. None if there is no other one."""
        return None


class WeightDropout(Recurrent):
    r"""A one-layer LSTM that drops other recurrent weights in each training forward.

    $h_t = \mathrm{LSTM}(x_t, h_{t-1}; W_{hh} \odot m)$ with one mask $m$ for all time steps and rows
    (DropConnect). The module keeps no dropped weight, so that it can be copied at any time.

    Args:
        module: the LSTM to take over, batch-first.
        weight_p: probability 0-1 that a weight is dropped.

    Returns: output (B, T, H) and state (h, c), each (1, B, H), for x (B, T, E) and such a state.
    """

    def __init__(self, module: nn.LSTM, weight_p: float):
        super().__init__()
        if not (module.num_layers == 1 and module.batch_first and not module.bidirectional):
            raise ArgumentError("E602", received=f"{module}", expected="a batch-first LSTM of one layer and direction",
                                fix="make it with nn.LSTM(5, 7, batch_first=True)")
        self.input_size, self.hidden_size, self.weight_p = module.input_size, module.hidden_size, weight_p
        self.state_sizes = (self.hidden_size, self.hidden_size)  # of h and c
        self.weight_hh_l0_raw: nn.Parameter = module.get_parameter("weight_hh_l0")  # (4H, H), gates i, f, g, o
        kept = ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0")  # (4H, E), (4H,), (4H,)
        self.module = nn.ParameterDict([(name, getattr(module, name)) for name in kept])

    def drawn(self) -> list[Tensor]:
        """Return the weights of a forward, dropped in training, in the type that it computes in."""
        weight_hh = dropped(self.weight_hh_l0_raw, self.weight_p, self.training)
        rest = self.module
        return autocast(rest["weight_ih_l0"], weight_hh, rest["bias_ih_l0"], rest["bias_hh_l0"])

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor],
                weights: list[Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        weights = self.drawn() if weights is None else weights
        x, h, c = autocast(x, *state)  # torch's own has no rule for an LSTM on a CPU
        # "train" only keeps what a backward pass needs, so that gradients in eval mode work on every device.
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in (x, h, c, *weights))
        if learns and x.device.type == "cpu" and x.dtype == torch.bfloat16 and self.hidden_size >= lstm16.PAYS_FROM:
            x, h, c = cast(tuple[Tensor, ...], lstm16.LSTM16.apply(x, h[0], c[0], *weights))
            return x, (h.unsqueeze(0), c.unsqueeze(0))
        graph = torch.jit.is_tracing() or torch.compiler.is_compiling()  # it must serve any number of tokens
        asked = not graph and not learns
        if asked and x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[:2].numel() <= FEW:
            w_ih, w_hh, b_ih, b_hh = weights
            gates = F.linear(x.transpose(0, 1).contiguous(), w_ih, b_ih + b_hh)  # (T, B, 4H)
            return by_steps(gates, h, c, lambda gates, h: gates.addmm_(h, w_hh.t()))
        if asked and x.dtype == torch.bfloat16 and (layer := self.packed("bf16", weights)):
            return layer(x, (h, c))
        x, h, c = torch.lstm(x, (h, c), weights, has_biases=True, num_layers=1, dropout=0.0, train=learns,
                             bidirectional=False, batch_first=True)
        return x, (h, c)  # (B, T, H), (1, B, H) twice

    def packed(self, precision: str, weights: list[Tensor] | None = None) -> Recurrent | None:
        """See `Recurrent.packed`. `weights` are those of `drawn`, if they are not its own ones."""
        from ulmfit_easy.models.packed import LSTMBf16, LSTMInt8, can_pack_bf16  # which imports this file

        weights = [w.detach() for w in weights or (self.module["weight_ih_l0"], self.weight_hh_l0_raw,
                                                   self.module["bias_ih_l0"], self.module["bias_hh_l0"])]
        if precision == "int8":
            return LSTMInt8(*weights)
        return LSTMBf16(*weights) if can_pack_bf16(weights[0]) else None

    def extra_repr(self) -> str:
        return f"LSTM({self.input_size}, {self.hidden_size}), weight_p={self.weight_p}"


def by_steps(gates: Tensor, h: Tensor, c: Tensor,
             add: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the output (B, T, H) of an LSTM layer and its state (h, c), (1, B, H) each, without a gradient.

    tanh(x) is 2 sigmoid(2 x) - 1 here, which is three to four times as fast in torch.

    Args:
        gates: (T, B, 4H) float32, what the input gives to the gates i, f, g, o. They are overwritten.
        h, c: the state before, (1, B, H) each.
        add: a function that adds to gates (B, 4H) what h (B, H) gives to them, and returns them.
    """
    h, c = h[0], c[0].clone()
    out = gates.new_empty(*gates.shape[:2], c.shape[1])  # (T, B, H)
    for act, row in zip(gates.unbind(0), out.unbind(0), strict=True):
        i, f, g, o = add(act, h).chunk(4, 1)
        g.add_(g)
        act.sigmoid_()
        c.mul_(f).addcmul_(i, g, value=2).sub_(i)
        h = torch.addcmul(-o, o, (c + c).sigmoid_(), value=2, out=row)
    return out.transpose(0, 1), (h.unsqueeze(0), c.unsqueeze(0))
