"""The language models that come with the library: they are there, small, whole, and know English and Korean."""

import random
import re

import pandas as pd
import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    SentencePieceTokenizer,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    read_lm,
    shipped_lm,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle import shipped
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import SpacyTokenizer

KOREAN = ["서울은 대한민국의 수도이자 최대 도시이다.", "그는 런던에서 태어나 대학교에서 공부하였다.",
          "이 영화는 1995년에 개봉한 미국의 영화이다.", "물은 수소와 산소로 이루어진 화합물이다."]
SENTENCES = ["the city lies on the eastern bank of the river .",
             "he was born in london and studied at the university .",
             "the film was directed by an american and released in 1995 .",
             "water is made of hydrogen and oxygen , and is found in most of the world ."]


@pytest.fixture(autouse=True)
def there(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)


def test_models_and_vectors_are_there_and_small(shipped_weights):
    def megabytes(pattern):
        return sum(f.stat().st_size for f in shipped_weights.glob(pattern)) / 1e6
    names = {"awd_lstm-fwd", "awd_lstm-bwd", "awd_lstm-ko-fwd", "vectors-en"}
    assert {f.name for f in shipped_weights.iterdir()} == names
    assert megabytes("awd_lstm-?wd/*") <= 48 and megabytes("*/*") <= 80  # the wheel, which is compressed, may have 78


@pytest.mark.parametrize(("name", "sentences", "times"), [
    ("awd_lstm-fwd", SENTENCES, 10), ("awd_lstm-bwd", SENTENCES, 10), ("awd_lstm-ko-fwd", KOREAN, 1.3)])
def test_words_in_their_order_surprise_it_less_than_shuffled_ones(shipped_weights, name, sentences, times):
    learn = load_learner(shipped_weights / name)
    assert learn.dls.backwards is name.endswith("bwd")
    shuffled = [" ".join(random.Random(0).sample(s.split(), len(s.split()))) for s in sentences]
    for score, worse in zip(learn.logprob(sentences), learn.logprob(shuffled), strict=True):
        assert score.perplexity < 500 and worse.perplexity > times * score.perplexity


def test_korean_texts_start_from_the_korean_model_and_its_pieces(capsys):
    df = pd.DataFrame({"text": KOREAN * 6, "label": ["가", "나"] * 12})
    common = {"text_col": "text", "bs": 8, "lang": "ko", "cache_dir": False, "seed": 0}
    learn = text_classifier_learner(TextDataLoaders.from_df(df, label_col="label", **common), AWD_LSTM)
    learn.fit(0)
    assert "Starts from the Korean model that comes with ulmfit_easy (awd_lstm-ko-fwd)" in capsys.readouterr().out
    assert learn.dls.text_vocab == shipped_lm("ko").vocab
    assert isinstance(learn.dls.tokenizer.tok, SentencePieceTokenizer)


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
    assert "11.7 M" in repr(theirs)
    for learn in (lm, clas):
        row = learn.encoder.encoder.weight[learn.dls.text_vocab.stoi["the"]]
        assert row.tolist() == theirs.weights["0.encoder.weight"][theirs.vocab.stoi["the"]].tolist()
        assert learn.opt.frozen_idx == len(learn.opt.param_groups) - 1
    lm.model.half()
    for start in (theirs, read_lm(lm)):  # tied weights stay one tensor
        assert start.weights["1.decoder.weight"] is start.weights["0.encoder.weight"]


def test_vectors_tell_which_words_are_alike():
    vectors, known = shipped.shipped_vectors("en").of(["wonderful", "delightful", "potassium"])
    assert known.all() and vectors.shape == (3, 300)
    assert [*shipped.shipped_vectors("en").stoi][:4] == ["the", ",", ".", "of"]  # the most frequent first
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
