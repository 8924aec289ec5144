"""The LSTM layer whose backward pass is matrix products: it gives what torch's gives."""

import pytest
import torch
from torch import nn

from ulmfit_easy.models import lstm16, packed
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.dropout import WeightDropout
from ulmfit_easy.models.lstm16 import LSTM16
from ulmfit_easy.models.precision import in_bf16

B, T, E, H = 3, 7, 5, 6


def parts():
    """Return the input, the state and the weights of a layer."""
    torch.manual_seed(0)
    sizes = (B, T, E), (B, H), (B, H), (4 * H, E), (4 * H, H), (4 * H,), (4 * H,)
    return [(0.3 * torch.randn(size)).requires_grad_() for size in sizes]


@pytest.mark.parametrize("learning", [range(7), [0, 1, 2], [3], [4, 6]], ids=["all", "inputs", "w_ih", "w_hh and b_hh"])
def test_output_and_gradients_are_those_of_torch(learning):
    x, h, c, *weights = given = [t.requires_grad_(i in learning) for i, t in enumerate(parts())]
    found = LSTM16.apply(*given)
    out, h, c = torch.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, True, False, True)
    wanted, factors = (out, h[0], c[0]), [torch.randn_like(t) for t in found]
    gradients = [torch.autograd.grad([*results], [given[i] for i in learning], factors) for results in (found, wanted)]
    torch.testing.assert_close([*found, *gradients[0]], [*wanted, *gradients[1]], rtol=1e-4, atol=1e-5)


def test_8_bits_give_the_same_numbers_on_each_processor(monkeypatch):
    x, h, c, *weights = [t.detach() for t in parts()]
    found = []
    for fast in (True, False):
        monkeypatch.setattr(packed, "cpu_has_fast_int8", lambda fast=fast: fast)
        found.append(packed.LSTMInt8(*weights)(x, (h[None], c[None]))[0])
    assert torch.equal(*found)


def test_a_second_derivative_is_refused():
    given = parts()
    with pytest.raises(NotImplementedError, match="to_fp32"):
        torch.autograd.grad(LSTM16.apply(*given)[0].sum(), given, create_graph=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 9)], ids=str)
def test_a_layer_for_answers_gives_what_torchs_gives(precision, size):
    layer = WeightDropout(nn.LSTM(E, H, batch_first=True), 0.0).eval()
    x, state = torch.randn(*size, E), (0.3 * torch.randn(2, 1, size[0], H)).unbind()
    with torch.no_grad():  # a processor without bfloat16 packs nothing
        asked = layer if precision == "fp32" else layer.packed(precision) or layer
        found, wanted = asked(x, state), torch.lstm(x, state, layer.drawn(), True, 1, 0.0, False, False, True)
    tol = {"fp32": 1e-6, "bf16": 0.02, "int8": 0.03}[precision]
    torch.testing.assert_close([found[0].float(), *(s.float() for s in found[1])], [*wanted], rtol=0, atol=tol)


@pytest.mark.parametrize("pays_from", [H, H + 1], ids=["ours", "torch's"])
def test_a_layer_learns_in_16_bits_as_in_32(pays_from, monkeypatch):
    monkeypatch.setattr(lstm16, "PAYS_FROM", pays_from)
    layer = WeightDropout(nn.LSTM(E, H, batch_first=True), 0.0)
    x, h, c = parts()[:3]

    def gradients():
        out, (h_n, c_n) = layer(x, (h[None], c[None]))
        loss = out.float().pow(2).mean() + h_n.float().sum() + c_n.float().sum()
        return torch.autograd.grad(loss, [x, h, c, *layer.parameters()])

    torch.testing.assert_close(in_bf16("cpu", gradients), gradients(), rtol=0.1, atol=0.02)


def test_all_windows_of_a_batch_share_one_mask(monkeypatch):
    n_drawn, drawn = [], WeightDropout.drawn
    monkeypatch.setattr(WeightDropout, "drawn", lambda self: n_drawn.append(1) or drawn(self))
    model = get_text_classifier(AWD_LSTM, 20, 2, 5, dict(emb_sz=E, n_hid=H, n_layers=2))
    for batch in (1, 2):
        model(torch.randint(9, 20, (B, 23)), torch.tensor([23, 9, 4]))
        assert len(n_drawn) == 2 * batch  # of two layers
