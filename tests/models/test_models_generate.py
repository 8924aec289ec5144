import pytest
import torch

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.generate import _filter, generate
from ulmfit_easy.models.language_model import get_language_model

V, PROMPT = 29, [2, 9, 14, 20]


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = get_language_model(AWD_LSTM, V, dict(emb_sz=12, n_hid=16, n_layers=2))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8)  # far from uniform, so that greedy choices are clear
    return model


def test_greedy_text_equals_reading_the_whole_prefix_again_for_each_word(model):
    text = list(PROMPT)
    with torch.no_grad():
        for _ in range(20):
            text.append(model.eval()(torch.tensor([text])).logits()[0, -1].argmax().item())
    assert generate(model, PROMPT, 20, top_k=1) == text[len(PROMPT):]
    assert len(set(text)) > 3


def test_each_word_costs_one_step(model):
    widths = []
    model[0].register_forward_pre_hook(lambda module, args: widths.append(args[0].shape[1]))
    generate(model, PROMPT, 5)
    assert widths == [len(PROMPT), 1, 1, 1, 1]


def test_a_seed_fixes_the_text_and_leaves_the_global_random_state_alone(model):
    before = torch.get_rng_state()
    texts = [generate(model, PROMPT, 30, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_the_global_random_state_fixes_the_text_and_goes_on_by_one_draw(model):
    texts = []
    for _ in range(2):
        torch.manual_seed(0)
        texts.append([generate(model, PROMPT, 30, temperature=2.0) for _ in range(2)])
    assert texts[0] == texts[1] and texts[0][0] != texts[0][1]
    after = torch.get_rng_state()
    torch.manual_seed(0)
    torch.randint(2**31, ()), torch.randint(2**31, ())
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(model, training):
    model.train(training)
    assert generate(model, PROMPT, 10, top_k=1) == generate(model, PROMPT, 10, top_k=1)
    assert model.training is training


def test_the_mode_comes_back_after_an_error(model):
    model.train()
    with pytest.raises(IndexError):
        generate(model, [V + 5], 1)
    assert model.training


def test_banned_ids_never_come(model):
    banned = set(generate(model, PROMPT, 50, seed=0, temperature=3.0)) - {5}
    assert set(generate(model, PROMPT, 50, seed=0, temperature=3.0, banned=banned)).isdisjoint(banned)


def test_a_stop_id_ends_the_text_and_is_left_out(model):
    text = generate(model, PROMPT, 20, top_k=1)
    assert generate(model, PROMPT, 20, top_k=1, stop={text[6]}) == text[:text.index(text[6])]


def test_zero_words_are_an_empty_list(model):
    assert generate(model, PROMPT, 0) == []


@pytest.mark.parametrize("options, kept", [
    (dict(), [0, 1, 2, 3]),
    (dict(top_k=2), [0, 1]),
    (dict(top_k=99), [0, 1, 2, 3]),
    (dict(top_p=0.4), [0]),
    (dict(top_p=0.51), [0, 1]),
    (dict(top_p=1.0), [0, 1, 2, 3]),
    (dict(min_p=0.15), [0, 1]),
    (dict(banned=[0, 2]), [1, 3]),
    (dict(banned=[0], top_k=1), [1]),
    (dict(banned=[0], top_p=0.5), [1])])
def test_filters_keep_what_they_promise(options, kept):
    defaults = dict(temperature=1.0, min_p=None, top_k=None, top_p=None, banned=[])
    left = _filter(torch.tensor([0.5, 0.3, 0.15 - 1e-6, 0.05 + 1e-6]), **{**defaults, **options})
    assert left.nonzero().flatten().tolist() == kept


def test_temperature_is_a_power_of_the_probabilities():
    probs = torch.tensor([0.5, 0.3, 0.2])
    cooled = _filter(probs.clone(), 0.5, None, None, None, [])
    torch.testing.assert_close(cooled, probs**2 / (probs**2).sum())
    assert _filter(probs.clone(), 1e-3, None, None, None, []).tolist() == [1, 0, 0]


def test_min_p_that_nothing_reaches_warns_and_keeps_all(model):
    with pytest.warns(UserWarning, match="min_p=0.9"):
        assert _filter(torch.tensor([0.5, 0.5]), 1.0, 0.9, None, None, []).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("ids, temperature", [([], 1.0), (PROMPT, 0.0)])
def test_an_empty_prompt_or_no_temperature_is_refused(model, ids, temperature):
    with pytest.raises(TrainingError, match="E502"):
        generate(model, ids, 1, temperature=temperature)
