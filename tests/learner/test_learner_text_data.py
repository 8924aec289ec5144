"""`TextDataLoaders`: the model is found before the texts are tokenized, and brings its tokenizer and vocabulary."""

import pandas as pd
import pytest
from learner_toys import classifier, lm, text_dls

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    SentencePieceTokenizer,
    SpacyTokenizer,
    TextDataLoaders,
    Tokenizer,
    read_lm,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle import shipped
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError

DF = pd.DataFrame({"text": ["a zebra was superb", "the zebra was broken"] * 20, "label": ["pos", "neg"] * 20})


def loaders(**kwargs):
    return TextDataLoaders.from_df(DF, **{"bs": 4, "seq_len": 5, "seed": 0, "min_freq": 1} | kwargs)


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    return lm(text_dls(is_lm=True), path=tmp_path_factory.mktemp("lm"))


@pytest.fixture(params=["learner", "folder", "read"])
def source(request, learn):
    folder = str(learn.export("exported"))
    return {"learner": learn, "folder": folder, "read": read_lm(folder)}[request.param]


def test_a_classifiers_data_take_tokenizer_and_vocabulary_as_they_are(source, learn):
    dls = loaders(pretrained=source)
    assert dls.text_vocab == learn.dls.vocab
    assert dls.tokenizer.config() == learn.dls.tokenizer.config()
    learn.save_encoder("tuned")
    classifier(dls, path=learn.path).load_encoder("tuned")


def test_a_language_models_data_keep_the_words_of_their_texts_first(source, learn):
    words, own = loaders(is_lm=True, pretrained=source).vocab, loaders(is_lm=True, tok_tfm=BaseTokenizer()).vocab
    n = sum(word != "xxfake" for word in own)
    assert words[:n] == own[:n]
    assert "zebra" in own and "zebra" not in learn.dls.vocab
    assert {*words} == {*own, *learn.dls.vocab}


def test_a_vocabulary_or_tokenizer_of_ones_own_comes_before_the_models(learn):
    assert loaders(pretrained=learn, text_vocab=[*learn.dls.vocab[:12]]).text_vocab == learn.dls.vocab[:12]
    dls = loaders(pretrained=learn, tok_tfm=Tokenizer(BaseTokenizer(), rules=[]))
    assert dls.tokenizer("A b") == ["A", "b"]
    assert dls.text_vocab is learn.dls.vocab


def test_a_folder_and_a_csv_file_take_them_too(learn, tmp_path):
    DF.to_csv(tmp_path / "t.csv", index=False)
    for i, (text, label) in enumerate(DF.itertuples(index=False)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.txt").write_text(text)
    options = {"pretrained": learn, "bs": 4, "seed": 0}
    assert TextDataLoaders.from_csv(tmp_path / "t.csv", **options).text_vocab is learn.dls.vocab
    assert TextDataLoaders.from_folder(tmp_path, valid_pct=0.2, **options).text_vocab is learn.dls.vocab


@pytest.mark.parametrize("is_lm", [True, False])
def test_a_model_that_reads_the_other_way_is_e402(source, is_lm):
    with pytest.raises(FileError, match="E402.*reads forwards.*Fix: load the other model"):
        loaders(pretrained=source, is_lm=is_lm, backwards=True)


def test_something_that_is_no_model_is_an_error():
    with pytest.raises((TrainingError, ValueError), match="pretrained=3"):
        loaders(pretrained=3)


@pytest.mark.parametrize("options", [{}, {"pretrained": False}, {"pretrained": None}, {"lang": "de"}])
def test_words_come_from_the_texts_alone_unless_a_model_is_named(options):
    dls = loaders(is_lm=True, **options)
    assert dls.tokenizer.config() == Tokenizer(lang=options.get("lang", "en")).config()
    assert len(dls.vocab) == 16


def test_the_bundled_model_brings_its_words_if_it_is_named(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)
    assert len(loaders(is_lm=True).vocab) == 16
    assert {"zebra", "encyclopedia"} <= {*loaders(is_lm=True, pretrained="en").vocab}


@pytest.fixture
def pieces(learn, tmp_path, monkeypatch):
    """A model of pieces is installed for Dutch."""
    tok = SentencePieceTokenizer("nl", vocab_sz=60)
    lm(TextDataLoaders.from_df(toy_reviews(60), is_lm=True, tok_tfm=tok, bs=4, seed=0, cache_dir=False),
       path=tmp_path).export("m")
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)


def test_an_installed_model_of_pieces_is_found_by_the_language(pieces):
    dls_lm, dls = loaders(is_lm=True, lang="nl"), loaders(lang="nl", mark_fields=True)
    assert dls_lm.tokenizer.is_closed
    assert dls_lm.text_vocab == dls.text_vocab == loaders(pretrained="nl").text_vocab
    assert dls.tokenizer.mark_fields
    text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=2), verbose=False)
    for own in ({"tok_tfm": BaseTokenizer()}, {"rules": []}, {"pretrained": False}, {"backwards": True}):
        assert not loaders(lang="nl", **own).tokenizer.is_closed


def test_a_learner_starts_from_the_model_that_its_data_were_made_with(learn, capsys):
    folder = learn.export("exported")
    dls_lm, dls = loaders(is_lm=True, pretrained=folder), loaders(pretrained=str(folder))
    for made in (lm(dls_lm, pretrained=True), classifier(dls, pretrained=True)):
        assert made.started_from == "exported"
    assert lm(dls_lm, pretrained=False).started_from is None
    assert lm(loaders(is_lm=True, pretrained=learn), pretrained=False).dls.pretrained is None


@pytest.mark.parametrize("tok", [SentencePieceTokenizer(), Tokenizer(SpacyTokenizer("de"))], ids=["pieces", "words"])
def test_a_language_beside_a_splitter_for_another_one_is_e603(tok):
    with pytest.raises(ArgumentError, match=r"E603.*lang='nl' with a (\w+) for '(en|de)'.*tok_tfm=\1\('nl'\)"):
        loaders(lang="nl", tok_tfm=tok)
