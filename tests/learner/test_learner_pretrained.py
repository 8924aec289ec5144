"""Pretrained weights: where they come from, which rows a word gets, and what does not fit."""

import pickle

import pytest
import torch
from learner_toys import TINY, classifier, lm, longer_vocab, same, state, text_dls

from ulmfit_easy.bundle import shipped
from ulmfit_easy.bundle.artefact import load_bundle, save_weights
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.files import write_json
from ulmfit_easy.learner import pretrained
from ulmfit_easy.learner.pretrained import NO_WEIGHTS, read_lm
from ulmfit_easy.learner.record import record_of
from ulmfit_easy.learner.text import language_model_learner, load_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.models.awd_lstm import awd_lstm_lm_config
from ulmfit_easy.models.remap import match_embeds
from ulmfit_easy.recipes.stages import lm_data, new_lm
from ulmfit_easy.text.rules import DEFAULT_RULES
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer


@pytest.fixture(scope="module")
def tuned(lm_dls, tmp_path_factory):
    learn = lm(lm_dls, path=tmp_path_factory.mktemp("tuned"))
    learn.fit(1, 1e-2)
    return learn


@pytest.mark.parametrize("config", [TINY, {**TINY, "tie_weights": False}, {**TINY, "out_bias": False}])
def test_pretrained_words_keep_their_rows_and_new_ones_get_the_mean(lm_dls, tmp_path, config, capsys):
    old = lm(lm_dls, path=tmp_path, config=config)
    old.fit(1, 1e-2)
    vocab = longer_vocab(lm_dls)
    new = lm(text_dls(is_lm=True, text_vocab=vocab), config=config, pretrained=old.export())
    parts = [lambda m: m[0].encoder.weight, lambda m: m[1].decoder.weight]
    parts += [lambda m: m[1].decoder.bias] if config.get("out_bias", True) else []
    for part in parts:
        a, b = part(old.model).detach(), part(new.model).detach()
        for i, word in enumerate(vocab):
            j = lm_dls.text_vocab.stoi.get(word)
            assert torch.equal(b[i], a[j]) if j is not None else torch.allclose(b[i], a.mean(0), atol=1e-6)
    assert same(state(new.model[0].rnns), state(old.model[0].rnns))
    assert new.n_matched == len(set(vocab) & set(lm_dls.text_vocab)) < len(vocab)
    tied = config.get("tie_weights", True)
    assert (new.model[0].encoder.weight.data_ptr() == new.model[1].decoder.weight.data_ptr()) is tied
    assert new.opt.frozen_idx == TINY["n_layers"]
    new.verbose = True
    new.load_pretrained(old.model.state_dict(), lm_dls.text_vocab)
    words = {*new.dls.train.ids.store.lexicon} - {*SPECIAL_TOKENS}  # also those too rare for the vocabulary
    known = words & {*lm_dls.text_vocab}
    assert f"knows {len(known)} of the {len(words)} different words in your texts" in capsys.readouterr().out


@pytest.mark.parametrize("saved", [False, True], ids=["learner", "folder"])
def test_an_encoder_goes_from_one_task_to_another_without_its_head(clas_dls, tmp_path, saved):
    old = classifier(clas_dls, path=tmp_path)
    old.fit(1, 1e-2)
    source, table = old.export() if saved else old, toy_reviews(30, seed=1)
    table["topic"] = [text.split()[1] for text in table["text"]]
    dls = TextDataLoaders.from_df(table, tmp_path, text_col="text", label_col="topic", pretrained=source, bs=8, seed=0)
    assert dls.text_vocab == clas_dls.text_vocab and dls.c > 2
    new = classifier(dls, path=tmp_path, config=None, pretrained=source)
    assert same(state(new.encoder), state(old.encoder)) and new.opt.frozen_idx == TINY["n_layers"] + 1
    assert new.head.layers[-1][2].out_features == dls.c
    new.unfreeze().fit(1, slice(1e-4, 1e-2))
    assert load_learner(new.export()).predict("good").label in dls.classes
    words = TextDataLoaders.from_df(table, text_col="text", label_col="topic", min_freq=1, cache_dir=False)
    moved = classifier(words, config=None, pretrained=source)  # rows go to the words of other data
    assert moved.n_matched == len({*words.text_vocab} & {*clas_dls.text_vocab})
    with pytest.raises(FileError, match="E402.*a classifier.*Expected a language model"):
        read_lm(source)


def test_what_is_no_model_is_e601(clas_dls):
    with pytest.raises(ArgumentError, match="E601.*pretrained=5.*the learner of"):
        classifier(clas_dls, pretrained=5)


