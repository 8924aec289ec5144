"""Answers of a language model that has seen no, one or a few labels."""

import numpy as np
import pandas as pd
import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    Callback,
    TextDataLoaders,
    few_shot,
    language_model_learner,
    set_seed,
    zero_shot,
)
from ulmfit_easy.errors import ArgumentError, TextError

WORDS = {1: "good", 0: "very bad"}
FILMS = pd.DataFrame({"text": [f"{adverb} {word} film , it was {word}" for word in ("good", "bad")
                               for adverb in "a the this one that no some his".split()], "label": [1] * 8 + [0] * 8})
SAID = {1: "good", 0: "bad"}


def learner(texts, backwards=False):
    set_seed(0)
    dls = TextDataLoaders.from_df(pd.DataFrame({"text": texts}), text_col="text", is_lm=True, bs=2, seq_len=9, seed=0,
                                  tok_tfm=BaseTokenizer(), min_freq=1, backwards=backwards, cache_dir=False)
    return language_model_learner(dls, AWD_LSTM, config=dict(emb_sz=16, n_hid=24, n_layers=1), drop_mult=0,
                                  pretrained=False, verbose=False)


@pytest.fixture(scope="module")
def learn():
    return learner(["very bad", *FILMS["text"]])


TEXTS = ["a good film", "the bad film of it", "", "one fine film , a"]


@pytest.mark.parametrize("calibrate", [True, False])
def test_it_is_the_likelihood_of_the_answers_after_each_text(learn, calibrate):
    def score(text, words):  # of the answer: that of the whole, without the prompt's
        return learn.logprob(f"{text}, it was {words}").logprob - learn.logprob(f"{text}, it was").logprob

    found = zero_shot(learn, TEXTS, WORDS, "{text}, it was", calibrate=calibrate)
    for text, (label, index, probs) in zip(TEXTS, found, strict=True):
        scores = [score(text, words) - calibrate * score("", words) for words in WORDS.values()]
        torch.testing.assert_close(probs, torch.tensor(scores).softmax(0), atol=1e-4, rtol=1e-4)
        assert label == [*WORDS][index] and index == np.argmax(scores)
        alone = zero_shot(learn, text, WORDS, "{text}, it was", calibrate=calibrate)
        assert alone.label == label
        torch.testing.assert_close(alone.probs, probs)


def test_a_template_takes_the_columns_of_a_table(learn):
    table = pd.DataFrame({"first": ["a good film", "a bad film"], "second": ["the film", "one film"]})
    found = zero_shot(learn, table, SAID, "{second} , {first} , it was")
    whole = zero_shot(learn, [f"{b} , {a} , it was" for a, b in table.itertuples(index=False)], SAID, "{text}",
                      calibrate=False)
    raw = zero_shot(learn, table, SAID, "{second} , {first} , it was", calibrate=False)
    assert [p.label for p in raw] == [p.label for p in whole] and set(found[0].classes) == {0, 1}
    with pytest.raises(TextError, match="E102"):
        zero_shot(learn, table, SAID, "{third}")


@pytest.mark.parametrize(("changes", "code"), [
    (dict(words={1: "good"}), "E602.*words"), (dict(words={1: "good", 0: "good"}), "E602.*words"),
    (dict(words={1: "good", 0: ""}), "E602.*words"), (dict(words=["good", "bad"]), "E601.*words"),
    (dict(template="it was"), "E602.*template"), (dict(template="{text} {"), "E602.*template"),
    (dict(template="{text.__class__}"), "E602.*template"), (dict(template="{}"), "E602.*template")])
def test_what_cannot_work_is_refused(learn, changes, code):
    with pytest.raises(ArgumentError, match=code):
        zero_shot(learn, TEXTS, **{"words": SAID, **changes})


def test_a_backwards_model_is_refused():
    with pytest.raises(ArgumentError, match="E603.*forwards"):
        zero_shot(learner(FILMS["text"], backwards=True), TEXTS, SAID)


@pytest.mark.parametrize("label", ["label", "is_valid"])
def test_rows_to_measure_on_are_in_no_fit(label, learn, capsys):
    read = Callback(before_batch=lambda self: rows.append((self.training, len(self.xb[0]))))
    rows, kept = [], []
    films = FILMS.rename(columns={"label": label})
    few_shot(learn, films, 1, label_col=label, words=SAID, seeds=[0], verbose=True, fit=lambda learn: kept.append(
        [learn.fit(2, 1e-2, cbs=read), learn.recorder.values[-1][1:], len(learn.dls.valid)]))
    assert rows == [(True, 2)] * 2 and kept == [[None, [None], 0]]
    assert "train_loss" in capsys.readouterr().out


def test_shots_are_counted_and_repeated_for_each_seed(learn):
    fits = []
    found = few_shot(learn, FILMS, [0, 2], words=SAID, template="{text} , it was", seeds=(1, 2),
                     fit=lambda learn: fits.append((len(learn.dls.train_ds), learn.fit(1, 1e-2))))
    assert found["n"].tolist() == [0, 2] and found["seeds"].tolist() == [1, 2] and [n for n, _ in fits] == [4, 4]
    assert found["texts"].tolist() == [16, 12] and found["most_frequent"].tolist() == [0.5, 0.5]
    assert found["accuracy"].between(0, 1).all() and found["spread"][0] == 0
    again = few_shot(learn, FILMS, 2, words=SAID, seeds=(1, 2), fit=lambda learn: learn.fit(1, 1e-2))
    assert again.loc[0, "accuracy"] == found.loc[1, "accuracy"]


@pytest.mark.parametrize(("changes", "message"), [
    (dict(seeds=[]), "E602.*seeds.*one seed or more"), (dict(seeds=[None]), "E601.*seeds"),
    (dict(n=9), "E603.*n=9 with a class of 8 rows"), (dict(n=8), "E603.*all 16 rows.*test="),
    (dict(words={1: "good", "0": "bad"}), "E603.*'0'.*labels 0"),
    (dict(template="{review} it was"), "E102.*review"), (dict(label_col="stars"), "E102.*stars"),
    (dict(test=FILMS[["text"]]), "E102.*label")])
def test_what_no_row_can_answer_is_refused(learn, changes, message):
    with pytest.raises((ArgumentError, TextError), match=message):
        few_shot(learn, FILMS, **changes)
