import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.sampled import Sample, WordSampler, sampled_cross_entropy
from ulmfit_easy.models.softmax import IGNORE, lm_cross_entropy

N, E, V = 7, 4, 50


def made(n=N, e=E, v=V, bias=True):
    x, weight = torch.randn(n, e, dtype=torch.float64), torch.randn(v, e, dtype=torch.float64)
    b = torch.randn(v, dtype=torch.float64) if bias else None
    return [t if t is None else t.requires_grad_() for t in (x, weight, b)], torch.randint(v, (n,))


def by_formula(x, weight, bias, y, sample):
    """The loss, token after token, as the module's docstring states it."""
    losses = []
    for i in range(len(y)):
        s = weight @ x[i] + (0 if bias is None else bias)  # (V,)
        z = s[y[i]].exp()
        for k, log_p in zip(*sample, strict=True):
            z = z + (s[k].exp() / log_p.exp() if k != y[i] else 0)
        losses.append(z.log() - s[y[i]])
    return torch.stack(losses).mean()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(2, 30), st.booleans(), st.integers(1, 60), st.integers(0, 2**31))
def test_loss_and_gradients_are_those_of_the_formula(n, v, bias, chunk, seed):
    torch.manual_seed(seed)
    tensors, y = made(n, v=v, bias=bias)
    sample = WordSampler(v, max(1, v // 2)).draw()
    sample = Sample(sample.ids, sample.log_p.double())
    wanted = [t for t in tensors if t is not None]
    loss, expected = sampled_cross_entropy(*tensors, y, sample, chunk, IGNORE), by_formula(*tensors, y, sample)
    torch.testing.assert_close(loss, expected)
    got, want = torch.autograd.grad(loss * 3, wanted), torch.autograd.grad(expected * 3, wanted)
    torch.testing.assert_close(got, want)


def test_gradcheck():
    tensors, y = made()
    ids, log_p = WordSampler(V, 20).draw()
    sample = Sample(ids, log_p.double())
    assert torch.autograd.gradcheck(lambda *t: sampled_cross_entropy(*t, y, sample, 40, IGNORE), tensors)


@pytest.mark.parametrize("n", [V, V + 1, 4096])
def test_a_sample_of_all_words_gives_the_exact_loss(n):
    tensors, y = made()
    ids, log_p = WordSampler(V, n).draw()
    x, weight, bias = tensors
    exact = F.cross_entropy(F.linear(x, weight, bias), y)
    got = sampled_cross_entropy(*tensors, y, Sample(ids, log_p.double()), 100, IGNORE)
    torch.testing.assert_close(got, exact)
    torch.testing.assert_close(torch.autograd.grad(got, tensors), torch.autograd.grad(exact, tensors))


def test_ignored_targets_count_nowhere():
    tensors, y = made()
    sample = WordSampler(V, 20).draw()
    x, weight, bias = tensors
    keep = torch.tensor([0, 2, 3])
    expected = sampled_cross_entropy(x[keep], weight, bias, y[keep], sample, 100, IGNORE)
    ignored = torch.full_like(y, IGNORE)
    ignored[keep] = y[keep]
    got = sampled_cross_entropy(*tensors, ignored, sample, 100, IGNORE)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got, tensors), torch.autograd.grad(expected, tensors))


def test_a_sample_has_distinct_words_and_frequent_ones_nearly_always():
    torch.manual_seed(0)
    sampler = WordSampler(10_000, 1000)
    for _ in range(20):
        ids, log_p = sampler.draw()
        assert len(ids.unique()) == len(ids) == 1000 and (log_p <= 0).all()
        assert set(range(20)) <= set(ids.tolist())


def test_sums_over_a_sample_are_unbiased():
    torch.manual_seed(0)
    scores, sampler = torch.randn(500).exp(), WordSampler(500, 100)
    draws = [sampler.draw() for _ in range(4000)]
    sums = torch.stack([(scores[ids] / log_p.exp()).sum() for ids, log_p in draws])
    standard_error = sums.std() / len(sums) ** 0.5
    assert abs(sums.mean() - scores.sum()) < 4 * standard_error < 0.03 * scores.sum()


def test_the_sampled_loss_is_a_little_too_low_and_less_so_for_more_words():
    torch.manual_seed(0)
    v = 2000
    x, weight, y = torch.randn(64, 8), torch.randn(v, 8) * 0.7, torch.randint(v, (64,))
    exact = F.cross_entropy(x @ weight.T, y)

    def bias(n):
        draws = [WordSampler(v, n).draw() for _ in range(200)]
        losses = [sampled_cross_entropy(x, weight, None, y, draw, 10**6, IGNORE) for draw in draws]
        return float(torch.stack(losses).mean() - exact)

    few, many = bias(50), bias(800)  # of logits that know nothing of frequency: the worst case
    assert few < -0.1 and few < many < 0.005 and abs(many) < 0.06


def test_training_samples_and_evaluation_is_exact():
    torch.manual_seed(0)
    sizes = dict(emb_sz=E, n_hid=7, n_layers=2)
    model = get_language_model(AWD_LSTM, 6000, sizes, drop_mult=0, softmax="sampled")
    ids, targets = torch.randint(6000, (2, 3, 5)).unbind()
    output = model.train()(ids)
    exact = F.cross_entropy(output.logits().flatten(0, 1), targets.flatten())
    assert len({lm_cross_entropy(output, targets).item() for _ in range(3)}) == 3  # a new sample each time
    torch.testing.assert_close(lm_cross_entropy(output, targets), exact, rtol=0.05, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(lm_cross_entropy(output, targets), exact)
    torch.testing.assert_close(lm_cross_entropy(model.eval()(ids), targets), exact)  # with gradients, too


def test_the_model_is_the_same_as_with_full_softmax():
    full, sampled = (get_language_model(AWD_LSTM, V, softmax=s) for s in ("full", "sampled"))
    assert {k: v.shape for k, v in full.state_dict().items()} == {k: v.shape for k, v in sampled.state_dict().items()}
    assert sampled[1].decoder.weight is sampled[0].encoder.weight


def test_the_random_state_decides_the_sample():
    sampler = WordSampler(1000, 100)
    torch.manual_seed(3)
    first = sampler.draw()
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(first, sampler.draw(), strict=True))
