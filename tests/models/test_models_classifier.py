import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier, masked_concat_pool
from ulmfit_easy.models.readers import SentenceEncoder

V, E, H, L, C, SEQ = 31, 12, 16, 3, 4, 20
TINY = dict(emb_sz=E, n_hid=H, n_layers=L)


def classifier(max_len=60, n_layers=L, **kwargs):
    """An eval classifier whose batch norms have seen data, so that small differences show."""
    config = dict(TINY, n_layers=n_layers)
    model = get_text_classifier(AWD_LSTM, V, C, seq_len=SEQ, config=config, max_len=max_len, **kwargs).eval()
    for block in model[1].layers[:2]:
        block[0].running_mean.uniform_(-0.1, 0.1)
        block[0].running_var.uniform_(0.02, 0.05)
    return model


def pad(docs, to=0):
    """Documents as ids (B, T), padded on the right, and lengths (B,)."""
    lengths = torch.tensor([len(d) for d in docs])
    ids = torch.ones(len(docs), max(to, *lengths.tolist()), dtype=torch.int64)
    for row, doc in zip(ids, docs, strict=True):
        row[:len(doc)] = doc
    return ids, lengths


def test_every_output_has_its_documented_shape():
    ids, lengths = pad([torch.full((n,), 5) for n in (7, 47, 23)])
    out = classifier()(ids, lengths)
    assert out.logits.shape == (3, C)
    assert out.raw.shape == (3, 47, E)
    assert out.mask.shape == (3, 47) and out.mask.dtype == torch.bool
    assert (~out.mask).sum(1).tolist() == [7, 47, 23]
    head = PoolingLinearClassifier([15, 9, 2], [0.1, 0.1]).eval()
    assert head.layers(torch.randn(3, 15)).shape == (3, 2)


@pytest.mark.parametrize("n", range(1, 5 * SEQ + 1))
def test_windows_give_the_states_of_one_long_read(n):
    encoder = AWD_LSTM(V, E, H, L).eval()
    ids = torch.randint(V, (1, n))
    out = SentenceEncoder(SEQ, encoder, max_len=None)(ids, torch.tensor([n]))
    torch.testing.assert_close(out.raw, encoder(ids).raw, rtol=0, atol=1e-6)
    assert not out.mask.any()


@pytest.mark.parametrize("n", [1, 20, 59, 60, 61, 79, 80, 81, 140, 155])
def test_kept_are_the_windows_that_start_within_the_last_max_len_tokens(n):
    encoder = AWD_LSTM(V, E, H, L).eval()
    ids = torch.randint(V, (1, n))
    out = SentenceEncoder(SEQ, encoder, max_len=60)(ids, torch.tensor([n]))
    first = min(start for start in range(0, n, SEQ) if start >= n - 60)
    torch.testing.assert_close(out.raw, encoder(ids).raw[:, first:], rtol=0, atol=1e-6)
    assert not out.mask.any()


def gradient_positions(loss_of, lengths, max_len):
    """Which positions get a gradient, each position holding a word of its own."""
    encoder = AWD_LSTM(1 + sum(lengths), E, H, L, pad_token=0)
    words = torch.arange(1, 1 + sum(lengths)).split(lengths)
    out = SentenceEncoder(SEQ, encoder.eval(), max_len)(*pad(words))
    loss_of(out).backward()
    moved = encoder.encoder.weight.grad.abs().sum(1) > 0  # (V,)
    return [moved[doc] for doc in words]


def test_the_gradient_reaches_kept_windows_only():
    moved = gradient_positions(lambda out: out.raw[~out.mask].sum(), [97, 33], max_len=40)
    assert moved[0].nonzero().flatten().tolist() == list(range(60, 97))
    assert moved[1].all()


def test_the_gradient_crosses_no_window_border():
    def last(out):
        return out.raw[0, -1].sum()
    moved, = gradient_positions(last, [50], max_len=None)
    assert moved.nonzero().flatten().tolist() == list(range(40, 50))


def test_windows_that_no_row_keeps_build_no_graph():
    ids, lengths = pad([torch.full((200,), 5), torch.full((190,), 6)])
    recorded = []
    encoder = AWD_LSTM(V, E, H, L)
    encoder.register_forward_hook(lambda module, args, out: recorded.append(out.raw.requires_grad))
    out = SentenceEncoder(SEQ, encoder, max_len=40)(ids, lengths)
    assert recorded == [False] * 8 + [True] * 2
    assert out.raw.shape[1] == 40


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 250), min_size=1, max_size=16), st.sampled_from([60, 200, None]),
       st.integers(0, 50), st.integers(2, 3), st.booleans(), st.integers(0, 2**32))
