from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.awd_qrnn import AWD_QRNN
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


@pytest.mark.parametrize("arch", [AWD_LSTM, AWD_QRNN])
def test_a_long_prompt_is_read_in_windows_to_the_same_end(arch, monkeypatch):
    torch.manual_seed(0)
    model = get_language_model(arch, V, dict(emb_sz=12, n_hid=16, n_layers=2))
    prompts, widths = [[i % V for i in range(2, 25)], PROMPT], []
    whole = generate(model, prompts, 10, seed=0)
    monkeypatch.setattr("ulmfit_easy.models.generate.WINDOW", 5)
    model[0].register_forward_pre_hook(lambda module, args: widths.append(args[0].shape[1]))
    assert generate(model, prompts, 10, seed=0) == whole and widths[:6] == [5, 5, 5, 5, 3, 4]


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
    probs = torch.tensor([0.5, 0.3, 0.15 - 1e-6, 0.05 + 1e-6])
    left = _filter(torch.stack([probs, probs]), **options)
    assert [row.nonzero().flatten().tolist() for row in left] == [kept, kept]


def test_filters_look_at_each_row_by_itself():
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    for options in (dict(top_k=2), dict(top_p=0.6), dict(min_p=0.25)):
        rows = [_filter(row[None].clone(), **options)[0] for row in probs]
        assert torch.equal(_filter(probs.clone(), **options), torch.stack(rows))


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=12), st.floats(0.01, 1))
@settings(deadline=None, max_examples=50)
def test_top_p_keeps_the_smallest_set_of_likeliest_tokens_with_that_mass(weights, top_p):
    probs = torch.tensor(weights).double()
    probs /= probs.sum()
    left = _filter(probs[None].clone(), top_p=top_p)[0]
    kept = left.bool()
    assert probs[kept].sum() >= top_p - 1e-9
    assert probs[kept].sum() - probs[kept].min() < top_p + 1e-9  # without the least likely one it is too little
    assert (probs[~kept] <= probs[kept].min() + 1e-12).all()


def test_temperature_is_a_power_of_the_probabilities():
    probs = torch.tensor([[0.5, 0.3, 0.2]])
    torch.testing.assert_close(_filter(probs.clone(), temperature=0.5), probs**2 / (probs**2).sum())
    assert _filter(probs.clone(), temperature=1e-3).tolist() == [[1, 0, 0]]


def test_min_p_that_nothing_reaches_warns_and_keeps_all_of_that_row():
    with pytest.warns(UserWarning, match="min_p=0.9"):
        left = _filter(torch.tensor([[0.5, 0.5], [0.95, 0.05]]), min_p=0.9)
    assert left.bool().tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("ids, temperature", [([], 1.0), (PROMPT, 0.0)])
def test_an_empty_prompt_or_no_temperature_is_refused(model, ids, temperature):
    with pytest.raises(ArgumentError, match="E60"):
        generate(model, ids, 1, temperature=temperature)


@pytest.mark.parametrize("arch", [AWD_LSTM, AWD_QRNN])
def test_prompts_of_any_length_go_on_together_as_they_would_alone(arch):
    torch.manual_seed(0)
    model = get_language_model(arch, V, dict(emb_sz=12, n_hid=16, n_layers=2))
    prompts = [PROMPT, [2], [2, 9, 14, 20, 25, 26, 27]]
    together = generate(model, prompts, 12, seed=7, stop={9, 10, 11, 12})
    assert together == [generate(model, p, 12, seed=7 + i, stop={9, 10, 11, 12}) for i, p in enumerate(prompts)]
    assert len({len(text) for text in together}) > 1  # some stopped before the others


def test_samples_of_one_prompt_differ_and_read_it_once(model):
    widths = []
    model[0].register_forward_pre_hook(lambda module, args: widths.append(tuple(args[0].shape)))
    texts = generate(model, PROMPT, 3, temperature=3.0, seed=0, num_samples=4)
    assert len({tuple(text) for text in texts}) == 4
    assert widths == [(1, len(PROMPT)), (4, 1), (4, 1)]


def test_several_prompts_and_samples_give_a_list_for_each_prompt(model):
    texts = generate(model, [PROMPT, [2]], 2, num_samples=3)
    assert [len(samples) for samples in texts] == [3, 3] and all(len(t) == 2 for samples in texts for t in samples)
    assert [len(t) for t in generate(model, [PROMPT], 2)] == [2]


def likelihood(model, text, ended=(), banned=(), prompt=PROMPT):
    """The log-probability of a text after a prompt, and of its end at one of the tokens `ended`; none is banned."""
    with torch.no_grad():
        logits = model.eval()(torch.tensor([prompt + text])).logits()[0]  # (T, V)
    logits[:, list(banned)] = -torch.inf
    logp = logits.log_softmax(-1)[len(prompt) - 1:].double()  # (n + 1, V), the last for what would come next
    total = sum(logp[i, token].item() for i, token in enumerate(text))
    return total + logp[len(text), list(ended)].logsumexp(0).item() if ended else total


TINY_V, STOP, BANNED, TINY_PROMPT = 10, [2, 9], [0, 1, 4, 5, 6, 7], [2, 8, 3]


@pytest.fixture(params=range(3))
def tiny(request):
    torch.manual_seed(request.param)
    model = get_language_model(AWD_LSTM, TINY_V, dict(emb_sz=6, n_hid=8, n_layers=1))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(6)
    return model


def every_text(model, n, stop):
    """All texts of up to n tokens, the likeliest first."""
    words = [i for i in range(TINY_V) if i not in {*BANNED, *stop}]
    texts = [(list(text), ()) for text in product(words, repeat=n)]
    texts += [(list(text), stop) for length in range(n if stop else 0) for text in product(words, repeat=length)]
    return [text for text, ended in
            sorted(texts, key=lambda t: -likelihood(model, *t, banned=BANNED, prompt=TINY_PROMPT))]


@pytest.mark.parametrize("stop", [[], STOP])
def test_a_wide_beam_finds_the_likeliest_texts_of_all(tiny, stop):
    best = every_text(tiny, 4, stop)[:5]
    found = generate(tiny, TINY_PROMPT, 4, beam=200, num_samples=5, stop=stop, banned=BANNED)
    assert found == best
    assert generate(tiny, TINY_PROMPT, 4, beam=200, stop=stop, banned=BANNED) == best[0]


def test_a_beam_costs_one_step_a_token(model):
    widths = []
    model[0].register_forward_pre_hook(lambda module, args: widths.append(tuple(args[0].shape)))
    generate(model, PROMPT, 4, beam=3)
    assert widths == [(1, len(PROMPT)), (3, 1), (3, 1), (3, 1)]


def test_a_beam_obeys_the_filters_and_lists_what_there_is(model):
    likeliest = generate(model, PROMPT, 1, beam=5, num_samples=5)
    assert generate(model, PROMPT, 1, beam=5, num_samples=5, top_k=2) == likeliest[:2]
    assert generate(model, PROMPT, 0, beam=2) == []


def test_more_samples_than_beams_are_refused(model):
    with pytest.raises(ArgumentError, match="E60"):
        generate(model, PROMPT, 2, beam=2, num_samples=3)
