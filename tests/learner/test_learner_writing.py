"""What a language model's learner writes: `predict` with samples, stops and beams."""

import pytest
import torch
from learner_toys import lm, text_dls

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.text.special import FAKE, PAD, UNK

TEXT = "The plot was"


@pytest.fixture(scope="module")
def learn(lm_dls):
    learn = lm(lm_dls)
    learn.fit(1, 1e-2)
    return learn


def new_words(learn, text, **options):
    """The tokens that come after the prompt."""
    return learn.predict(text, decoder=list, **options)[len(learn.dls.tokenizer(text)):]


def test_one_text_gives_a_string_and_more_texts_or_samples_give_lists(learn):
    one = learn.predict(TEXT, 3, seed=0)
    assert isinstance(one, str) and one.startswith(TEXT)
    several = learn.predict([TEXT, "a"], 3, seed=0)
    assert several[0] == one and several[1].startswith("a") and len(several) == 2
    samples = learn.predict(TEXT, 6, num_samples=3, temperature=3.0, seed=0)
    assert len(samples) == len(set(samples)) == 3 and all(text.startswith(TEXT) for text in samples)
    assert [len(each) for each in learn.predict((t for t in (TEXT, "a")), 2, num_samples=2)] == [2, 2]


def test_no_sample_holds_padding_fillers_or_unless_wanted_unknown_words():
    learn = lm(text_dls(is_lm=True, max_vocab=131))
    with torch.no_grad():  # a model that would love to
        for i, token in enumerate(learn.dls.text_vocab):
            learn.model[1].decoder.bias[i] += 50 * (token in (PAD, FAKE, UNK))
    assert FAKE in learn.dls.text_vocab.itos
    for options in (dict(seed=0, num_samples=None), dict(beam=3)):
        assert not {PAD, FAKE, UNK} & set(new_words(learn, TEXT, n_words=30, **options))
    assert UNK in new_words(learn, TEXT, n_words=5, seed=0, no_unk=False)


def test_a_stop_token_ends_the_text_and_is_left_out(learn):
    words = new_words(learn, TEXT, n_words=20, top_k=1)
    stopped = new_words(learn, TEXT, n_words=20, top_k=1, stop=words[3])
    assert stopped == words[: words.index(words[3])]
    assert new_words(learn, TEXT, n_words=20, top_k=1, stop=[words[3], words[0]]) == []


def test_a_stop_that_is_no_token_is_refused(learn):
    with pytest.raises(ArgumentError, match="E604.*'no such token'"):
        learn.predict(TEXT, 3, stop="no such token")


def test_a_backwards_model_writes_in_front_of_each_text():
    learn = lm(text_dls(is_lm=True, backwards=True))
    for text in learn.predict([TEXT, "of it"], 4, seed=0):
        assert text.lower().endswith(("the plot was", "of it")) and len(text) > 12
