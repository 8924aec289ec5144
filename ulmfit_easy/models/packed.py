"""LSTM layers for answers alone: their weights are kept in 16 or 8 bits, as the processor reads them.

The time of an LSTM for one text is that of reading its weights once for each token. In each call, the layer of torch
also brings them into another order. For a sentence this takes longer than the rest.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.dropout import Recurrent, by_steps
from ulmfit_easy.models.evaluated import evaluated
from ulmfit_easy.models.precision import cpu_has_fast_int8

ROWS = 512  # of the input at once, see `InParts`


def packed(model: nn.Module, precision: str) -> nn.Module:
    """Return a view of a model for answers in "bf16" or "int8", with other layers in place of recurrent ones.

    It has the weights that these layers had when it was made. Raises: E602 for "int8", if no layer has 8 bits.
    """
    each = [m for m in model.modules() if isinstance(m, Recurrent)]
    found: dict[nn.Module, nn.Module] = {m: other for m in each if (other := m.packed(precision)) is not None}
    if precision == "int8" and not found:
        raise ArgumentError("E602", received='precision="int8" for a model without LSTM layers', expected="an encoder "
                            "of LSTM layers, such as AWD_LSTM", fix='pass precision="bf16", or export a graph in 8 '
                            "bits: learn.to_onnx(folder, quantize=True)")
    return evaluated(model, found)


class InParts(Recurrent):
    """A layer that reads a few steps of all rows at once. In each call, larger tensors would be new memory."""

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor],
                weights: None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        outputs = []
        for part in x.split(max(1, ROWS // len(x)), 1):  # (B, t, E)
            out, state = self.read(part, state)
            outputs.append(out)
        return torch.cat(outputs, 1), state

    def read(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output (B, t, H) for x (B, t, E), and the state."""
        raise NotImplementedError


class LSTMInt8(InParts):
    """An LSTM layer whose products are of whole numbers in 8 bits, and whose sums over time are float32.

    Each row of a weight has a scale, and so has each row of the input. A state h lies between -1 and 1, which is its
    scale. So no answer depends on the other rows of its batch. A processor that is not fast at such products computes
    in float32 with the rounded weights.

    Args: the weights of an `nn.LSTM` of one layer, (4H, E), (4H, H), (4H,), (4H,), with the gates i, f, g, o.
    """

    def __init__(self, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor):
        super().__init__()
        self.state_sizes = w_hh.shape[1], w_hh.shape[1]
        self.bias = nn.Parameter(b_ih + b_hh, requires_grad=False)
        (self.w_ih, self.scale_ih), (self.w_hh, self.scale_hh) = map(in_8_bits, (w_ih, w_hh))
        self.product: Callable = torch._int_mm if w_ih.device.type == "cpu" and cpu_has_fast_int8() else _float_mm

    def read(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, scales = in_8_bits(x.transpose(0, 1).flatten(0, 1))  # (t B, E), (t B, 1)
        gates = self.product(rows, self.w_ih.t()).float().mul_(scales).mul_(self.scale_ih.t()).add_(self.bias)
        w_hh, scale = self.w_hh.t(), self.scale_hh.t() / 127  # (H, 4H), (1, 4H)

        def add(gates: Tensor, h: Tensor) -> Tensor:
            return gates.addcmul_(self.product((h * 127).round_().to(torch.int8), w_hh).float(), scale)

        return by_steps(gates.view(x.shape[1], x.shape[0], -1), *state, add)


def in_8_bits(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x (N, K) as whole numbers from -127 to 127, and what to multiply each row by to get it back, (N, 1)."""
    scale = x.abs().amax(1, keepdim=True).clamp_min_(1e-30).div_(127)
    return (x / scale).round_().to(torch.int8), scale


def _float_mm(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of two matrices of whole numbers in float32, which is exact up to 1,040 columns."""
    return a.float() @ b.float()


class LSTMBf16(InParts):
    """An LSTM layer of torch in bfloat16, whose weights are in the order of oneDNN already."""

    def __init__(self, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor):
        super().__init__()
        self.state_sizes = w_hh.shape[1], w_hh.shape[1]
        w_ih, w_hh, *biases = (w.bfloat16() for w in (w_ih, w_hh, b_ih, b_hh))
        self.biases = nn.ParameterList(nn.Parameter(b, requires_grad=False) for b in biases)
        # hidden size; not reversed; biases; time first
        self.weights = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(w_ih, w_hh, w_hh.shape[1], False, True, False)

    def read(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x, h, c = (t.bfloat16() for t in (x.transpose(0, 1), *state))
        # not reversed; no packed sequence; 2 is an LSTM; one layer; biases; one direction; time first; no training
        out, h, c, _ = torch.ops.aten.mkldnn_rnn_layer(
            x.contiguous(), *self.weights, *self.biases, h.contiguous(), c.contiguous(), False, [], 2,
            self.state_sizes[0], 1, True, False, False, False)
        return out.transpose(0, 1), (h, c)


def can_pack_bf16(weight: Tensor) -> bool:
    """Return True if torch keeps weights of an LSTM in the order of oneDNN for bfloat16 on this machine."""
    kit: Any = torch.ops.mkldnn
    return (weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
            and hasattr(kit, "_reorder_mkldnn_rnn_layer_weight") and kit._is_mkldnn_bf16_supported())