def test_pretrained_weights_may_come_as_a_pair_of_files(lm_dls, tmp_path):
    old = lm(lm_dls, path=tmp_path)
    old.save("old.v1")
    write_json(tmp_path / "models/words.json", list(lm_dls.text_vocab))
    for pickled, words in (("l", list(lm_dls.text_vocab)), ("v", lm_dls.vocab)):
        (tmp_path / f"models/{pickled}.pkl").write_bytes(pickle.dumps(words))
    for names in (("old.v1", "words"), ("old.v1", "words.json"), ("old.v1.safetensors", "l"), ("old.v1", "v.pkl")):
        new = lm(lm_dls, path=tmp_path, config=None, pretrained_fnames=names)  # the sizes are those of the file
        assert same(state(new.model), state(old.model)) and new.n_matched == len(lm_dls.text_vocab)


def test_a_pair_of_files_that_learn_save_wrote_after_training(lm_dls, clas_dls, tmp_path):
    old = lm(lm_dls, path=tmp_path)
    old.create_opt()
    for p in old.model.parameters():
        p.grad = torch.ones_like(p)
    old.opt.step()
    old.save("trained")  # with the optimizer's state
    (tmp_path / "models/words.pkl").write_bytes(pickle.dumps(lm_dls.vocab))
    new = lm(lm_dls, path=tmp_path, config=None, pretrained_fnames=("trained", "words"))
    assert same(state(new.model), state(old.model))
    clas = classifier(clas_dls, path=tmp_path, config=None, pretrained_fnames=("trained", "words"))
    assert same(state(clas.encoder.rnns), state(old.encoder.rnns))
    with pytest.raises(FileError, match=r"E404.*nowords\.json.*Fix: write them: json\.dump"):
        lm(lm_dls, path=tmp_path, pretrained_fnames=("trained", "nowords"))
    (tmp_path / "models/other.pkl").write_bytes(pickle.dumps([*lm_dls.vocab, "more"]))
    with pytest.raises(FileError, match="E402.*the words other"):
        lm(lm_dls, path=tmp_path, pretrained_fnames=("trained", "other"))
    with pytest.raises(FileError, match="E402.*the encoder AWD_QRNN"):
        language_model_learner(lm_dls, "AWD_QRNN", path=tmp_path, pretrained_fnames=("trained", "words"))


@pytest.mark.parametrize("names", [("lstm_fwd", "itos"), ["lstm_fwd.pth", "itos.pkl"]])
def test_the_pair_may_be_fastais(lm_dls, tmp_path, names):
    old = lm(lm_dls, path=tmp_path)
    (tmp_path / "models").mkdir(exist_ok=True)
    torch.save(old.model.state_dict(), tmp_path / "models/lstm_fwd.pth")
    (tmp_path / "models/itos.pkl").write_bytes(pickle.dumps(list(lm_dls.text_vocab)))
    new = lm(lm_dls, path=tmp_path, pretrained_fnames=names)
    assert same(state(new.model), state(old.model))


def test_a_classifier_takes_the_encoder_of_a_pretrained_language_model(tuned, clas_dls):
    learn = classifier(clas_dls, pretrained=tuned.export("for clas"))
    assert same(state(learn.encoder), state(tuned.encoder)) and learn.opt.frozen_idx == TINY["n_layers"] + 1


def test_pretrained_weights_that_do_not_fit_are_e402(tuned, clas_dls, lm_dls, tmp_path):
    with pytest.raises(FileError, match="E402.*classifier"):
        lm(lm_dls, pretrained=classifier(clas_dls, path=tmp_path).export())
    with pytest.raises(FileError, match="E402.*forwards"):
        lm(text_dls(is_lm=True, backwards=True), pretrained=tuned.export("for lm"))


@pytest.mark.parametrize("extra", [{}, {"tie_weights": False}, {"out_bias": False}])
def test_pretrained_weights_bring_their_sizes_and_the_architecture_must_be_theirs(lm_dls, clas_dls, tmp_path, extra):
    old = lm(lm_dls, path=tmp_path, config={**TINY, "hidden_p": 0.3, **extra})
    folder = old.export()
    for source in (folder, read_lm(folder)):
        new = lm(lm_dls, config={"input_p": 0.2}, pretrained=source)
        assert same(state(new.model), state(old.model))
        built = {**new.encoder.settings, **new.head.settings}
        assert {**TINY, **extra, "input_p": 0.2, "hidden_p": 0.15}.items() <= built.items()  # no dropouts of theirs
        assert same(state(classifier(clas_dls, config=None, pretrained=source).encoder), state(old.encoder))
        with pytest.raises(FileError, match="E402.*with the encoder AWD_LSTM.*Expected AWD_QRNN.*pass AWD_LSTM"):
            language_model_learner(lm_dls, "AWD_QRNN", pretrained=source)


