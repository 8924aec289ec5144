import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.models import qrnn
from ulmfit_easy.models.qrnn import QRNN, DroppedLinear, fo_pool

B, T, E, H = 3, 5, 4, 7


@pytest.fixture(params=[1, 2 * B * H, 2**17], ids=["a step a block", "two steps a block", "all in one block"])
def any_block(request, monkeypatch):
    monkeypatch.setattr(qrnn, "BLOCK", request.param)


def plain_pool(gates, c):
    """The formula, a step after the other, under torch's own autograd."""
    out = []
    for gate in gates.unbind(1):  # (B, 3H)
        z, f, o = gate.chunk(3, dim=1)
        c = f.sigmoid() * z.tanh() + (1 - f.sigmoid()) * c
        out.append(o.sigmoid() * c)
    return torch.stack(out, 1), c


def plain_layer(layer, x, c, before):
    """The formula, a row and a step after the other, in numbers of Python's own precision."""
    weight, bias = layer.layers[0].linear.weight_raw.double(), layer.layers[0].linear.module["bias"].double()
    outs = torch.empty(*x.shape[:2], layer.hidden_size, dtype=torch.float64)
    for row in range(len(x)):
        value, last = c[row].double(), before[row].double()
        for t, now in enumerate(x[row].double()):
            seen = torch.cat([now, last]) if layer.window == 2 else now
            z, f, o = (weight @ seen + bias).view(3, -1)
            value = torch.sigmoid(f) * torch.tanh(z) + (1 - torch.sigmoid(f)) * value
            outs[row, t], last = torch.sigmoid(o) * value, now
    return outs


def start(layer, bs=B):
    return tuple(torch.randn(1, bs, size) for size in layer.state_sizes)


def grads(pool, gates, c):
    """Both outputs of a pooling, and the gradients of a sum over them that treats every number differently."""
    gates, c = gates.clone().requires_grad_(), c.clone().requires_grad_()
    out, last = pool(gates, c)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().add(last.pow(2).sum()).backward()
    return out, last, gates.grad, c.grad


# --- the gated average --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6), st.integers(1, 40), st.floats(0.1, 8))
def test_outputs_and_gradients_are_those_of_the_plain_loop(bs, n_steps, size, block, scale):
    gates = torch.randn(bs, n_steps, 3 * size, dtype=torch.float64) * scale
    c = torch.randn(bs, size, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qrnn, "BLOCK", block)
        ours = grads(fo_pool, gates, c)
    torch.testing.assert_close(ours, grads(plain_pool, gates, c), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("any_block")
def test_the_gradient_is_the_slope():
    gates = torch.randn(B, T, 3 * H, dtype=torch.float64, requires_grad=True)
    c = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fo_pool, (gates, c))


def test_the_memory_layout_of_the_gates_changes_nothing():
    gates, c = torch.randn(T, B, 3 * H).transpose(0, 1), torch.randn(B, H)
    torch.testing.assert_close(grads(fo_pool, gates, c), grads(fo_pool, gates.contiguous(), c), rtol=0, atol=0)


def test_the_average_adds_up_in_float32_whatever_the_type_of_the_gates():
    gates = torch.randn(B, 500, 3 * H).bfloat16()
    out, last = fo_pool(gates, torch.zeros(B, H))
    assert (out.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(last, plain_pool(gates.float(), torch.zeros(B, H))[1])


def test_gates_wide_open_or_shut_copy_or_keep():
    z, o = torch.randn(B, T, H), torch.full((B, T, H), 100.0)
    c = torch.randn(B, H)
    out, last = fo_pool(torch.cat([z, torch.full_like(z, 100.0), o], 2), c)
    assert torch.equal(out, z.tanh())  # f = 1 takes the new value
    out, last = fo_pool(torch.cat([z, torch.full_like(z, -200.0), o], 2), c)
    assert torch.equal(last, c) and torch.equal(out[:, 2], c)


# --- the layer ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_block")
@pytest.mark.parametrize("window", [1, 2])
def test_a_layer_is_the_published_formula(window):
    layer, x = QRNN(E, H, 0.5, window).eval(), torch.randn(B, T, E)
    state = start(layer)
    out, after = layer(x, state)
    expected = plain_layer(layer, x, state[0][0], state[-1][0])
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-6)
    assert [s.shape for s in after] == [(1, B, H), (1, B, E)][:window]
    if window == 2:
        assert torch.equal(after[1][0], x[:, -1])


