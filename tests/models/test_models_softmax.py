import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ulmfit_easy.models import softmax
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.softmax import IGNORE, LMOutput, lm_cross_entropy, token_stats

B, T, V, E = 3, 5, 23, 4


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(softmax, "CHUNK_FLOATS", 4 * V)  # four tokens at once: 3 full chunks and a rest of 3


def made(B=B, T=T, V=V, E=E, dtype=torch.float64, bias=True):
    x = torch.randn(B, T, E, dtype=dtype, requires_grad=True)
    decoder = nn.Linear(E, V, bias=bias).to(dtype)
    return LMOutput(x, x, [], decoder), torch.randint(V, (B, T))


def plain(output, targets, reduction="mean"):
    return F.cross_entropy(output.logits().flatten(0, 1), targets.flatten(), reduction=reduction)


def gradients(loss, output):
    wanted = [output.dropped, *output.decoder.parameters()]
    return torch.autograd.grad(loss, wanted)


def test_logits_on_demand_have_batch_time_vocabulary():
    assert made()[0].logits().shape == (B, T, V)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(2, 40), st.integers(1, 6), st.booleans(), st.data())
def test_chunked_loss_and_gradients_equal_the_plain_ones(B, T, V, E, bias, data):
    output, targets = made(B, T, V, E, bias=bias)
    ignored = data.draw(st.lists(st.booleans(), min_size=B * T - 1, max_size=B * T - 1))
    targets[torch.tensor([*ignored, False]).view(B, T)] = IGNORE
    loss, expected = lm_cross_entropy(output, targets), plain(output, targets)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)
    for got, want in zip(gradients(loss * 3, output), gradients(expected * 3, output), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def test_without_a_target_the_loss_and_its_gradients_are_zero():  # such as texts of one token for AuxiliaryLM
    output, targets = made()
    loss = lm_cross_entropy(output, torch.full_like(targets, IGNORE))
    assert loss == 0 and not any(g.any() for g in gradients(loss, output))


def test_gradcheck():
    output, targets = made()
    targets[0, 1] = IGNORE
    weight, bias = output.decoder.weight, output.decoder.bias
    args = (output.dropped.flatten(0, 1), weight, bias, targets.flatten())
    assert torch.autograd.gradcheck(softmax._LinearCrossEntropy.apply, args)


def test_float32_gradients_of_a_tied_model_equal_the_plain_ones():
    model = get_language_model(AWD_LSTM, V, dict(emb_sz=E, n_hid=7, n_layers=2), drop_mult=0)
    ids, targets = torch.randint(V, (2, B, T)).unbind()
    expected = torch.autograd.grad(plain(model(ids), targets), list(model.parameters()))
    got = torch.autograd.grad(lm_cross_entropy(model(ids), targets), list(model.parameters()))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)


def test_the_backward_can_run_twice():
    output, targets = made()
    loss = lm_cross_entropy(output, targets)
    first = torch.autograd.grad(loss, output.dropped, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, output.dropped)[0], first)


class Largest(TorchDispatchMode):
    """The most elements that any one tensor has had."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return out


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("grad", [True, False])
def test_no_tensor_of_tokens_times_vocabulary_is_ever_made(monkeypatch, grad, reduction):
    monkeypatch.setattr(softmax, "CHUNK_FLOATS", 1000)
    output, targets = made(B=20, T=30, V=100, E=4)
    with Largest() as largest, torch.set_grad_enabled(grad):
        loss = lm_cross_entropy(output, targets, reduction)
        if loss.requires_grad:
            loss.backward()
    assert largest.numel == 20 * 30 * 4  # the states; a chunk of logits has 1,000, all of them 60,000
    with Largest() as largest:
        plain(output, targets)
    assert largest.numel == 20 * 30 * 100


def test_nothing_of_tokens_times_vocabulary_is_saved_for_backward(monkeypatch):
    output, targets, saved = *made(B=20, T=30, V=100, E=4), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        lm_cross_entropy(output, targets)
    assert saved and max(saved) == 20 * 30 * 4


@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient_work(frozen):
    output, targets = made()
    tensors = dict(x=output.dropped, weight=output.decoder.weight, bias=output.decoder.bias)
    tensors[frozen].requires_grad_(False)
    loss = lm_cross_entropy(output, targets)
    saved = dict(zip(tensors, loss.grad_fn.saved_tensors, strict=True))
    assert saved[frozen] is None
    loss.backward()
    for name, tensor in tensors.items():
        assert (tensor.grad is None) == (name == frozen)


def test_without_gradients_the_loss_leaves_the_sums_behind():
    output, targets = made()
    targets[0, :2] = IGNORE
    with torch.no_grad():
        loss = lm_cross_entropy(output, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss.double(), plain(output, targets).detach(), rtol=1e-6, atol=0)
    guesses = output.logits().argmax(-1)
    assert output.stats.correct == (guesses == targets).sum()
    assert output.stats.n == B * T - 2
    assert torch.equal(output.stats.nll / output.stats.n, loss)
    assert token_stats(output, targets) == output.stats


def test_training_leaves_no_sums():
    output, targets = made()
    lm_cross_entropy(output, targets)
    assert output.stats is None


def test_a_loss_per_token_is_there_on_demand():
    output, targets = made()
    targets[1, 1] = IGNORE
    nll = lm_cross_entropy(output, targets, reduction="none")
    assert nll.shape == (B, T) and not nll.requires_grad and nll[1, 1] == 0
    torch.testing.assert_close(nll.flatten(), plain(output, targets, "none").detach(), rtol=0, atol=1e-12)


class Products(TorchDispatchMode):
    """The types of all operands of matrix products, added up in `dtypes`."""

    def __init__(self):
        super().__init__()
        self.dtypes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "mm" in func.__name__:
            self.dtypes += [t.dtype for t in args]
        return func(*args, **(kwargs or {}))


def test_autocast_runs_every_matrix_product_in_its_type():
    output, targets = made(dtype=torch.float32, bias=False)
    with Products() as products, torch.autocast("cpu", dtype=torch.bfloat16):
        lm_cross_entropy(output, targets).backward()
    assert len(products.dtypes) >= 3 * 2 and set(products.dtypes) == {torch.bfloat16}


def test_autocast_keeps_loss_and_gradients_in_float32_and_near():
    output, targets = made(dtype=torch.float32)
    expected = plain(output, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = lm_cross_entropy(output, targets)
    assert loss.dtype == torch.float32 and loss != expected
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=0)
    for got, want in zip(gradients(loss, output), gradients(expected, output), strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, want, rtol=0.1, atol=2e-3)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(lm_cross_entropy(output, targets), loss, rtol=1e-6, atol=0)