def test_without_weights_there_is_one_warning_and_nothing_is_frozen(lm_dls, recwarn):
    learn = lm(lm_dls, pretrained=True)
    why = "architecture: no installed model has the encoder AWD_LSTM"
    assert [str(w.message) for w in recwarn.list] == [NO_WEIGHTS.format(why)]
    assert learn.opt is None and all(p.requires_grad for p in learn.model.parameters())
    lm(lm_dls, pretrained=False)
    assert len(recwarn.list) == 1


@pytest.fixture
def ours(lm_dls, tmp_path, monkeypatch):
    """A tiny language model that comes with the library."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    learn = lm(lm_dls, path=tmp_path)
    learn.export("awd_lstm-fwd", half=True)
    return learn


def test_what_comes_with_the_library_is_taken_without_being_named(ours, lm_dls, clas_dls, recwarn):
    tuned = language_model_learner(lm_dls, "AWD_LSTM", verbose=False)
    assert not recwarn.list and tuned.opt.frozen_idx == TINY["n_layers"]
    for name, weight in ours.model.state_dict().items():
        assert torch.equal(tuned.model.state_dict()[name], weight.half().float())
    clas = classifier(clas_dls, config=None, pretrained=True)
    assert same(state(clas.encoder), state(tuned.encoder)) and not recwarn.list


@pytest.fixture
def guesses(lm_dls, tmp_path, monkeypatch):
    """Vectors of the known words and of "brandnew" come with the library; `guesses(rows)` is the row they give it."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    known, scale = lm_dls.text_vocab[9:], torch.tensor([0.01, 0.02])
    vectors = torch.randint(-127, 128, (1 + len(known), 2), dtype=torch.int8)
    save_weights(tmp_path / "vectors-en/vectors.safetensors", {"vectors": vectors, "scale": scale})
    write_json(tmp_path / "vectors-en/words.json", ["brandnew", *known])
    x = torch.cat([vectors * scale, torch.ones(len(vectors), 1)], dim=1).double()
    return lambda rows: x[0] @ torch.linalg.pinv(x[1:]) @ rows[9:].double()


@pytest.fixture
def longer_dls(lm_dls):
    """The same texts under a longer vocabulary, split by rules for English."""
    return text_dls(is_lm=True, text_vocab=longer_vocab(lm_dls), tok_tfm=Tokenizer(lang="en"))


