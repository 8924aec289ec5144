"""subword.py: pieces that give the text back, control tokens that no text can forge, and a model that travels."""

import json
import os
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text import subword
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.subword import SentencePieceTokenizer, SubwordTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Numericalize

TEXTS = toy_texts(300, seed=0)
TOK = Tokenizer(SentencePieceTokenizer(vocab_sz=200)).setup(TEXTS)
PLAIN = Tokenizer(TOK.tok, rules=[], post_rules=[])  # what a text gives without rules has no control token in it
WIDE = {ord(c): ord(c) + 0xFEE0 for c in "".join(SPECIAL_TOKENS)}  # which SentencePiece makes narrow


def test_pieces_begin_words_and_control_tokens_stay_whole():
    tokens = TOK("I LOVED the soup, sooooo much!")
    assert tokens[:3] == ["xxbos", "▁i", "xxup"] and tokens.count("xxup") == tokens.count("xxrep") == 1
    assert "".join(t for t in tokens if t not in SPECIAL_TOKENS) == "▁i▁loved▁the▁soup,▁s▁5▁o▁much!"
    assert SubwordTokenizer is SentencePieceTokenizer


@pytest.mark.parametrize("text", TEXTS[:30])
def test_pieces_give_the_text_back(text):
    assert TOK.detokenize(TOK(text)).lower() == text.lower()


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_plain_text_comes_back_with_single_blanks(text):
    expected = " ".join(text.split())
    assert PLAIN.detokenize(PLAIN(text)) == " ".join(PLAIN.detokenize(PLAIN(expected)).split())
    if "xx" not in text.lower():
        assert PLAIN.detokenize(PLAIN(text)) == expected


FORGED = st.lists(st.sampled_from([*SPECIAL_TOKENS, *(t.translate(WIDE) for t in SPECIAL_TOKENS), "x\u200bxbos", "▁",
                                   " ", "xxＢos", "的", "\x00", "\ud800", "a", "\n"])).map("".join)


@settings(deadline=None, max_examples=200)
@given(st.one_of(FORGED, st.text()))
def test_no_text_can_become_a_control_token(text):
    tokens = PLAIN(text)
    assert not set(tokens) & set(SPECIAL_TOKENS) and all(tokens)
    assert not set(subword._words(tokens)) & set(SPECIAL_TOKENS)


def test_a_forged_token_is_broken_up_in_text_to_learn_from_too():
    wide = "xxpad".translate(WIDE)
    tok = Tokenizer(SentencePieceTokenizer(vocab_sz=80), rules=[]).setup([f"({wide}) and 1{wide}2"] * 300 + TEXTS)
    assert "xxpad" in tok.tok._processor.encode(f"({wide})", out_type=str)  # so it would be, were it not for us
    assert not set(tok.vocab[9:]) & set(SPECIAL_TOKENS) and tok(f"({wide})")[-3:] == ["xx", "pad", ")"]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.sampled_from("the soup ,.!"), max_size=30), max_size=8), st.integers(1, 40))
def test_tokens_do_not_depend_on_how_texts_are_batched(texts, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subword, "BATCH", batch)
        assert [found.tokens for found in TOK.pipe(iter(texts))] == [TOK(text) for text in texts]


def test_all_tokens_are_known_and_other_characters_are_unknown():
    assert len(TOK.vocab) == 200 and tuple(TOK.vocab[:9]) == SPECIAL_TOKENS and len(set(TOK.vocab)) == 200
    ids = Numericalize(TOK.vocab)
    assert all((ids(tokens) != ids.vocab.unk_id).all() for tokens, _ in TOK.pipe(toy_texts(200, seed=1)))
    tokens = TOK("the 的 soup")
    assert [t for t, i in zip(tokens, ids(tokens), strict=True) if i == ids.vocab.unk_id] == ["的"]
    assert Tokenizer().vocab is None


def test_the_same_texts_give_the_same_model_and_nothing_is_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    again = Tokenizer(SentencePieceTokenizer(vocab_sz=200)).setup(iter(TEXTS))
    assert again.tok.model == TOK.tok.model and os.listdir() == [] and capfd.readouterr() == ("", "")
    assert again.setup(["other texts"]).tok.model == TOK.tok.model  # it has learned


def test_learning_takes_a_bounded_sample_of_the_whole_corpus(monkeypatch):
    monkeypatch.setattr(subword, "SAMPLE", 20_000)

    def peak(n):
        tok, before = SentencePieceTokenizer(vocab_sz=100), tracemalloc.start()
        try:
            tok.setup(f"{'j' if i < n / 2 else 'z'} text number {i % 10}" for i in range(n))
            return tok, tracemalloc.get_traced_memory()[1], before
        finally:
            tracemalloc.stop()

    peak(10)
    (_, small, _), (tok, large, _) = peak(2_000), peak(40_000)
    assert large - small < 100_000
    assert {"j", "z"} <= set("".join(tok.vocab))


