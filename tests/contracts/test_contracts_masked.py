"""What every masked language model promises, over an encoder that the library does not know."""

import re

import pandas as pd
import pytest
import torch
from encoder_toys import Neighbours

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    Callback,
    CheckpointCallback,
    DataBlock,
    MaskedToken,
    Perplexity,
    TextBlock,
    TextDataLoaders,
    accuracy,
    language_model_learner,
    load_learner,
    load_predictor,
    text_classifier_learner,
)
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.learner.tasks import TASKS

SIZE, VERBS = dict(emb_sz=8), {"anna": "sees", "bert": "likes"}  # who tells the verb
ENDS = [f"{what} {when}" for what in ("the sea", "a lake", "oslo") for when in ("today", "now and then", "at night")]
TABLE = pd.DataFrame([(f"{who} {verb} {end}", who) for who, verb in VERBS.items() for end in ENDS],
                     columns=["text", "label"])


def data(**kwargs):
    options = dict(text_col="text", is_lm=True, objective="mlm", tok_tfm=BaseTokenizer(), min_freq=1, bs=4, seed=0,
                   pretrained=False, cache_dir=False)
    return TextDataLoaders.from_df(TABLE, **{**options, **kwargs})


def learner(dls=None, **kwargs):
    torch.manual_seed(0)
    return language_model_learner(dls or data(), Neighbours, config=SIZE, pretrained=False, verbose=False,
                                  metrics=[accuracy, Perplexity()], **kwargs)


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    learn = learner(path=tmp_path_factory.mktemp("masked"))
    learn.before = learn.validate(dl=learn.dls.train)
    learn.fit_one_cycle(12, 0.1)
    return learn


def test_it_learns_and_counts_hidden_tokens(learn):
    loss, right, perplexity = learn.validate(dl=learn.dls.train)
    assert loss < 0.8 * learn.before[0] and right > learn.before[1]
    dl, n, nll, correct = learn.dls.train.unshuffled(), 0, 0, 0
    for ids, lengths, at, y in dl:
        logits = learn.model(ids, lengths).logits().flatten(0, 1)[at]  # (n, V): those of all tokens, then of these
        nll += torch.nn.functional.cross_entropy(logits, y[0], reduction="sum").item()
        n, correct = n + len(at), correct + (logits.argmax(1) == y[0]).sum().item()
    assert [loss, right] == pytest.approx([nll / n, correct / n], abs=1e-5)
    assert perplexity == pytest.approx(2.718281828 ** loss)


def test_masks_are_filled(learn):
    found = learn.predict("anna [MASK] oslo today", k=3)
    assert found.text == f"anna {found.tokens[0][0]} oslo today" and found.probs.shape == (1, 3)
    assert (found.probs.diff() <= 0).all() and not {*found.tokens[0]} & {*learn.dls.text_vocab.specials.values()}
    both = learn.predict(["[MASK] sees [MASK]", "anna [MASK] oslo today"], k=3)
    assert [len(each.tokens) for each in both] == [2, 1] and both[1].tokens == found.tokens
    assert "0." in repr(found) and "probability" in found._repr_html_()


def test_a_mask_is_filled_as_a_batch_would_have_it(learn):
    tokens = "xxbos anna [MASK] oslo today".split()
    ids = torch.tensor([[learn.dls.text_vocab.stoi[token] for token in tokens]])
    logits = learn.model.eval()(ids).logits()[0, 2]
    best = learn.predict("anna [MASK] oslo today", k=1).tokens[0][0]
    words = [i for i, t in enumerate(learn.dls.text_vocab) if not t.startswith("xx") and t != "[MASK]"]
    assert best == learn.dls.text_vocab[words[int(logits[words].argmax())]]


@pytest.mark.parametrize("text", ["anna sees oslo", ["[MASK] sees", ""]])
def test_a_text_without_a_mask_is_e602(learn, text):
    with pytest.raises(ArgumentError, match=r"E602.*without a mask, row.*\[MASK\].*learn.predict"):
        learn.predict(text)


def test_it_is_exported_and_loaded(learn):
    loaded = load_learner(folder := learn.export())
    assert torch.equal(loaded.predict("anna [MASK] oslo").probs, learn.predict("anna [MASK] oslo").probs)
    assert loaded.validate(dl=learn.dls.valid)[0] == pytest.approx(learn.validate()[0])
    assert loaded.dls.n_inp == 3 and loaded.dls.text_vocab == learn.dls.text_vocab
    with pytest.raises(TrainingError, match="E506"):
        load_predictor(folder)