@pytest.mark.parametrize("window", [1, 2])
@settings(deadline=None, max_examples=30)
@given(st.sets(st.integers(1, 11)))
def test_reading_in_pieces_is_reading_at_once(window, cuts):
    layer, x = QRNN(E, H, 0.5, window).eval(), torch.randn(B, 12, E)
    state = before = start(layer)
    pieces = []
    for a, b in pairwise([0, *sorted(cuts), 12]):  # pieces of a single step among them
        piece, state = layer(x[:, a:b], state)
        pieces.append(piece)
    whole, after = layer(x, before)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("window", [1, 2])
def test_no_output_knows_a_later_step(window):
    layer, x = QRNN(E, H, 0.5, window).eval(), torch.randn(1, T, E)
    moves = torch.autograd.functional.jacobian(lambda x: layer(x, start(layer, 1))[0].sum(2)[0], x)[:, 0].abs().sum(2)
    assert torch.equal(moves > 0, torch.ones(T, T).tril() > 0)  # (T of the output, T of the input)


def test_the_state_holds_no_more_memory_than_its_numbers():
    layer = QRNN(E, H, 0.5, window=2)
    _, state = layer(torch.randn(B, T, E), start(layer))
    assert [s.untyped_storage().nbytes() for s in state] == [4 * B * H, 4 * B * E]


def test_gradients_are_the_same_in_eval_mode_and_stop_at_a_state_that_wants_none():
    layer, x = QRNN(E, H, 0.0, window=2), torch.randn(B, T, E)
    state, found = start(layer), []
    for mode in (True, False):
        layer.zero_grad()
        layer.train(mode)(x, state)[0].sum().backward()
        found.append([p.grad.clone() for p in layer.parameters()])
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert all(g.abs().sum() > 0 for g in found[0]) and all(s.grad is None for s in state)


def test_the_gradient_reaches_the_state_that_wants_one():
    layer, x = QRNN(E, H, 0.0, window=2), torch.randn(B, T, E)
    state = tuple(s.requires_grad_() for s in start(layer))
    layer(x, state)[0].sum().backward()
    assert all(s.grad.abs().sum() > 0 for s in state)


def test_under_autocast_the_product_is_bfloat16_and_the_state_float32():
    layer, x = QRNN(E, H, 0.0, window=2), torch.randn(B, T, E)
    state = start(layer)
    exact, after = layer(x, state)
    with torch.autocast("cpu", torch.bfloat16):
        out, rounded = layer(x, state)
    assert out.dtype == torch.bfloat16 and all(s.dtype == torch.float32 for s in rounded)
    torch.testing.assert_close(out.float(), exact, rtol=0.05, atol=0.02)
    torch.testing.assert_close(rounded, after, rtol=0.05, atol=0.02)
    out.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in layer.parameters())


# --- dropped weights ----------------------------------------------------------------------------------------


def test_the_mask_is_one_for_all_steps_and_rows_and_new_at_each_forward():
    layer, x = QRNN(E, H, 0.5).train(), torch.randn(E).expand(B, T, E)
    gates = layer.layers[0].linear(x)
    torch.testing.assert_close(gates, gates[:1, :1].expand_as(gates))
    assert not torch.equal(layer.layers[0].linear(x), gates)


def test_dropping_leaves_the_weight_alone_and_is_off_in_eval_mode():
    linear, x = DroppedLinear(E, H, 0.5), torch.randn(B, T, E)
    before = linear.weight_raw.detach().clone()
    linear(x)
    assert torch.equal(linear.weight_raw, before)
    assert torch.equal(linear.eval()(x), torch.nn.functional.linear(x, before, linear.module["bias"]))


@pytest.mark.parametrize("p", [0.2, 0.75])
def test_kept_weights_are_scaled_up_and_the_rest_is_zero(p):
    linear = DroppedLinear(50, 50, p)
    linear.weight_raw.data.fill_(1.0)
    linear.module["bias"].data.zero_()
    dropped = linear(torch.eye(50))  # the weight itself
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / (1 - p)]))
    assert abs((dropped == 0).float().mean() - p) < 0.05


def test_a_layer_can_be_copied_after_training():
    layer, x = QRNN(E, H, 0.5), torch.randn(B, T, E)
    layer(x, start(layer))[0].sum().backward()
    twin, state = copy.deepcopy(layer).eval(), start(layer)
    assert torch.equal(twin(x, state)[0], layer.eval()(x, state)[0])
