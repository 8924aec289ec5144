"""Pretrained weights: where they come from, which rows a word gets, and what does not fit."""

import pickle

import pytest
import torch
from learner_toys import TINY, classifier, lm, longer_vocab, same, state, text_dls

from ulmfit_easy.bundle import shipped
from ulmfit_easy.bundle.artefact import load_bundle, save_weights
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import write_json
from ulmfit_easy.learner.pretrained import NO_WEIGHTS, read_lm
from ulmfit_easy.learner.text import language_model_learner, load_learner
from ulmfit_easy.text.rules import DEFAULT_RULES
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
    assert f"{new.n_matched:,} of {len(vocab):,} words matched" in capsys.readouterr().out


def test_pretrained_weights_may_come_as_a_pair_of_files(lm_dls, tmp_path):
    old = lm(lm_dls, path=tmp_path)
    old.save("old.v1")
    write_json(tmp_path / "models/words.json", list(lm_dls.text_vocab))
    for names in (("old.v1", "words"), ("old.v1", "words.json")):
        new = lm(lm_dls, path=tmp_path, pretrained_fnames=names)
        assert same(state(new.model), state(old.model)) and new.n_matched == len(lm_dls.text_vocab)


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
        assert new.settings["model"]["config"] == {**TINY, **extra, "input_p": 0.2}  # dropouts are not taken over
        assert same(state(classifier(clas_dls, config=None, pretrained=source).encoder), state(old.encoder))
        with pytest.raises(FileError, match="E402.*an AWD_LSTM.*pass AWD_LSTM"):
            language_model_learner(lm_dls, "AWD_QRNN", pretrained=source)


def test_without_weights_there_is_one_warning_and_nothing_is_frozen(lm_dls, recwarn):
    learn = lm(lm_dls, pretrained=True)
    assert [str(w.message) for w in recwarn.list] == [NO_WEIGHTS]
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


def test_new_words_start_from_the_vectors_that_come_with_the_library(ours, lm_dls, tmp_path, capsys):
    known, vocab = lm_dls.text_vocab[9:], longer_vocab(lm_dls)
    words = ["brandnew", *known]
    vectors = torch.randint(-127, 128, (len(words), 2), dtype=torch.int8)
    folder = tmp_path / "vectors-en"
    save_weights(folder / "vectors.safetensors", {"vectors": vectors, "scale": torch.tensor([0.01, 0.02])})
    write_json(folder / "words.json", words)
    dls = text_dls(is_lm=True, text_vocab=vocab, tok_tfm=Tokenizer(lang="en"))
    new = language_model_learner(dls, "AWD_LSTM", pretrained=tmp_path / "awd_lstm-fwd")
    assert "1 start from word vectors, the others start from the mean row" in capsys.readouterr().out
    rows, old = new.model[0].encoder.weight.detach(), ours.model[0].encoder.weight.detach().half().double()
    x = torch.cat([vectors * torch.tensor([0.01, 0.02]), torch.ones(len(words), 1)], dim=1).double()
    at = torch.tensor([lm_dls.text_vocab.stoi[word] for word in known])
    guess = x[0] @ torch.linalg.pinv(x[1:]) @ old[at]
    torch.testing.assert_close(rows[vocab.stoi["brandnew"]].double(), guess, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rows[vocab.stoi["unheard"]].double(), old.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("data", "model"), [
    ({"backwards": True}, {}), ({"tok_tfm": Tokenizer(lang="de")}, {}),
    ({"tok_tfm": Tokenizer(BaseTokenizer(), DEFAULT_RULES[1:])}, {}), ({}, {"config": {**TINY, "n_hid": 16}}),
    ({}, {"arch": "AWD_QRNN"})])
def test_what_comes_with_the_library_is_left_where_it_does_not_fit(ours, data, model):
    dls = text_dls(is_lm=True, **data)
    with pytest.warns(UserWarning, match="none that come with the library fit"):
        learn = language_model_learner(dls, **{"arch": "AWD_LSTM", "config": TINY, **model})
    assert learn.opt is None


def test_half_precision_halves_a_bundle_and_hardly_changes_it(ours, tmp_path):
    whole, half = ours.export("whole"), tmp_path / "awd_lstm-fwd"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    assert {t.dtype for t in load_bundle(half).weights.values()} == {torch.float16}
    assert {t.dtype for t in read_lm(half).weights.values()} == {torch.float32}
    a, b = (load_learner(folder).logprob(toy_reviews(5)["text"]) for folder in (half, whole))
    assert [x.perplexity for x in a] == pytest.approx([x.perplexity for x in b], rel=1e-3)