def check_rows(new, old, vocab, old_vocab, guess):
    """A known word has its old row, "brandnew" the guess, and "unheard" the mean."""
    assert new.isfinite().all()
    for word in set(vocab) & set(old_vocab):
        assert torch.equal(new[vocab.stoi[word]], old[old_vocab.stoi[word]])
    torch.testing.assert_close(new[vocab.stoi["brandnew"]].double(), guess, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(new[vocab.stoi["unheard"]], old.mean(0), atol=1e-5, rtol=1e-4)


def test_new_words_start_from_the_vectors_that_come_with_the_library(
        ours, guesses, longer_dls, lm_dls, tmp_path, capsys):
    new = language_model_learner(longer_dls, "AWD_LSTM", pretrained=tmp_path / "awd_lstm-fwd")
    assert "start from word vectors" not in capsys.readouterr().out, "its texts have no such word"
    rows, old = new.model[0].encoder.weight.detach(), ours.model[0].encoder.weight.detach().half().float()
    check_rows(rows, old, longer_dls.text_vocab, lm_dls.text_vocab, guesses(old))
    df = toy_reviews(20, seed=0)
    with_word = TextDataLoaders.from_df(df.assign(text=df["text"] + " brandnew"), is_lm=True, bs=2, seed=0,
                                        text_vocab=longer_dls.text_vocab, cache_dir=tmp_path)
    language_model_learner(with_word, "AWD_LSTM", pretrained=tmp_path / "awd_lstm-fwd")
    assert "1 of the others start from word vectors." in capsys.readouterr().out


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_of_its_own_gets_guesses_of_its_own_and_a_tied_one_those_of_the_embedding(
        tied, guesses, longer_dls, lm_dls, monkeypatch):
    calls = []
    monkeypatch.setattr(pretrained, "match_embeds", lambda *args: calls.append(args) or match_embeds(*args))
    config = {**TINY, "tie_weights": tied}
    old, new = lm(lm_dls, config=config), lm(longer_dls, config=config)
    new.load_pretrained(old.model.state_dict(), lm_dls.text_vocab)
    a, b = ([m[0].encoder.weight.detach(), m[1].decoder.weight.detach()] for m in (old.model, new.model))
    assert torch.equal(*a) is torch.equal(*b) is tied
    for theirs, rows in zip(a, b, strict=True):
        check_rows(rows, theirs, longer_dls.text_vocab, lm_dls.text_vocab, guesses(theirs))
    assert len(calls) == (1 if tied else 2)  # what is tied is solved once


def my_words(texts):
    return map(str.split, texts)


GERMAN = {"tok_tfm": Tokenizer(lang="de")}
LARGER = {**awd_lstm_lm_config, "emb_sz": 9, "n_hid": 16, "hidden_p": 0.3}  # all of it, as fastai's users do


@pytest.mark.parametrize(("data", "model", "why"), [
    ({"backwards": True}, {}, "direction: the installed model reads forwards"),
    (GERMAN, {}, "tokenizer: SpacyTokenizer (the installed model has BaseTokenizer)"),
    ({"tok_tfm": Tokenizer(my_words)}, {}, "tokenizer: my_words (the installed model has BaseTokenizer)"),
    ({"tok_tfm": Tokenizer(BaseTokenizer(), DEFAULT_RULES[1:])}, {},
     "tokenizer: other rules than those of the installed model"),
    ({}, {"config": {**LARGER, "n_layers": 2}},
     "sizes: emb_sz=9 (the installed model has 8), n_hid=16 (the installed model has 12)"),
    (GERMAN, {"config": {"n_layers": 3}}, "sizes: n_layers=3 (the installed model has 2); tokenizer: SpacyTokenizer "
     "(the installed model has BaseTokenizer)"),
    ({}, {"arch": "AWD_QRNN"}, "architecture: no installed model has the encoder AWD_QRNN")])
def test_what_comes_with_the_library_is_left_where_it_does_not_fit_and_the_warning_says_why(ours, data, model, why):
    dls = text_dls(is_lm=True, **data)
    with pytest.warns(UserWarning) as told:
        learn = language_model_learner(dls, **{"arch": "AWD_LSTM", "config": TINY, **model})
    assert [str(w.message) for w in told] == [NO_WEIGHTS.format(why)] and told[0].filename == __file__
    assert learn.opt is None


def test_a_classifier_tells_at_its_first_fit_why_it_starts_from_random_weights(ours, clas_dls):
    learn = classifier(clas_dls, config={"n_hid": 16}, pretrained=True)
    with pytest.warns(UserWarning, match=r"fit \(sizes: n_hid=16 \(the installed model has 12\)\)\. "):
        learn.fit(1)


def test_it_is_told_whose_weights_a_learner_starts_from(ours, lm_dls, tmp_path, capsys):
    ours.export("sub/mine")
    for source, name in ((True, "the model that comes with ulmfit_easy (awd_lstm-fwd)"),
                         (tmp_path / "sub/mine", "mine")):
        language_model_learner(lm_dls, "AWD_LSTM", pretrained=source)
        assert capsys.readouterr().out.startswith(f"Starts from {name}. It knows ")


def test_a_classifier_tells_at_its_first_fit_what_it_starts_from_unless_an_encoder_was_loaded(ours, clas_dls, capsys):
    learn, other = (classifier(clas_dls, pretrained=ours.path / "awd_lstm-fwd", verbose=True) for _ in range(2))
    other.take_encoder(learn).fit(1)
    assert "Starts from" not in capsys.readouterr().out
    learn.fit(1)
    learn.fit(1)
    assert capsys.readouterr().out.count("Starts from the model that comes with ulmfit_easy (awd_lstm-fwd). It") == 1
    for each in (learn, other):
        assert record_of(each)["model"]["words from that model"] == learn.n_matched > 0


def test_known_words_are_those_of_the_texts_not_those_that_the_model_put_into_the_vocabulary(ours, tmp_path, capsys):
    korean = [f"화면이 정말 밝고 좋아요 {i}" for i in range(20)]
    dls = lm_data(korean, pretrained=tmp_path / "awd_lstm-fwd", lang="ko", bs=2, seq_len=8)
    assert set(ours.dls.text_vocab) <= set(dls.text_vocab)
    with pytest.warns(UserWarning, match=r"24 of the 24 different words in your texts \(100% of all of them\) are "
                                         "unknown to this model: is it of their language"):
        new_lm(dls, pretrained=tmp_path / "awd_lstm-fwd")
    assert "knows 0 of the 24 different words" in capsys.readouterr().out


def test_half_precision_halves_a_bundle_and_hardly_changes_it(ours, tmp_path):
    whole, half = ours.export("whole"), tmp_path / "awd_lstm-fwd"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    assert {t.dtype for t in load_bundle(half).weights.values()} == {torch.float16}
    assert {t.dtype for t in read_lm(half).weights.values()} == {torch.float32}
    a, b = (load_learner(folder).logprob(toy_reviews(5)["text"]) for folder in (half, whole))
    assert [x.perplexity for x in a] == pytest.approx([x.perplexity for x in b], rel=1e-3)
