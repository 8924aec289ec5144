"""Perplexity and bits per character: figures that a pencil gives too, and that no vocabulary can cheat."""

import math
from collections import Counter

import pytest
import torch

from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import TextError
from ulmfit_easy.learner.text import language_model_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes import evaluate
from ulmfit_easy.recipes.evaluate import LMScore, evaluate_lm
from ulmfit_easy.text.rules import lowercase
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.vocab import Vocab

TINY = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}


class Characters:
    """Every character a token, blanks included."""

    def __call__(self, texts):
        return (["xxbos", *text.removeprefix("xxbos ")] for text in texts)


def lm(words, tok=None, **kwargs):
    """A language model of these words beside the special tokens."""
    torch.manual_seed(0)
    tokenizer, vocab = Tokenizer(tok or BaseTokenizer(), rules=[lowercase]), Vocab([*SPECIAL_TOKENS, *words])
    prepare = Preparation(tokenizer.with_vocab(vocab), seq_len=4, **kwargs)
    return language_model_learner(TextDataLoaders([], [], prepare=prepare), "AWD_LSTM", config=TINY, pretrained=False,
                                  verbose=False)


@torch.no_grad()
def knowing(probs, tok=None, **kwargs):
    """A model that gives every token the same probability whatever comes before; `xxpad` gets what is left."""
    learn = lm([w for w in probs if w not in SPECIAL_TOKENS], tok, **kwargs)
    learn.model[0].encoder.weight.zero_()  # tied to the decoder, which is left with its bias
    rest = {"xxpad": max(0.0, 1 - sum(probs.values()))}
    bias = [{**rest, **probs}.get(word, 0.0) for word in learn.dls.vocab]
    learn.model[1].decoder.bias.copy_(torch.tensor(bias).log())
    return learn


def test_figures_are_those_of_a_hand_computed_example():
    learn = knowing({"a": 1 / 2, "b": 1 / 4, "xxunk": 1 / 8})
    score = evaluate_lm(learn, ["a b zz"])  # bits 1 + 2 + 3; zz costs 2 characters of log2("a", "b", "z", " ") more
    assert score.perplexity == pytest.approx(2 ** (6 / 3)) and score.bits_per_char == pytest.approx((6 + 2 * 2) / 6)
    assert score.unknown == 1 / 3 and score.n_tokens == 3
    two = evaluate_lm(learn, iter(["a b zz", "b\n"]))  # a token more; a character more in the alphabet, two in the text
    assert two.perplexity == pytest.approx(2 ** (8 / 4))
    assert two.bits_per_char == pytest.approx((8 + 2 * math.log2(5)) / 8) and two.n_tokens == 4
    assert str(score) == "perplexity 4.00, bits per character 1.6667, unknown 33.33 %, tokens 3"
    assert str(score._replace(unknown=0.0)) == "perplexity 4.00, bits per character 1.6667, tokens 3"


def test_words_and_characters_that_cost_the_same_bits_compare_in_bits_per_character_alone():
    text, n = " ".join(["ab"] * 50), 50
    words = evaluate_lm(knowing({"ab": 2**-6}), [text])
    characters = evaluate_lm(knowing({"a": 1 / 4, "b": 1 / 4, "▁": 1 / 4}, Characters()), [text])
    assert words.perplexity == pytest.approx(64, rel=1e-4) and characters.perplexity == pytest.approx(4, rel=1e-4)
    assert words.bits_per_char == pytest.approx(6 * n / (3 * n - 1), rel=1e-4)
    assert characters.bits_per_char == pytest.approx(2, rel=1e-4)


def test_a_vocabulary_cannot_win_by_hiding_words():
    texts = toy_texts(100)
    count = Counter(word for text in texts for word in text.lower().split(" "))
    total, scores = count.total(), []
    for n_known in (len(count), 100, 30, 10, 1):
        known = {word: n / total for word, n in count.most_common(n_known)}
        hidden = max(total - sum(known.values()) * total, 0) / total
        scores.append(evaluate_lm(knowing({**known, "xxunk": hidden or 1e-9}), texts))
    perplexities, bits = ([s[i] for s in scores] for i in (0, 1))
    assert perplexities == sorted(perplexities, reverse=True) and perplexities[-1] < 2
    assert bits == sorted(bits) and bits[-1] > 1.5 * bits[0]


def test_it_is_what_logprob_says_of_each_text():
    learn, texts = lm(["a", "b", "c"]), ["a b c d", "", "c c c c c c c", "a"] * 3
    scores = learn.logprob(texts)
    n = sum(s.n_tokens for s in scores)
    found = evaluate_lm(learn, texts)
    assert found.perplexity == pytest.approx(math.exp(-sum(s.logprob for s in scores) / n), rel=1e-5)
    assert found.n_tokens == n and found.unknown == sum(s.n_unknown for s in scores) / n


SIZES = [(1, 1, 64), (50, 64, 64), (1 << 19, 1 << 17, 2), (1 << 19, 100, 64)]


@pytest.mark.parametrize(("window", "padded", "bs"), SIZES)
@pytest.mark.parametrize("backwards", [False, True])
def test_figures_do_not_depend_on_what_is_batched_together(monkeypatch, window, padded, bs, backwards):
    learn = lm(["a", "b", "c"], backwards=backwards)
    texts = ["a b " * n + "q" for n in (0, 1, 2, 3, 5, 40, 3, 2, 1, 300)]
    expected = evaluate_lm(learn, texts)
    monkeypatch.setattr(evaluate, "WINDOW", window)
    monkeypatch.setattr(evaluate, "PADDED", padded)
    assert evaluate_lm(learn, iter(texts), bs) == pytest.approx(expected, rel=1e-5)


def test_batches_are_bounded_and_hold_every_document_once(monkeypatch):
    monkeypatch.setattr(evaluate, "WINDOW", 300)
    monkeypatch.setattr(evaluate, "PADDED", 64)
    docs = [([i] * n, i) for i, n in enumerate([1, 5, 40, 7, 200, 9, 30, 2] * 4)]
    batches = list(evaluate._batches(iter(docs), 4))
    assert sorted(i for batch in batches for _, i in batch) == list(range(32))
    for batch in batches:
        longest = max(len(ids) for ids, _ in batch)
        assert len(batch) <= 4 and (len(batch) == 1 or len(batch) * longest <= 64)


def test_a_backwards_model_is_given_the_last_token_and_says_all_before_it():
    learn = knowing({"a": 1 / 2, "b": 1 / 4, "xxunk": 1 / 8, "xxbos": 1 / 16}, backwards=True)
    score = evaluate_lm(learn, ["a b zz"])  # zz is given; b, a and xxbos are predicted
    assert score == pytest.approx(LMScore(2 ** ((2 + 1 + 4) / 3), 7 / 6, 0, 3))


def test_texts_without_a_token_to_predict_are_an_error():
    for texts in ([], ["", ""]):
        with pytest.raises(TextError, match="E103"):
            evaluate_lm(lm(["a"]), texts)
