"""A quasi-recurrent layer: one matrix product for all time steps, then a gated average that runs along them.

Source: Bradbury et al. 2016 (arXiv 1611.01576), with "fo-pooling". As in MultiFiT (arXiv 1909.04761), the forget gate
    weighs the new value and not the old one.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ulmfit_easy.models.dropout import Recurrent, dropped
from ulmfit_easy.models.precision import at_least_float32

BLOCK = 2**17  # numbers a gate has in one block of time steps: half a megabyte, so that a block stays in the cache


class DroppedLinear(nn.Module):
    """A linear layer that drops other weights in each training forward (DropConnect).

    Args:
        n_in, n_out: widths.
        weight_p: probability 0-1 that a weight is dropped.

    Returns: (B, T, n_out) for x (B, T, n_in).
    """

    def __init__(self, n_in: int, n_out: int, weight_p: float):
        super().__init__()
        linear = nn.Linear(n_in, n_out)
        self.weight_raw, self.weight_p = linear.weight, weight_p  # (n_out, n_in)
        self.module = nn.ParameterDict({"bias": linear.bias})  # the published name is "module.bias"

    def drawn(self) -> Tensor:
        """Return the weight of a forward, dropped in training."""
        return dropped(self.weight_raw, self.weight_p, self.training)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        return F.linear(x, self.drawn() if weight is None else weight, self.module["bias"])

    def extra_repr(self) -> str:
        n_out, n_in = self.weight_raw.shape
        return f"{n_in}, {n_out}, weight_p={self.weight_p}"


class QRNN(Recurrent):
    r"""One quasi-recurrent layer.

    $$ z, f, o = \tanh, \sigma, \sigma (W [x_t, x_{t-1}] + b), \quad
       c_t = f \odot z + (1 - f) \odot c_{t-1}, \quad h_t = o \odot c_t $$

    Args:
        input_size, hidden_size: widths E and H.
        weight_p: probability 0-1 that a weight is dropped. One mask for all time steps and rows.
        window: 2 looks at a token and the one before it, 1 at the token alone.

    Returns: output (B, T, H) and a state, for x (B, T, E) and a state. A state is c (1, B, H), and for a window of 2
        also the last x (1, B, E). So reading in pieces equals reading at once.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_p: float, window: int = 1):
        super().__init__()
        assert window in (1, 2)
        self.input_size, self.hidden_size, self.window = input_size, hidden_size, window
        self.state_sizes = (hidden_size, input_size)[:window]  # of c and, for a window of 2, of the last x
        linear = DroppedLinear(window * input_size, 3 * hidden_size, weight_p)
        self.layers = nn.ModuleList([nn.ModuleDict({"linear": linear})])  # published names: "layers.0.linear..."

    @property
    def _linear(self) -> DroppedLinear:
        return cast(Any, self.layers[0])["linear"]

    def drawn(self) -> list[Tensor]:
        """Return the weight of a forward, dropped in training."""
        return [self._linear.drawn()]

    def forward(self, x: Tensor, state: tuple[Tensor, ...],
                weights: list[Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        seen = x  # (B, T, E)
        if self.window == 2:
            before = torch.cat([state[1].transpose(0, 1).to(x.dtype), x[:, :-1]], 1)  # (B, T, E), one step late
            seen = torch.cat([x, before], 2)  # (B, T, 2E)
        gates = self._linear(seen, *(weights or ()))  # (B, T, 3H)
        out, c = fo_pool(gates, state[0][0])
        after = (c,) if self.window == 1 else (c, x[:, -1].clone())  # a copy, or the state would keep all of x alive
        return out, tuple(s.unsqueeze(0) for s in after)  # (B, T, H), (1, B, H) and perhaps (1, B, E)


def fo_pool(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output (B, T, H) and the last c (B, H) for `gates` (B, T, 3H), before tanh and sigmoids, and c (B, H).

    c is at least float32, whatever the type of the gates: it adds up over the whole text. The output is of their type.
    """
    c = c.to(at_least_float32(gates))
    return torch.jit.script(_plain_fo_pool)(gates, c) if torch.jit.is_tracing() else _FoPool.apply(gates, c)


def _plain_fo_pool(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same by steps that an exported graph can repeat."""
    z, f, o = gates.chunk(3, 2)
    z, f = z.tanh(), f.sigmoid()
    each: list[Tensor] = []
    for t in range(gates.shape[1]):
        c = torch.lerp(c, z[:, t], f[:, t])  # (B, H)
        each.append(c)
    return torch.stack(each, 1) * o.sigmoid(), c


class _FoPool(torch.autograd.Function):
    """The gated average with a gradient of its own, since T small operations under autograd would cost more.

    Only the running average is a loop over time, one operation a step each way. The rest is done for a block of steps
    at once. Of the forward pass the gates and c are kept. Backward computes the activations again, block by block, so
    that they are never in memory whole.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
        bs, n_steps, _ = gates.shape
        out = gates.new_empty(bs, n_steps, c0.shape[1])  # (B, T, H)
        c, last = torch.empty_like(out, dtype=c0.dtype), c0
        for steps in _blocks(out):
            z, f, o = _activations(gates[:, steps])  # (B, t, H) each
            for z_t, f_t, c_t in zip(z.unbind(1), f.unbind(1), c[:, steps].unbind(1), strict=True):
                last = torch.lerp(last, z_t, f_t, out=c_t)  # (B, H)
            torch.mul(o, c[:, steps], out=out[:, steps])
        ctx.save_for_backward(gates, c)
        return out, last.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dlast: Tensor) -> tuple[Tensor, Tensor]:
        gates, c = ctx.saved_tensors  # (B, T, 3H), (B, T, H)
        dgates, later = torch.empty_like(gates), dlast  # later (B, H): the gradient of c that comes from later steps
        for steps in reversed(_blocks(c)):
            z, f, o = _activations(gates[:, steps])  # (B, t, H) each
            dz, df, do = dgates[:, steps].chunk(3, dim=2)
            dc = dout[:, steps] * o
            torch.mul(dc, torch.addcmul(c[:, steps], o, c[:, steps], value=-1), out=do)  # dout c o (1 - o)
            keep = 1 - f
            dc_t, keep_t = dc.unbind(1), keep.unbind(1)
            dc_t[-1].add_(later)
            for t in range(len(dc_t) - 2, -1, -1):
                dc_t[t].addcmul_(keep_t[t + 1], dc_t[t + 1])
            later = keep_t[0] * dc_t[0]
            dc.mul_(f)
            torch.mul(dc, z - c[:, steps], out=df)  # dc (z - c_before) f (1 - f), for (1 - f)(z - c_before) = z - c
            torch.addcmul(dc, dc * z, z, value=-1, out=dz)  # dc f (1 - z^2)
        return dgates, later


def _activations(gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    z, f, o = gates.to(at_least_float32(gates)).chunk(3, dim=2)
    return z.tanh(), f.sigmoid(), o.sigmoid()


def _blocks(x: Tensor) -> list[slice]:
    """Return the time steps of x (B, T, H) in blocks. On a GPU in one, where launches cost more than memory."""
    bs, n_steps, size = x.shape
    n = max(1, BLOCK // (bs * size)) if x.device.type == "cpu" else n_steps
    return [slice(start, start + n) for start in range(0, n_steps, n)]