def test_a_prediction_depends_on_no_neighbour_no_order_no_padding(lengths, max_len, extra, n_layers, pool_words, seed):
    torch.manual_seed(seed)
    model = classifier(max_len, n_layers, pool_words=pool_words)
    docs = [torch.randint(V, (n,)) for n in lengths]  # every id, padding among them
    order = torch.randperm(len(docs)).tolist()
    some = order[:2]
    with torch.inference_mode():
        logits = model(*pad(docs, to=max(lengths) + extra)).logits
        shuffled = model(*pad([docs[i] for i in order])).logits
        alone = torch.cat([model(*pad([docs[i]])).logits for i in some])
    assert (logits[order] - shuffled).abs().max() < 1e-5
    assert (logits[some] - alone).abs().max() < 1e-5
    assert torch.equal(logits[some].argmax(1), alone.argmax(1))


def test_an_empty_document_gives_finite_logits_and_a_full_mask():
    model = classifier()
    for lengths in ([0, 30, 0], [0, 0]):
        out = model(*pad([torch.full((n,), 5) for n in lengths], to=1))
        assert out.logits.isfinite().all()
        assert (~out.mask).sum(1).tolist() == lengths


@pytest.mark.parametrize("pool_words", [False, True])
def test_the_head_equals_a_plain_reference(pool_words):
    model = classifier(max_len=None, pool_words=pool_words)
    ids, lengths = pad([torch.randint(V, (n,)) for n in (33, 5, 61)])
    x = []
    for row, n in zip(ids, lengths, strict=True):
        states = model[0].module(row[None, :n]).raw[0]  # (T, E)
        words = [model[0].module.encoder.weight[row[:n]].mean(0)] if pool_words else []
        x.append(torch.cat([states[-1], states.max(0).values, states.mean(0), *words]))
    x = torch.stack(x)  # (B, 3E or 4E)
    for i, (norm, _, linear, *_) in enumerate(model[1].layers):
        x = (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt() * norm.weight + norm.bias
        x = x @ linear.weight.T
        if i == 0:
            x = x.clamp_min(0)
    torch.testing.assert_close(model(ids, lengths).logits, x, rtol=1e-5, atol=1e-5)


def test_the_head_in_training_normalises_by_its_batch():
    model = get_text_classifier(AWD_LSTM, V, C, seq_len=SEQ, config=TINY, drop_mult=0, ps=[0.0]).train()
    ids, lengths = pad([torch.randint(V, (n,)) for n in (33, 5, 61)])
    out = model(ids, lengths)
    x = masked_concat_pool(out.raw, out.mask)
    for i, block in enumerate(model[1].layers):
        x = F.linear(F.batch_norm(x, None, None, training=True), block[2].weight)
        if i == 0:
            x = x.relu()
    torch.testing.assert_close(out.logits, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_training_batch_of_any_size_trains(n_rows):
    model = classifier().train()
    model(*pad([torch.full((30,), 5 + i) for i in range(n_rows)])).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_training_batch_of_one_row_leaves_the_running_statistics_alone():
    model = classifier().train()
    before = copy.deepcopy(model[1].layers[0][0].state_dict())
    model(*pad([torch.full((30,), 5)]))
    for name, value in model[1].layers[0][0].state_dict().items():
        assert torch.equal(value, before[name])


def test_y_range_bounds_the_outputs():
    model = classifier(y_range=(-2.0, 3.0))
    with torch.no_grad():
        model[1].layers[1][0].bias.fill_(1)
        model[1].layers[1][2].weight.copy_(torch.tensor([[1000], [-1000], [0], [0]]).expand(C, 50))
    logits = model(*pad([torch.randint(V, (30,))])).logits
    assert sorted(logits.flatten().tolist()) == [-2, 0.5, 0.5, 3]


def test_max_len_below_one_window_is_refused():
    with pytest.raises(ArgumentError, match="E603.*max_len=10"):
        classifier(max_len=10)


def test_a_head_with_the_wrong_number_of_dropouts_is_refused():
    with pytest.raises(ArgumentError, match="E603.*3 dropouts"):
        classifier(ps=[0.1, 0.1])
