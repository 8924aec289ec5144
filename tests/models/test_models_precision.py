import pytest
import torch
from torch import nn

from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.dropout import WeightDropout
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.precision import autocast, cpu_has_fast_bf16
from ulmfit_easy.models.softmax import SOFTMAX, lm_cross_entropy

B, T, E, H, V = 3, 5, 4, 7, 2500
bf16 = torch.bfloat16


@pytest.mark.parametrize(("name", "has", "fast"), [
    ("Intel Xeon", {"avx512_bf16": True, "amx_bf16": True}, True),
    ("Intel Xeon", {"avx512_bf16": True, "amx_bf16": False}, False),
    ("AMD EPYC", {"avx512_bf16": True, "amx_bf16": False}, True),
    ("AMD EPYC", {"avx512_bf16": False, "amx_bf16": False}, False),
    ("Apple M1", {}, False),
])  # fmt: skip
def test_bf16_is_fast_where_the_processor_has_the_instructions_and_gains_by_them(monkeypatch, name, has, fast):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"cpu_name": name, **has}, raising=False)
    assert cpu_has_fast_bf16() is fast


def test_a_torch_that_does_not_tell_stays_in_float32(monkeypatch):
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert cpu_has_fast_bf16() is False


def test_tensors_are_cast_where_autocast_is_on_only():
    x = torch.ones(2)
    assert autocast(x)[0] is x
    with torch.autocast("cpu", bf16):
        (half,) = autocast(x)
    assert half.dtype == bf16


def test_under_autocast_an_lstm_computes_in_bf16_and_its_weights_stay_float32():
    torch.manual_seed(0)
    rnn, x = WeightDropout(nn.LSTM(E, H, batch_first=True), 0.0), torch.randn(B, T, E)
    state = torch.zeros(1, B, H), torch.zeros(1, B, H)
    exact, _ = rnn(x, state)
    with torch.autocast("cpu", bf16):
        out, after = rnn(x, state)
        again, _ = rnn(x, after)  # the state of a batch goes into the next
    assert {out.dtype, again.dtype, after[0].dtype, after[1].dtype} == {bf16}
    assert out.shape == (B, T, H) and after[0].shape == (1, B, H)
    torch.testing.assert_close(out.float(), exact, atol=0.02, rtol=0)
    out.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.abs().sum() > 0 for p in rnn.parameters())


@pytest.mark.parametrize("softmax", SOFTMAX)
def test_loss_and_gradients_under_autocast_are_near_the_exact_ones(softmax):
    torch.manual_seed(0)
    model = get_language_model(AWD_LSTM, V, dict(emb_sz=16, n_hid=20, n_layers=2), drop_mult=0, softmax=softmax)
    ids, targets = torch.randint(V, (2, 8, 20)).unbind()

    def loss_and_gradients(half):
        torch.manual_seed(0)  # the same sample
        with torch.autocast("cpu", bf16, enabled=half):
            loss = lm_cross_entropy(model.train()(ids), targets)
        assert loss.dtype == torch.float32
        return loss, torch.autograd.grad(loss, list(model.parameters()))

    (loss, grads), (exact, wanted) = loss_and_gradients(True), loss_and_gradients(False)
    torch.testing.assert_close(loss, exact, rtol=2e-3, atol=0)
    for got, want in zip(grads, wanted, strict=True):
        assert got.dtype == torch.float32
        assert (got - want).norm() < 0.05 * want.norm()
