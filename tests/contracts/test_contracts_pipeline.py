"""What each pipeline must promise: a tokenizer with a vocabulary, which a model brings. A new splitter is a new row."""

import json
import pickle

import numpy as np
import pytest

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    SentencePieceTokenizer,
    SpacyTokenizer,
    TextDataLoaders,
    Tokenizer,
    load_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import ArgumentError, VocabError
from ulmfit_easy.text.hf import HFTokenizer
from ulmfit_easy.text.vocab import Vocab, make_vocab

DF = toy_reviews(60, seed=0)
TEXTS = [*DF["text"], "", "Not SEEN before: xxbos \u4f60\u597d  \ud800!", "no no no no no"]


def transformer():
    """The tokenizer of a small BERT."""
    tokenizers = pytest.importorskip("tokenizers")
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    own.normalizer, own.decoder = tokenizers.normalizers.BertNormalizer(), tokenizers.decoders.WordPiece()
    own.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    own.train_from_iterator(DF["text"], tokenizers.trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=["[PAD]", "[UNK]", "[CLS]"], show_progress=False))
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", own.token_to_id("[CLS]"))])
    specials = {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]"}
    return Tokenizer(HFTokenizer(tokenizer=own.to_str(), specials=specials), rules=[], post_rules=[])


ROWS = {
    "words": Tokenizer,
    "words, no rules": lambda: Tokenizer(rules=[], post_rules=[]),
    "split at blanks": lambda: Tokenizer(BaseTokenizer()),
    "characters": lambda: Tokenizer(SpacyTokenizer("zh")),
    "pieces": lambda: Tokenizer(SentencePieceTokenizer(vocab_sz=120)),
    "a transformer's": transformer,
}


@pytest.fixture(scope="module", params=ROWS)
def pipeline(request):
    tokenizer = ROWS[request.param]().setup(DF["text"])
    if tokenizer.is_closed:
        return tokenizer.with_vocab(tokenizer.vocab)
    assert tokenizer.vocab is None  # until texts decide
    return tokenizer.with_vocab(make_vocab(TextDataLoaders.from_df(
        DF, is_lm=True, tok_tfm=tokenizer, min_freq=1, bs=4, cache_dir=False).train.ids.store.count(), 1))


def test_a_config_is_json_and_gives_the_same_pipeline(pipeline):
    again = Tokenizer.from_config(json.loads(json.dumps(pipeline.config()))).with_vocab(pipeline.vocab)
    assert again.config() == pipeline.config()
    assert again.fingerprint == pipeline.fingerprint != None  # noqa: E711
    assert list(again.pipe(TEXTS)) == list(pipeline.pipe(TEXTS))


def test_a_fingerprint_does_not_change_with_use_or_vocabulary(pipeline):
    before = pipeline.fingerprint
    list(pipeline.pipe(TEXTS, where="words"))
    assert pipeline.fingerprint == pickle.loads(pickle.dumps(pipeline)).fingerprint == before
    assert pipeline.with_vocab(None).fingerprint == before


def test_a_text_has_the_same_tokens_alone_and_among_others(pipeline):
    assert [found.tokens for found in pipeline.pipe(TEXTS)] == [pipeline(text) for text in TEXTS]
    assert [found.tokens for found in pipeline.pipe(reversed(TEXTS))] == [pipeline(text) for text in TEXTS[::-1]]


def test_ids_are_those_of_the_vocabulary(pipeline):
    for text, ids in zip(TEXTS, pipeline.ids(TEXTS), strict=True):
        assert np.array_equal(ids, pipeline.vocab.ids(pipeline(text)))
    known = np.concatenate(list(pipeline.ids(DF["text"])))
    assert not (known == pipeline.vocab.unk_id).any()


def test_a_vocabulary_is_given_to_a_copy(pipeline):
    before, longer = pipeline.vocab, Vocab([*pipeline.vocab, "more"], pipeline.vocab.specials)
    assert pipeline.with_vocab(longer).vocab is longer
    assert pipeline.vocab is before


def test_tokens_have_a_text(pipeline):
    assert [pipeline.detokenize(pipeline(text)).split() for text in ("", "the soup")] == [[], ["the", "soup"]]


def test_words_are_numbered_without_another_token_in_ordinary_text(pipeline):
    for text, (tokens, words) in zip(TEXTS, pipeline.pipe(TEXTS, where="words"), strict=True):
        assert len(tokens) == len(words) and {n for n in words if n >= 0} <= set(range(len(text.split())))
    for text, (tokens, words) in zip(DF["text"], pipeline.pipe(DF["text"], where="words"), strict=True):
        assert tokens == pipeline(text) and {*words} - {-1} == {*range(len(text.split()))}


@pytest.mark.parametrize(("given", "code"), [(dict(errors="ignore"), "E602"), (dict(where="lines"), "E602"),
                                            (dict(errors="collect", where="words"), "E603")])
def test_a_pipeline_does_not_guess_what_is_asked(pipeline, given, code):
    with pytest.raises(ArgumentError, match=code):
        list(pipeline.pipe(TEXTS, **given))


def test_ids_without_a_vocabulary_are_e301():
    with pytest.raises(VocabError, match="E301.*with_vocab"):
        Tokenizer().ids(["good"])


def test_a_saved_model_brings_its_pipeline(pipeline, tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", tok_tfm=pipeline, bs=8, cache_dir=False)
    assert dls.text_vocab is pipeline.vocab
    learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=4, n_hid=6, n_layers=1), pretrained=False)
    loaded = load_learner(learn.export(tmp_path / "model")).dls.tokenizer
    assert loaded.vocab == pipeline.vocab
    assert list(map(list, loaded.ids(TEXTS[-9:]))) == list(map(list, pipeline.ids(TEXTS[-9:])))
