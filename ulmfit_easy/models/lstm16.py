"""An LSTM layer in bfloat16 whose backward pass runs as matrix products, which a CPU with bfloat16 has fast.

Both passes of a layer with 1,152 states take 1.3 to 2.8 times as long in torch's own LSTM, the most with few rows. One
with 512 states takes as long in both. A smaller one is faster in torch, which has no loop of Python over the tokens.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PAYS_FROM = 640  # states


def tanh(x: Tensor) -> Tensor:
    """Return the hyperbolic tangent as 2 sigmoid(2 x) - 1, which is three to four times as fast in torch."""
    y = (x + x).sigmoid_()
    return y.add_(y).sub_(1)


class LSTM16(torch.autograd.Function):
    """`LSTM16.apply(x, h, c, w_ih, w_hh, b_ih, b_hh)` is an LSTM of one layer, all in bfloat16, with a gradient.

    Sums over time, the cells and all activations are float32. x is (B, T, E), h and c are (B, H), the weights are
    those of `nn.LSTM` with the gates i, f, g, o. Returns the output (B, T, H), and h and c (B, H) after it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor,
                b_hh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, bs, size = x.shape[1], len(x), w_hh.shape[1]
        x = x.transpose(0, 1).contiguous()  # (T, B, E)
        gates, h_all = F.linear(x, w_ih, b_ih + b_hh), x.new_empty(n + 1, bs, size)  # (T, B, 4H), (T + 1, B, H)
        cells = x.new_empty(n + 1, bs, size, dtype=torch.float32)
        h_all[0], cells[0] = h, c
        for t in range(n):
            act = gates[t].addmm_(h_all[t], w_hh.t()).float()  # (B, 4H)
            i, f, g, o = act.chunk(4, 1)
            g.add_(g), act.sigmoid_(), g.add_(g).sub_(1)  # a tanh, see `tanh`
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            gates[t] = act
            h_all[t + 1] = o * tanh(cells[t + 1])
        ctx.save_for_backward(x, gates, h_all, cells, w_ih, w_hh)
        return h_all[1:].transpose(0, 1), h_all[-1].clone(), cells[-1].to(x.dtype)

    @staticmethod
    def backward(ctx: Any, dout: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True. torch's `once_differentiable` may leave it out without a word
            raise NotImplementedError("an LSTM in bfloat16 has no second derivative: use float32 (learn.to_fp32())")
        x, gates, h_all, cells, w_ih, w_hh = ctx.saved_tensors
        dgates, dh, dc = torch.empty_like(gates), dh.float(), dc.float()
        for t in range(len(x) - 1, -1, -1):
            i, f, g, o = gates[t].float().chunk(4, 1)
            dh, tanh_c = dh + dout[:, t].float(), tanh(cells[t + 1])
            dc = dc + dh * o * (1 - tanh_c * tanh_c)
            dgates[t] = torch.cat([dc * g * i * (1 - i), dc * cells[t] * f * (1 - f), dc * i * (1 - g * g),
                                   dh * tanh_c * o * (1 - o)], 1)
            dh, dc = (dgates[t] @ w_hh).float(), dc * f
        flat, (needs_x, _, _, needs_ih, needs_hh, *_) = dgates.flatten(0, 1), ctx.needs_input_grad  # (T B, 4H)
        dx = (dgates @ w_ih).transpose(0, 1) if needs_x else None
        dw_ih = flat.t() @ x.flatten(0, 1) if needs_ih else None  # not of a layer that is frozen
        dw_hh = flat.t() @ h_all[:-1].flatten(0, 1) if needs_hh else None
        db = flat.sum(0, dtype=torch.float32).to(flat.dtype)
        return dx, dh.to(x.dtype), dc.to(x.dtype), dw_ih, dw_hh, db, db