def test_a_sample_keeps_order_and_size():
    items = ["a" * i for i in range(1, 100)]
    some = subword._sample(items, 500)
    assert some == sorted(some, key=len) and 300 < sum(map(len, some)) <= 500
    assert subword._sample(iter(items), 10**6) == items and subword._sample(["a" * 9], 5) == ["a" * 9]
    assert subword._sample([("a", "bc"), ("d", "")], 1) == [("d", "")]


def test_the_size_follows_the_texts_where_none_is_given():
    rng = np.random.default_rng(0)
    words = " ".join("".join(rng.choice(list("abcdefghijkl"), 6)) for _ in range(1280))

    def size(text, **kwargs):
        return len(Tokenizer(SentencePieceTokenizer(**kwargs), rules=[]).setup([text]).vocab)

    assert size("abc") < 32 and size(words) == 1280 / 4 and size(words, max_vocab_sz=128) == 128


@pytest.mark.parametrize(("lang", "coverage"), [("en", 0.99999), ("de", 0.99999), ("ko", 0.9998)])
def test_coverage_follows_the_language(lang, coverage):
    assert SentencePieceTokenizer(lang).char_coverage == coverage
    assert SentencePieceTokenizer(lang, char_coverage=0.5).char_coverage == 0.5


def test_the_model_travels_with_pickles_configurations_and_files(tmp_path):
    (tmp_path / "spm.model").write_bytes(TOK.tok.model)
    config = json.loads(json.dumps(TOK.config()))
    others = [pickle.loads(pickle.dumps(TOK)), Tokenizer.from_config(config),
              Tokenizer(SentencePieceTokenizer(sp_model=tmp_path / "spm.model"))]
    for other in others:
        assert list(other.pipe(TEXTS)) == list(TOK.pipe(TEXTS)) and other.fingerprint == TOK.fingerprint
    other = Tokenizer(SentencePieceTokenizer(vocab_sz=100)).setup(TEXTS)
    assert other.fingerprint != TOK.fingerprint


def test_bpe_works_too():
    tok = Tokenizer(SentencePieceTokenizer(vocab_sz=120, model_type="bpe")).setup(TEXTS)
    assert tok.detokenize(tok(TEXTS[0])).lower() == TEXTS[0].lower() and len(tok.vocab) == 120


def test_fields_are_learned_from_too():
    tok = Tokenizer(SentencePieceTokenizer(vocab_sz=60)).setup([("spam", "eggs"), ("eggs", "spam")] * 20)
    assert tok(("spam", "eggs"))[:2] == ["xxbos", "xxfld"]


@pytest.mark.parametrize(("kwargs", "texts", "error", "code"), [
    ({"vocab_sz": 12}, TEXTS, ArgumentError, "E602.*vocab_sz=12"),
    ({"model_type": "magic"}, TEXTS, ArgumentError, "E602.*magic"),
    ({}, [], TextError, "E104"), ({}, ["", " \n"], TextError, "E104"), ({}, ["a", None], TextError, "E101.*row 1")])
def test_what_cannot_be_learned_is_a_coded_error(kwargs, texts, error, code):
    with pytest.raises(error, match=code):
        Tokenizer(SentencePieceTokenizer(**kwargs)).setup(texts)


def test_a_model_that_is_none_is_a_coded_error(tmp_path):
    with pytest.raises(TrainingError, match="E506.*setup"):
        Tokenizer(SentencePieceTokenizer())("text")
    with pytest.raises(FileError, match="E404"):
        SentencePieceTokenizer(sp_model=tmp_path / "no.model")
    (tmp_path / "bad.model").write_bytes(b"this is no model")
    with pytest.raises(FileError, match="E401"):
        Tokenizer(SentencePieceTokenizer(sp_model=tmp_path / "bad.model"))("text")


def test_loaders_learn_from_the_training_rows_and_take_all_pieces_for_words(tmp_path):
    df = pd.DataFrame({"text": [*TEXTS[:40], "zebra Ω"], "label": ["a", "b"] * 20 + ["a"],
                       "valid": [False] * 40 + [True]})
    for is_lm in (True, False):
        dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", is_lm=is_lm, valid_col="valid", bs=4,
                                      seq_len=8, tok_tfm=SentencePieceTokenizer(vocab_sz=104), cache_dir=tmp_path)
        assert len(dls.text_vocab) == 104 and "Ω" not in "".join(dls.text_vocab)
        assert dls.train.ids.unk_rate(np.arange(40)) == 0 < dls.valid.ids.unk_rate([40])
        again = TextDataLoaders.from_df(df, text_col="text", label_col="label", is_lm=is_lm, valid_col="valid",
                                        tok_tfm=dls.tokenizer, text_vocab=dls.text_vocab, cache_dir=tmp_path)
        assert again.text_vocab == dls.text_vocab and again.train.ids.store.path == dls.train.ids.store.path
