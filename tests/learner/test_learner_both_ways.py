"""An encoder of both directions starts from one such model, or from a forward and a backward one."""

import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    ELMo,
    Perplexity,
    TextDataLoaders,
    Tokenizer,
    ULMFiT,
    accuracy,
    language_model_learner,
    load_learner,
    load_predictor,
    pretrain_corpus,
    read_lm,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle import shipped
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.learner.both_ways import shipped_pair
from ulmfit_easy.text.special import FAKE

TABLE = toy_reviews(n=24, seed=0)
SIZES = dict(emb_sz=4, n_hid=6, n_layers=2)
close = torch.testing.assert_close


def data(is_lm=False, **kwargs):
    """Return loaders of toy reviews."""
    options = dict(text_col="text", label_col="label", is_lm=is_lm, min_freq=1, bs=8, seq_len=6, seed=0,
                   tok_tfm=Tokenizer(BaseTokenizer()), pretrained=False, cache_dir=False)
    return TextDataLoaders.from_df(TABLE, **{**options, **kwargs})


def classifier(dls=None, **kwargs):
    options = dict(verbose=False, drop_mult=0)
    return text_classifier_learner(dls or data(), ELMo, **{**options, **kwargs})


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Return the folders of a forward and a backward language model with the same words, and of one with others."""
    folder = tmp_path_factory.mktemp("halves")

    def made(name, sizes=SIZES, **kwargs):
        torch.manual_seed(len(name))
        learn = language_model_learner(data(True, **kwargs), AWD_LSTM, sizes, pretrained=False, path=folder,
                                       verbose=False)
        return learn.export(name)

    return made("ahead"), made("back", backwards=True), made("other", backwards=True, min_freq=5)


def test_a_classifier_starts_from_a_forward_and_a_backward_model(halves, tmp_path):
    learn = classifier(pretrained=halves[:2], path=tmp_path)
    ids = torch.tensor([[9, 12, 30, 14]])
    layers = learn.encoder.eval()(ids, layers=True).layers[:3]
    for folder, way in zip(halves, (0, 1), strict=False):
        half = load_learner(folder).encoder.eval()
        theirs = half(ids.flip(1) if way else ids, layers=True).layers
        for ours, state in zip(layers, theirs, strict=True):
            close(ours.chunk(2, 2)[way], state.flip(1) if way else state)
    trained = {name for name, p in learn.model.named_parameters() if p.requires_grad and not name.startswith("1.")}
    assert trained == {"0.module.mix.scalars", "0.module.mix.gamma"}

    before = {name: p.clone() for name, p in learn.encoder.named_parameters()}
    learn.fit(1, 1e-2)
    changed = {name for name, p in learn.encoder.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"mix.scalars", "mix.gamma"}
    learn.unfreeze()
    learn.fit(1, 1e-2)
    assert not any(torch.equal(p, before[name]) for name, p in learn.encoder.named_parameters())

    folder, texts = learn.export(), TABLE["text"][:3].tolist()
    for again in (load_learner(folder), load_predictor(folder)):
        close(again.predict(texts)[1].probs, learn.predict(texts)[1].probs)
    assert load_learner(folder).encoder.settings["shared"] is False


def test_known_words_keep_the_rows_of_both_halves(halves):
    words = list(data().text_vocab)
    more = data(text_vocab=[*words[:9], "thereto", *words[:8:-1]])
    rows = classifier(more, pretrained=halves[:2]).encoder.embedding.weight
    for folder, ours in zip(halves, rows.chunk(2, 1), strict=False):
        theirs = load_learner(folder)
        known = [word for word in words if word != FAKE]
        at, of = ([vocab.stoi[word] for word in known] for vocab in (more.text_vocab, theirs.dls.text_vocab))
        close(ours[at], theirs.encoder.embedding.weight[of])


@pytest.mark.parametrize(("which", "kwargs", "error", "said"), [
    ((0, 0), {}, FileError, "E402.*reads forwards.*Expected a model that reads backwards"),
    ((0, 2), {}, FileError, "E402.*'vocab'.*one vocabulary and the same sizes"),
    ((0, 1), {"config": dict(shared=True)}, ArgumentError, r"E603.*one embedding.*pretrained=\(forwards, backwards\)"),
    ((0, 1, 1), {}, ArgumentError, r"E603.*3 models for ELMo.*pretrained=\(forwards, backwards\)"),
], ids=["one twice", "other words", "shared", "three"])
def test_halves_that_do_not_fit_are_refused(halves, which, kwargs, error, said):
    with pytest.raises(error, match=said):
        classifier(pretrained=[halves[i] for i in which], **kwargs)


def test_one_half_alone_is_refused(halves):
    with pytest.raises(FileError, match=r"E402.*reads one way, for ELMo.*pretrained=\(forwards, backwards\)"):
        classifier(pretrained=halves[0])


def test_data_that_reads_backwards_is_refused():
    with pytest.raises(ArgumentError, match="E603.*data that reads backwards for ELMo.*leave out backwards="):
        classifier(data(backwards=True), pretrained=False)
    with pytest.raises(ArgumentError, match='E603.*backwards=True with objective="bilm".*leave out backwards='):
        data(True, objective="bilm", backwards=True)


def both_ways(dls=None, **kwargs):
    """Return a language model of both directions."""
    torch.manual_seed(0)
    dls = dls or data(True, objective="bilm")
    options = dict(config=SIZES, pretrained=False, drop_mult=0, metrics=[accuracy, Perplexity()], verbose=False)
    return language_model_learner(dls, ELMo, **{**options, **kwargs})


def test_both_directions_learn_together_and_pass_on_their_encoder(tmp_path):
    learn = both_ways(path=tmp_path)
    before = learn.validate()[0]
    learn.fit_one_cycle(2, 0.02)
    loss, right, perplexity = learn.validate()
    assert loss < before - 0.2 and perplexity == pytest.approx(torch.tensor(loss).exp().item()) and 0 < right < 1
    again = load_learner(learn.export())
    assert type(again) is type(learn) and again.dls.task == "bilm"
    assert torch.equal(again.encoder.embedding.weight, again.head.decoder.weight)
    clas = classifier(data(pretrained=learn), pretrained=tmp_path / "export")
    for name, weight in learn.encoder.state_dict().items():
        close(clas.encoder.state_dict()[name], weight)
    assert clas.encoder.settings["shared"] is True
    again = classifier(data(pretrained=learn), pretrained=read_lm(tmp_path / "export"))
    assert torch.equal(again.encoder.embedding.weight, clas.encoder.embedding.weight)
    further = both_ways(data(True, pretrained=tmp_path / "export"), pretrained=True)
    assert further.dls.task == "bilm" and further.validate()[0] == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("ask", [lambda learn: learn.predict("a film"), lambda learn: learn.logprob("a film")],
                         ids=["predict", "logprob"])
def test_both_directions_neither_write_nor_score(ask):
    with pytest.raises(TrainingError, match=r"E506.*reads both ways.*text_classifier_learner\(dls, ELMo"):
        ask(both_ways())


def test_data_of_another_objective_are_refused(halves):
    with pytest.raises(ArgumentError, match='E603.*ELMo, an encoder without memory.*objective="bilm"'):
        both_ways(data(True))
    with pytest.raises(ArgumentError, match='E603.*"bilm" with AWD_LSTM.*arch=ELMo'):
        language_model_learner(data(True, objective="bilm"), AWD_LSTM, pretrained=False)
    with pytest.raises(ArgumentError, match="E603.*two models for ELMo with one embedding"):
        both_ways(pretrained=halves[:2])


@pytest.mark.slow
def test_a_corpus_is_read_both_ways_and_the_three_stages_stand_on_it(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(toy_reviews(n=80, seed=1)["text"]))
    score = pretrain_corpus(corpus, tmp_path / "elmo", arch="elmo", emb=4, hid=6, layers=2, bs=4, seq_len=12)
    assert 1 < score.perplexity < 1000
    assert "reads: both ways" in (tmp_path / "elmo" / "README.md").read_text()
    again = load_learner(tmp_path / "elmo")
    assert type(again.encoder) is ELMo and again.dls.task == "bilm"
    model = ULMFiT(seed=0, pretrained=tmp_path / "elmo").fit(TABLE["text"], TABLE["label"])
    assert set(model.predict(TABLE["text"][:3].tolist())) <= {"pos", "neg"}


@pytest.mark.slow
def test_a_classifier_starts_from_the_models_that_ship(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)
    for dls in (data(tok_tfm=None, pretrained="en"), data(tok_tfm=None, pretrained=True)):
        learn = classifier(dls)
        assert learn.encoder.settings == classifier(dls, pretrained="en").encoder.settings
        assert learn.encoder.embedding.weight.shape == (len(dls.text_vocab), 512)
    model = ULMFiT(encoder="elmo", seed=0, blend=None, verbose=False).fit(TABLE["text"], TABLE["label"])
    [learn] = model.learners_
    assert type(learn.encoder) is ELMo and learn.encoder.settings["shared"] is False
    assert learn.started_from == str(shipped_pair(ELMo).name) and len(learn.dls.text_vocab) == 20000
