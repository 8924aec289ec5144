"""The language models that come with the library: they are there, small, whole, and know English."""

import random
import re

import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    shipped_lm,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle import shipped
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import SpacyTokenizer

SENTENCES = ["the city lies on the eastern bank of the river .",
             "he was born in london and studied at the university .",
             "the film was directed by an american and released in 1995 .",
             "water is made of hydrogen and oxygen , and is found in most of the world ."]


@pytest.fixture(autouse=True)
def there(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)


def test_two_directions_and_vectors_are_there_and_small(shipped_weights):
    def megabytes(pattern):
        return sum(f.stat().st_size for f in shipped_weights.glob(pattern)) / 1e6
    assert {f.name for f in shipped_weights.iterdir()} == {"awd_lstm-fwd", "awd_lstm-bwd", "vectors-en"}
    assert megabytes("awd_lstm-*/*") <= 48 and megabytes("*/*") <= 58  # in a wheel, at most 60


@pytest.mark.parametrize("backwards", [False, True])
def test_words_in_their_order_surprise_it_less_than_shuffled_ones(shipped_weights, backwards):
    learn = load_learner(shipped_weights / f"awd_lstm-{'bwd' if backwards else 'fwd'}")
    assert learn.dls.backwards is backwards
    shuffled = [" ".join(random.Random(0).sample(s.split(), len(s.split()))) for s in SENTENCES]
    for score, worse in zip(learn.logprob(SENTENCES), learn.logprob(shuffled), strict=True):
        assert score.perplexity < 500 and worse.perplexity > 10 * score.perplexity


@pytest.mark.parametrize("backwards", [False, True])
def test_learners_start_from_it_by_default(backwards, recwarn, tmp_path, capsys):
    common = {"text_col": "text", "bs": 8, "backwards": backwards, "path": tmp_path, "cache_dir": False, "seed": 0}
    dls_lm = TextDataLoaders.from_df(toy_reviews(60), is_lm=True, **common)
    lm = language_model_learner(dls_lm, AWD_LSTM)
    clas = text_classifier_learner(TextDataLoaders.from_df(toy_reviews(60), label_col="label", **common), AWD_LSTM)
    assert not [w for w in recwarn.list if "pretrained" in str(w.message)]
    name = f"awd_lstm-{'bwd' if backwards else 'fwd'}"
    told = rf"Starts from the English model .* \({name}\)\. It knows [\d,]+ of the [\d,]+ different words"
    assert len(re.findall(told, capsys.readouterr().out)) == 1
    clas.fit(0)  # a classifier tells it now
    assert len(re.findall(told, capsys.readouterr().out)) == 1
    theirs = shipped_lm(backwards=backwards)
    for learn in (lm, clas):
        row = learn.encoder.encoder.weight[learn.dls.text_vocab.stoi["the"]]
        assert row.tolist() == theirs.weights["0.encoder.weight"][theirs.vocab.stoi["the"]].tolist()
        assert learn.opt.frozen_idx == len(learn.opt.param_groups) - 1


def test_vectors_tell_which_words_are_alike():
    vectors, known = shipped.shipped_vectors("en").of(["wonderful", "delightful", "potassium"])
    assert known.all()
    delightful, potassium = torch.cosine_similarity(*map(torch.from_numpy, (vectors[:1], vectors[1:])))
    assert delightful > 0.5 > potassium


def test_other_languages_have_none():
    assert shipped_lm("de") is None and shipped.shipped_vectors("de") is None


@pytest.mark.parametrize(("tok", "why"), [
    (Tokenizer(lang="de"), "language: 'de' (the installed model reads 'en')"),
    (Tokenizer(SpacyTokenizer(special_toks=["xxmine"])), "tokenizer: other options than those of the installed model")])
def test_texts_in_another_language_or_split_otherwise_are_told(tok, why):
    config = {"emb_sz": 256, "n_hid": 1024, "n_layers": 2}
    assert shipped.fitting(get_arch(AWD_LSTM), config, False, Tokenizer().config())[1] == ""
    assert shipped.fitting(get_arch(AWD_LSTM), config, False, tok.config()) == (None, why)