def test_its_encoder_goes_on_to_a_classifier(learn):
    learn.save_encoder("tuned")
    dls = data(label_col="label", is_lm=False, objective=None, pretrained=learn)
    for clas in (text_classifier_learner(dls, Neighbours, path=learn.path, verbose=False).load_encoder("tuned"),
                 text_classifier_learner(dls, Neighbours, verbose=False).take_encoder(learn)):
        assert torch.equal(clas.encoder.look.weight, learn.encoder.look.weight)
        assert clas.encoder.settings == learn.encoder.settings
    assert data(objective=None, pretrained=learn).task == "mlm"


def test_batches_and_results_are_shown(learn, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for show, columns in ((learn.dls.show_batch, ["masked text", "hidden"]),
                          (learn.show_results, ["masked text", "hidden", "predicted"])):
        show()
        head, *rows = (re.split("  +", line.strip()) for line in capsys.readouterr().out.splitlines())
        assert head == columns and rows and all(len(row) == len(head) for row in rows)
        assert any("[MASK]" in text for text, *_ in rows)
        for _, hidden, *predicted in rows:
            assert [len(words.split()) for words in predicted] == [len(hidden.split())] * len(predicted)


def test_a_block_and_the_doctor_describe_them(capsys):
    block = DataBlock(TextBlock.from_df("text", is_lm=True, tok=BaseTokenizer(), min_freq=1, pretrained=False,
                                        cache_dir=False))
    block.summary(TABLE, bs=4, objective="mlm")
    assert re.search(r"lengths \(4,\) int64, positions \(\d,\) int64, hidden tokens \(1, \d\)", capsys.readouterr().out)
    assert "to train" in str(data().doctor())


def test_predictions_of_a_loader_are_those_of_its_hidden_tokens(learn):
    (preds, y), [loss, *_] = learn.get_preds(), learn.validate()
    assert preds.shape == y.shape == (1, sum(batch[3].numel() for batch in learn.dls.valid))
    assert -preds.mean().item() == pytest.approx(loss, abs=1e-5)


def test_it_resumes_to_the_same_weights(tmp_path):
    class Stop(Callback):
        def before_batch(self):
            if self.learn.train_iter == 7:
                raise KeyboardInterrupt

    def fit(*cbs):
        learn = learner(path=tmp_path)
        try:
            learn.fit(3, 0.05, cbs=cbs)
        except KeyboardInterrupt:
            pass
        return learn.model.state_dict().values()

    unbroken, stopped = fit(), fit(CheckpointCallback(tmp_path, minutes=0), Stop)
    assert not all(map(torch.equal, stopped, unbroken))
    assert all(map(torch.equal, fit(CheckpointCallback(tmp_path, resume=True)), unbroken))


def test_sampled_softmax_trains_it_too(learn):
    sampled = learner(softmax="sampled")
    sampled.fit(1, 0.05)
    assert sampled.validate()[0] < 10


def test_settings_of_the_target_are_saved(tmp_path):
    learn = learner(data(objective=MaskedToken(0.3, whole_words=True)), path=tmp_path)
    assert load_learner(learn.export()).dls.target.config() == {"share": 0.3, "whole_words": True}


def test_words_of_the_texts_are_hidden_whole():
    dls = data(objective=MaskedToken(whole_words=True))
    assert dls.train.ids.store.places is not None and dls.test_dl(["anna sees oslo"]).ids.places


@pytest.mark.parametrize(("kwargs", "said"), [
    (dict(objective="nsp"), "E602.*objective='nsp'.*'lm'"), (dict(objective="single"), "E602"),
    (dict(is_lm=False, label_col="label"), "E603.*objective=.*is_lm=True"),
    (dict(bptt_jitter=5.0), "E603.*bptt_jitter"), (dict(balanced=True), "E603.*balanced")], ids=str)
def test_arguments_that_do_not_fit_are_refused(kwargs, said):
    with pytest.raises(ArgumentError, match=said):
        data(**kwargs)


def test_an_encoder_that_sees_no_later_token_is_refused():
    with pytest.raises(ArgumentError, match='E603.*AWD_LSTM, which sees no later token.*objective="lm"'):
        language_model_learner(data(), AWD_LSTM, pretrained=False)


def test_it_gives_no_scores(learn):
    with pytest.raises(ArgumentError, match="E603.*a score with Neighbours, an encoder without memory"):
        learn.logprob(["anna sees oslo"])


def test_nothing_else_learns_from_such_data():
    assert TASKS["mlm"].head.decodes and not TASKS["mlm"].target.labelled
    with pytest.raises(ArgumentError, match="E603.*'mlm'.*texts with labels"):
        text_classifier_learner(data(), Neighbours)
