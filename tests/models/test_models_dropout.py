import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from ulmfit_easy.models.dropout import EmbeddingDropout, RNNDropout, WeightDropout, dropout_mask

B, T, E, H, V = 3, 5, 4, 7, 11


def weight_dropped(p=0.5):
    return WeightDropout(nn.LSTM(E, H, batch_first=True), p)


def zero_state():
    return torch.zeros(1, B, H), torch.zeros(1, B, H)


def test_a_mask_keeps_the_mean_and_holds_two_values():
    mask = dropout_mask(torch.ones(1, dtype=torch.float64), (100, 100), 0.2)
    assert mask.dtype == torch.float64
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    assert abs(mask.mean() - 1) < 0.03


def test_rnn_dropout_has_one_mask_over_time_and_another_for_each_row_and_forward():
    drop, x = RNNDropout(0.5), torch.ones(B, T, 50)
    first, second = drop(x), drop(x)
    assert torch.equal(first, first[:, :1].expand_as(first))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("drop", [RNNDropout(0.0), RNNDropout(0.5).eval()])
def test_rnn_dropout_leaves_its_input_alone_when_off(drop):
    x = torch.rand(B, T, E)
    assert drop(x) is x


def test_embedding_dropout_drops_a_word_everywhere_in_the_batch():
    emb = nn.Embedding(V, E)
    ids = torch.arange(V).repeat(2, 3)  # every word six times
    ratio = EmbeddingDropout(emb, 0.5)(ids) / emb(ids)  # (2, 3V, E)
    by_word = ratio.view(6, V, E)
    torch.testing.assert_close(by_word, by_word[:1, :, :1].expand_as(by_word))
    assert set(by_word.round().unique().tolist()) == {0.0, 2.0}


def test_embedding_dropout_gives_a_dropped_word_no_gradient_and_keeps_the_table():
    emb = nn.Embedding(V, E)
    before, ids = emb.weight.detach().clone(), torch.arange(V).unsqueeze(0)
    out = EmbeddingDropout(emb, 0.5)(ids)
    out.sum().backward()
    dropped = out[0].eq(0).all(1)
    assert 0 < dropped.sum() < V
    assert torch.equal(emb.weight.grad.eq(0).all(1), dropped)
    assert torch.equal(emb.weight, before)


def test_embedding_dropout_is_a_plain_lookup_in_eval():
    emb, ids = nn.Embedding(V, E), torch.randint(V, (B, T))
    assert torch.equal(EmbeddingDropout(emb, 0.5).eval()(ids), emb(ids))


def test_weight_dropout_changes_each_training_forward_and_no_eval_forward():
    rnn, x = weight_dropped(), torch.rand(B, T, E)
    assert not torch.equal(rnn(x, zero_state())[0], rnn(x, zero_state())[0])
    rnn.eval()
    assert torch.equal(rnn(x, zero_state())[0], rnn(x, zero_state())[0])


def test_weight_dropout_in_eval_is_the_lstm_it_wraps():
    lstm, x = nn.LSTM(E, H, batch_first=True), torch.rand(B, T, E)
    expected, (h, c) = lstm(x)
    out, state = WeightDropout(lstm, 0.5).eval()(x, zero_state())
    assert out.shape == (B, T, H) and h.shape == (1, B, H)
    for got, want in zip((out, *state), (expected, h, c), strict=True):
        assert torch.equal(got, want)


def test_weight_dropout_drops_recurrent_weights_and_nothing_else():
    rnn, x = weight_dropped(), torch.rand(B, 1, E)  # from a zero state one step meets no recurrent weight
    assert torch.equal(rnn(x, zero_state())[0], rnn(x, zero_state())[0])


def test_the_raw_weight_gets_a_gradient_and_no_forward_changes_it():
    rnn, x = weight_dropped(), torch.rand(B, T, E)
    before = rnn.weight_hh_l0_raw.detach().clone()
    for _ in range(100):
        out, _ = rnn(x, zero_state())
    assert torch.equal(rnn.weight_hh_l0_raw, before)
    out.sum().backward()
    grad = rnn.weight_hh_l0_raw.grad
    assert grad.abs().sum() > 0
    assert 0.3 < grad.eq(0).float().mean() < 0.7  # half of the weights were out of this forward


def test_weight_dropout_can_be_copied_and_pickled_after_training_without_a_warning():
    rnn, x = weight_dropped(), torch.rand(B, T, E)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rnn(x, zero_state())[0].sum().backward()
        twins = [copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))]
    for twin in twins:
        assert torch.equal(twin.eval()(x, zero_state())[0], rnn.eval()(x, zero_state())[0])


def test_weight_dropout_gives_gradients_in_eval_too():
    rnn, x = weight_dropped().eval(), torch.rand(B, T, E, requires_grad=True)
    rnn(x, zero_state())[0].sum().backward()
    assert x.grad.abs().sum() > 0


def test_weight_dropout_names_its_parameters_as_published_checkpoints_do():
    names = list(weight_dropped().state_dict())
    assert names == ["weight_hh_l0_raw", "module.weight_ih_l0", "module.bias_ih_l0", "module.bias_hh_l0"]


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.05, 0.5, 0.999, 1 - 1e-6])
def test_a_mask_drops_each_number_with_its_probability(p):
    n = 1_000_001  # not a multiple of the numbers that one draw gives
    dropped = (dropout_mask(torch.ones(1), (n,), p) == 0).sum().item()
    assert abs(dropped - n * p) <= 5 * (n * p * (1 - p)) ** 0.5 + n * 2**-16


def test_neighbours_in_a_mask_are_independent():
    mask = dropout_mask(torch.ones(1), (1000, 1000), 0.5).flatten() - 1  # -1 or 1
    for lag in (1, 2, 3, 4, 1000):
        assert abs((mask[lag:] * mask[:-lag]).mean()) < 5e-3
