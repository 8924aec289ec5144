import pytest
import torch

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.adaptive import AdaptiveSoftmax
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.generate import generate
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.softmax import IGNORE, lm_cross_entropy, token_stats

V, SIZES = 2500, dict(emb_sz=8, n_hid=10, n_layers=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return get_language_model(AWD_LSTM, V, SIZES, drop_mult=0, softmax="adaptive")


def test_log_probabilities_are_those_of_all_words(model):
    log_probs = model(torch.randint(V, (3, 5))).logits()
    assert log_probs.shape == (3, 5, V)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 5))


def test_the_loss_is_the_mean_of_the_targets_log_probabilities(model):
    ids, targets = torch.randint(V, (2, 3, 5)).unbind()
    targets[0, 1] = IGNORE
    output = model(ids)
    keep = targets != IGNORE
    expected = -output.logits()[keep].gather(1, targets[keep].unsqueeze(1)).mean()
    torch.testing.assert_close(lm_cross_entropy(output, targets), expected)
    stats = token_stats(output, targets)
    torch.testing.assert_close(stats.nll / stats.count, expected)
    assert stats.count == 14


def test_every_parameter_learns(model):
    ids, targets = torch.randint(V, (2, 8, 40)).unbind()
    lm_cross_entropy(model.train()(ids), targets).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_weights_are_not_tied_and_text_can_be_generated(model):
    assert "1.decoder.head.weight" in model.state_dict() and "1.decoder.weight" not in model.state_dict()
    assert len(generate(model, [2, 3], 4, seed=0)) == 4


def test_too_few_words_are_refused():
    with pytest.raises(TrainingError, match="E502.*2,000.*full"):
        AdaptiveSoftmax(8, 2000)


def test_states_too_narrow_for_the_rarest_words_are_refused():
    with pytest.raises(TrainingError, match="E502.*width 8.*16 or more"):
        AdaptiveSoftmax(8, 20_000)


def test_an_unknown_softmax_is_refused():
    with pytest.raises(TrainingError, match="E502.*'fast'.*sampled"):
        get_language_model(AWD_LSTM, V, SIZES, softmax="fast")
