"""Text learners: what passes from one to the next, what is refused, and the state that must not leak."""

import json
import math
import pickle
import shutil
from functools import cache

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from learner_toys import TINY, At, classifier, lm, same, state, text_dls

from ulmfit_easy.all import (
    AWD_LSTM,
    AWD_QRNN,
    BCELossFlat,
    Callback,
    CrossEntropyLossFlat,
    RateBySeqLen,
    TextDataLoaders,
    language_model_learner,
    text_classifier_learner,
)
from ulmfit_easy.bundle.artefact import load_bundle, load_weights, save_bundle, save_weights
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError, UlmfitError, VocabError
from ulmfit_easy.learner.metrics.common import Perplexity, accuracy
from ulmfit_easy.learner.pretrained import NO_WEIGHTS
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.models.softmax import SOFTMAX, lm_cross_entropy
from ulmfit_easy.text.rules import DEFAULT_RULES
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.vocab import Vocab

TEXTS = toy_reviews(n=15, seed=7)["text"].tolist()


@pytest.fixture(scope="module")
def tuned(lm_dls, tmp_path_factory):
    learn = lm(lm_dls, path=tmp_path_factory.mktemp("tuned"), metrics=[accuracy, Perplexity()])
    learn.fit_one_cycle(2, 2e-2)
    return learn


# --- from one learner to the next ---------------------------------------------------------------------------


def test_an_encoder_passes_through_its_file_and_through_memory(tuned, clas_dls):
    tuned.save_encoder("tuned")
    from_file = classifier(clas_dls, path=tuned.path).load_encoder("tuned")
    in_memory = classifier(clas_dls).take_encoder(tuned)
    assert same(state(from_file.encoder), state(tuned.encoder)) and same(state(in_memory.encoder), state(tuned.encoder))
    for learn in (from_file, in_memory):  # only the head trains
        assert [g[0].requires_grad for g in learn.opt.param_groups] == [False] * (TINY["n_layers"] + 1) + [True]
    in_memory.fit(1, 0.1)
    assert same(state(tuned.encoder), state(from_file.encoder))


def test_an_encoder_of_another_vocabulary_is_e302(tuned, clas_dls):
    tuned.save_encoder("tuned")
    words = list(clas_dls.text_vocab)
    words[20], words[21] = words[21], words[20]  # as many words, in another order
    other = classifier(text_dls(text_vocab=Vocab(words)), path=tuned.path)
    before = state(other.model)
    with pytest.raises(VocabError, match="E302"):
        other.load_encoder("tuned")
    with pytest.raises(VocabError, match="E302"):
        other.take_encoder(tuned)
    assert same(before, state(other.model))


@pytest.mark.parametrize("differs", ["vocab_sha256", "classes", "backwards"])
def test_weights_for_another_vocabulary_direction_or_classes_are_e302(clas_dls, tmp_path, differs):
    file = classifier(clas_dls, path=tmp_path).save("whole").absolute()
    words = list(clas_dls.text_vocab)
    words[20], words[21] = words[21], words[20]  # as many words, in another order
    options = {"vocab_sha256": {"text_vocab": Vocab(words)}, "classes": {"labels": ["pos", "neg"]},
               "backwards": {"backwards": True}}[differs]
    other = classifier(text_dls(**{"text_vocab": clas_dls.text_vocab, **options}))
    before = state(other.model)
    with pytest.raises(VocabError, match=f"E302.*{differs}="):
        other.load(file)
    assert same(before, state(other.model))
    assert same(state(other.load(file, strict=False).model), load_weights_of(file))


def load_weights_of(file):
    return {k.removeprefix("model."): v for k, v in load_weights(file)[0].items()}


def test_weights_of_a_whole_learner_are_no_encoder(clas_dls, tmp_path):
    learn = classifier(clas_dls, path=tmp_path)
    learn.save("whole")
    save_weights(tmp_path / "models/nameless.safetensors", learn.encoder.state_dict())
    for file in ("whole", "nameless"):
        with pytest.raises(VocabError, match="E302.*no encoder.*save_encoder; learn.save is for learn.load"):
            learn.load_encoder(file)


def test_an_encoder_of_the_other_direction_is_e402(tuned, lm_dls):
    tuned.save_encoder("tuned")
    backwards = classifier(text_dls(text_vocab=lm_dls.vocab, backwards=True), path=tuned.path)
    with pytest.raises(FileError, match="E402.*forwards"):
        backwards.load_encoder("tuned")
    with pytest.raises(ArgumentError, match="E60"):
        lm(lm_dls, backwards=True)


def test_an_encoder_of_other_sizes_is_e402(tuned, clas_dls):
    tuned.save_encoder("tuned")
    with pytest.raises(FileError, match="E402.*tuned.safetensors with n_hid=12, n_layers=2. "
                                        "Expected n_hid=16, n_layers=3. Fix: build"):
        classifier(clas_dls, path=tuned.path, config={**TINY, "n_hid": 16, "n_layers": 3}).load_encoder("tuned")


def test_weights_of_other_sizes_or_another_head_are_e402(clas_dls, tmp_path):
    learn = classifier(clas_dls, path=tmp_path)
    learn.save("mine")
    n = len(clas_dls.text_vocab)
    larger = classifier(text_dls(text_vocab=[*clas_dls.text_vocab, "new", "newer"]), path=tmp_path)
    with pytest.raises(FileError, match=f"E402.*with vocab_sz={n}. Expected vocab_sz={n + 2}. "):
        larger.load("mine", strict=False)
    with pytest.raises(FileError, match=r"E402.*wrong shapes: \['1.layers"):
        classifier(clas_dls, path=tmp_path, lin_ftrs=[5]).load("mine")


@pytest.mark.parametrize(("build", "data"), [(language_model_learner, {"is_lm": True}), (text_classifier_learner, {})])
def test_an_argument_that_a_learner_does_not_have_is_named_with_the_one_that_was_meant(build, data):
    dls = text_dls(**data)
    for name, fix in [("drop_mul", "did you mean 'drop_mult'?"), ("metric", "did you mean 'metrics'?"),
                      ("aplha", "did you mean 'alpha'?"), ("zzz", "leave it out; it has dls, arch, ")]:
        with pytest.raises(TypeError) as e:
            build(dls, AWD_LSTM, config=TINY, **{name: 1})
        assert isinstance(e.value, ArgumentError)
        assert str(e.value).startswith(f"[E604] Received {name}= for {build.__name__}. Expected an argument that")
        assert f"Fix: {fix}" in str(e.value) and "?." not in str(e.value)


# --- save, load, export -------------------------------------------------------------------------------------


def test_save_and_load_give_weights_and_optimizer_back(lm_dls, tmp_path):
    learn = lm(lm_dls, path=tmp_path)
    learn.freeze_to(1)
    learn.fit(1, 1e-2)
    learn.save("stage")
    weights, opt = state(learn.model), learn.opt.state_dict()
    other = lm(lm_dls, path=tmp_path).load("stage")
    assert same(weights, state(other.model)) and other.opt.frozen_idx == 1
    loaded = other.opt.state_dict()
    assert loaded["hypers"] == opt["hypers"]
    assert all(torch.equal(v, loaded["state"][i][k]) for i, s in opt["state"].items() for k, v in s.items())
    for each in (learn, other):
        torch.manual_seed(5)
        each.dls.train.load_state_dict({"seed": 3, "epoch": 0})
        each.fit(1, 1e-2)
    assert same(state(learn.model), state(other.model))


def test_load_without_the_optimizer_leaves_the_own_one(lm_dls, tmp_path):
    learn = lm(lm_dls, path=tmp_path)
    learn.fit(1, 1e-2)
    learn.save("stage")
    other = lm(lm_dls, path=tmp_path).load("stage", with_opt=False)
    assert other.opt is None and same(state(other.model), state(learn.model))
    learn.save("bare", with_opt=False)
    learn.load("bare")
    assert learn.opt.opt.state


def test_tied_weights_are_stored_once_and_tied_after_load(tuned):
    path = tuned.save("tied", with_opt=False)
    tensors, _ = load_weights(path)
    unique = {p.data_ptr(): p.numel() * 4 for p in tuned.model.parameters()}
    assert sum(unique.values()) <= path.stat().st_size < sum(unique.values()) + 8000
    names = "model.0.encoder.weight", "model.0.encoder_dp.emb.weight", "model.1.decoder.weight"
    assert len({tensors[name].data_ptr() for name in names}) == 1
    model = lm(tuned.dls, path=tuned.path).load("tied").model
    assert model[0].encoder.weight.data_ptr() == model[1].decoder.weight.data_ptr()


def test_an_exported_classifier_says_the_same(clas_dls, tmp_path):
    learn = classifier(clas_dls, path=tmp_path, lin_ftrs=[7, 5], ps=[0.2, 0.1], max_len=40, seq_len=20)
    learn.fit_one_cycle(1, 1e-2)
    loaded = load_learner(learn.export("out"))
    for a, b in zip(learn.predict(TEXTS), loaded.predict(TEXTS), strict=True):
        assert a.label == b.label and torch.equal(a.probs, b.probs)
    assert not loaded.model.training and loaded.dls.classes == learn.dls.classes
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "model.safetensors", "vocab.json", "config.json", "README.md", "training.json"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "from ulmfit_easy.all import load_learner; load_learner('out').predict(texts)" in card
    assert "* measured on: the validation texts" in card and "* training texts: 72\n" in card


@pytest.mark.parametrize("backwards", [False, True])
def test_an_exported_language_model_says_the_same(backwards, tmp_path):
    learn = lm(text_dls(is_lm=True, backwards=backwards), path=tmp_path)
    learn.fit_one_cycle(1, 1e-2)
    loaded = load_learner(learn.export())
    flags = " --backwards" if backwards else ""
    assert f"\nulmfit train reviews.csv --pretrained export{flags}\n" in (tmp_path / "export" / "README.md").read_text()
    assert loaded.dls.backwards is backwards
    assert loaded.predict("the film", 8, seed=1) == learn.predict("the film", 8, seed=1)
    assert loaded.logprob(TEXTS) == learn.logprob(TEXTS)


def shout(text):
    return text.upper()


def test_a_tokenizer_of_the_users_own_is_passed_to_load_learner(tmp_path):
    tokenizer = Tokenizer(BaseTokenizer(), [shout, *DEFAULT_RULES])
    learn = classifier(text_dls(tok_tfm=tokenizer), path=tmp_path)
    bundle = learn.export()
    with pytest.raises(FileError, match="E402.*shout"):
        load_learner(bundle)
    assert torch.equal(load_learner(bundle, tokenizer=tokenizer).predict("good").probs, learn.predict("good").probs)


# --- hostile files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["load", "load_encoder"])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip", pickle.dumps(["a"])])
def test_other_files_are_e401(clas_dls, tmp_path, method, data):
    learn = classifier(clas_dls, path=tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/x.safetensors").write_bytes(data)
    with pytest.raises(FileError, match="E401"):
        getattr(learn, method)("x")
    with pytest.raises(FileError, match="E404"):
        getattr(learn, method)("y")


def test_a_loaded_learner_has_no_batch_to_show_which_is_e506(tuned):
    dls = load_learner(tuned.export("bare")).dls
    for call in (dls.show_batch, dls.one_batch):
        with pytest.raises(TrainingError, match="E506.*without a batch, as load_learner gives"):
            call()


@pytest.mark.parametrize("wrong", [None, [1]])
@pytest.mark.parametrize("part", ["text", "encoder", "head", "reader", "target", "loss"])
def test_a_config_without_one_of_its_parts_is_refused(clas_dls, tmp_path, part, wrong):
    file = classifier(clas_dls, path=tmp_path).export("m") / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, part: wrong} if wrong else {k: v for k, v in config.items() if k != part}))
    with pytest.raises(UlmfitError, match="E40[12]"):
        load_learner(file.parent)


@pytest.mark.parametrize("missing", ["model.safetensors", "vocab.json", "config.json"])
def test_a_bundle_without_one_of_its_parts_is_e404(tuned, tmp_path, missing):
    bundle = shutil.copytree(tuned.export("whole"), tmp_path / "part")
    (bundle / missing).unlink()
    with pytest.raises(FileError, match="E404"):
        load_learner(bundle)


# --- the hidden state ---------------------------------------------------------------------------------------


def test_validation_does_not_depend_on_what_was_read_before(lm_dls):
    learn = lm(lm_dls, metrics=Perplexity())
    alone = learn.validate()
    learn.fit(2, 0.0)
    assert [row[1:] for row in learn.recorder.values] == [alone, alone]
    assert learn.validate() == alone and learn.hidden_state.memory is None


def test_training_starts_each_epoch_from_zero_and_carries_the_state_inside_it(lm_dls):
    learn, given = lm(lm_dls), []
    learn.fit(2, 1e-3, cbs=(note := At("before_batch", lambda: given.append((learn.training, learn.xb)))))
    fresh = [(training, len(xb) == 1) for training, xb in given]
    for training in (True, False):
        n = len(learn.dls.train if training else learn.dls.valid)
        assert [new for t, new in fresh if t is training] == ([True] + [False] * (n - 1)) * 2
    states = [s for _, xb in given if len(xb) > 1 for layer in xb[1] for s in layer]
    assert states and not any(s.requires_grad for s in states) and note not in learn.cbs


def test_perplexity_is_the_exp_of_the_mean_over_tokens_of_one_long_reading(tuned):
    dl, nll, count, right, memory = tuned.dls.valid, 0.0, 0, 0, None
    tuned.model.eval()
    with torch.no_grad():
        for xb, yb in dl:
            output = tuned.model(xb, memory)
            memory, logits = output.memory, output.logits()
            nll += F.cross_entropy(logits.flatten(0, 1), yb.flatten(), reduction="sum").item()
            right += (logits.argmax(-1) == yb).sum().item()
            count += yb.numel()
    loss, acc, perplexity = tuned.validate()
    assert len({len(xb[0]) for xb, _ in dl}) == 2  # the last batch is shorter: weights matter
    assert loss == pytest.approx(nll / count, rel=1e-5) and acc == pytest.approx(right / count)
    assert perplexity == pytest.approx(math.exp(nll / count), rel=1e-5)


# --- scores and generation ----------------------------------------------------------------------------------


@cache
def trained(backwards):
    learn = lm(text_dls(is_lm=True, backwards=backwards))
    learn.fit_one_cycle(1, 2e-2)
    return learn


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("bs", [1, 4, 64])
def test_logprob_equals_one_text_at_a_time(bs, backwards):
    learn = trained(backwards)
    learn.model.train()
    texts = [*TEXTS, "good", "zzz qqq " * 40]
    scores = learn.logprob(texts, bs=bs)
    assert learn.model.training
    learn.model.eval()
    for text, score in zip(texts, scores, strict=True):
        ids = torch.tensor([learn.dls.text_vocab.stoi.get(t, 0) for t in learn.dls.tokenizer(text)])
        ids = ids.flip(0) if backwards else ids
        with torch.no_grad():
            logp = learn.model(ids[None, :-1]).logits()[0].log_softmax(-1)
        expected = logp.gather(1, ids[1:, None]).sum().item()
        assert score.logprob == pytest.approx(expected, rel=1e-4) and score.n_tokens == len(ids) - 1
        assert score.perplexity == pytest.approx(math.exp(-expected / (len(ids) - 1)), rel=1e-4)
        assert score.n_unknown == (ids[1:] == 0).sum()
    assert learn.logprob(texts[0]).logprob == pytest.approx(scores[0].logprob, rel=1e-4)


def test_logprob_of_an_iterator_reads_only_what_it_needs(tuned):
    read = []

    def texts():
        for i in range(10_000):
            read.append(i)
            yield f"the film number {i}"

    scores = tuned.logprob(texts(), bs=4)
    assert next(scores).n_tokens > 0 and len(read) < 3000
    first = len(read)
    next(scores)
    assert len(read) == first


def test_generation_repeats_with_a_seed_of_its_own_or_the_global_one(tuned):
    before = torch.get_rng_state()
    a, b, c = (tuned.predict("the film", 12, seed=s) for s in (1, 1, 2))
    assert a == b != c and a.lower().startswith("the film") and torch.equal(before, torch.get_rng_state())
    torch.manual_seed(0)
    free = tuned.predict("the film", 12)
    torch.manual_seed(0)
    assert free == tuned.predict("the film", 12)  # without a seed, the global one counts


def test_a_backwards_model_puts_its_words_before_the_text(monkeypatch):
    from ulmfit_easy.learner import writing as module

    learn, prompts, real = lm(text_dls(is_lm=True, backwards=True)), [], module.generate

    def noted(model, ids, *args, **kwargs):
        prompts.extend(ids)
        return real(model, ids, *args, **kwargs)

    monkeypatch.setattr(module, "generate", noted)
    assert learn.predict("the film was", 6, seed=3).lower().endswith("the film was")
    words = [learn.dls.text_vocab[i] for i in prompts[0]]
    assert words == ["was", "film", "the"]  # read from its end; no xxbos, before which nothing comes




# --- the right data, the right loss -------------------------------------------------------------------------


def test_a_learner_over_the_other_kind_of_data_is_refused(lm_dls, clas_dls):
    with pytest.raises(ArgumentError, match="E603.*label_col"):
        text_classifier_learner(lm_dls, AWD_LSTM, config=TINY)
    with pytest.raises(ArgumentError, match="E603.*is_lm=True"):
        language_model_learner(clas_dls, AWD_LSTM, config=TINY)


def test_a_classifier_warns_at_its_first_fit_unless_an_encoder_was_loaded(tuned, clas_dls, recwarn):
    loaded = classifier(clas_dls, pretrained=True).take_encoder(tuned)
    loaded.fit(1)
    assert not recwarn.list
    fresh = classifier(clas_dls, pretrained=True)
    assert not recwarn.list
    fresh.fit(1)
    fresh.fit(1)
    why = "architecture: no installed model has the encoder AWD_LSTM"
    assert [str(w.message) for w in recwarn.list] == [NO_WEIGHTS.format(why)]


def test_a_plain_learner_takes_its_loss_from_the_labels(clas_dls, lm_dls):
    from ulmfit_easy.learner.learner import Learner

    model = classifier(clas_dls).model
    assert isinstance(Learner(clas_dls, model).loss_func, CrossEntropyLossFlat)


def test_class_weights_and_label_smoothing_are_refused_for_a_language_model(lm_dls):
    for loss in (CrossEntropyLossFlat(label_smoothing=0.1), CrossEntropyLossFlat(weight=torch.ones(3))):
        with pytest.raises(ArgumentError, match="E603.*perplexity"):
            lm(lm_dls, loss_func=loss).fit(1)


def test_an_exported_classifier_keeps_its_threshold(tmp_path):
    import pandas as pd

    from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat

    rows = [(f"text number {i} of many", ["a", "b", "a;b"][i % 3]) for i in range(30)]
    df = pd.DataFrame(rows, columns=["text", "label"])
    dls = TextDataLoaders.from_df(df, label_delim=";", tok_tfm=BaseTokenizer(), min_freq=1, bs=8, seed=0)
    learn = classifier(dls, path=tmp_path, loss_func=BCEWithLogitsLossFlat(thresh=0.05))
    again = load_learner(learn.export("multi"))
    assert again.loss_func.thresh == 0.05
    assert again.predict("text number").label == learn.predict("text number").label == ["a", "b"]


@pytest.mark.parametrize("arch", [AWD_LSTM, AWD_QRNN])
@pytest.mark.parametrize("multi", [False, True])
def test_a_head_that_reads_the_words_learns_and_says_the_same_of_a_text_alone(arch, multi):
    df = toy_reviews(n=24, seed=0).assign(labels=lambda d: d["label"] + ";" + d["topic"])
    labels = {"label_col": "labels", "label_delim": ";"} if multi else {}
    dls = TextDataLoaders.from_df(df, **{"text_col": "text", "label_col": "label", "tok_tfm": BaseTokenizer(), "bs": 8,
                                         "min_freq": 1, "seed": 0, **labels})
    learn = text_classifier_learner(dls, arch, config=TINY, pretrained=False, seq_len=10, max_len=20, pool_words=True,
                                    verbose=False)
    before = state(learn.model)
    learn.fit(1, 1e-2)
    assert all(not torch.equal(p, before[name]) for name, p in learn.model.named_parameters())
    texts = sorted(TEXTS, key=len)  # the longest is padded nowhere, the others by their neighbours
    together, alone = learn.predict(texts), [learn.predict(text) for text in texts]
    torch.testing.assert_close([p.probs for p in together], [p.probs for p in alone], rtol=0, atol=1e-6)
    assert len(together[0].probs) == dls.c == (6 if multi else 2)  # two labels, four topics


def test_a_loaded_learner_has_nothing_to_train_on(tuned):
    with pytest.raises(TrainingError, match="E506.*load_learner"):
        load_learner(tuned.export("no data")).fit(1)


def test_a_language_model_says_how_many_tokens_it_does_not_know(lm_dls, capsys, monkeypatch):
    lm(lm_dls, verbose=True).fit(1)
    rate = lm_dls.valid.ids.unk_rate(lm_dls.valid.rows)
    assert f"{rate:.1%} of the validation tokens are out of vocabulary" in capsys.readouterr().out
    monkeypatch.setattr(type(lm_dls.valid.ids), "unk_rate", lambda *_: 0.0004)
    lm(lm_dls, verbose=True).fit(1)
    assert "out of vocabulary" not in capsys.readouterr().out  # "0.0%" would tell nothing


@pytest.mark.parametrize("softmax", SOFTMAX)
def test_each_softmax_learns_validates_exactly_and_comes_back_from_its_export(lm_dls, tmp_path, softmax):
    learn = lm(lm_dls, path=tmp_path, softmax=softmax, metrics=[Perplexity()])
    learn.fit_one_cycle(3, 2e-2)
    losses = [row[0] for row in learn.recorder.values]
    assert losses[-1] < losses[0]
    loss, perplexity = learn.validate()
    assert perplexity == pytest.approx(math.exp(loss))
    x, y = next(iter(lm_dls.valid))
    exact = F.cross_entropy(learn.model.eval()(x).logits().flatten(0, 1), y.flatten())
    with torch.no_grad():
        torch.testing.assert_close(lm_cross_entropy(learn.model(x), y), exact)
    again = load_learner(learn.export(softmax))
    assert again.logprob("the film was good").logprob == pytest.approx(learn.logprob("the film was good").logprob)
    assert again.head.settings["softmax"] == softmax


def test_a_model_with_a_softmax_that_is_gone_is_refused_by_its_name(lm_dls, tmp_path):
    bundle = load_bundle(lm(lm_dls, path=tmp_path).export())
    bundle.config["head"]["config"]["softmax"] = "adaptive"
    with pytest.raises(FileError, match="E401.*softmax='adaptive'"):
        load_learner(save_bundle(tmp_path / "old", bundle.weights, bundle.vocab, bundle.config))
    with pytest.raises(ArgumentError, match="E602.*softmax='adaptive'.*sampled"):
        lm(lm_dls, softmax="adaptive")


def test_a_language_model_of_pieces_writes_words(tmp_path):
    dls = text_dls(is_lm=True, tok_tfm=SentencePieceTokenizer(vocab_sz=150), cache_dir=tmp_path)
    text = lm(dls, path=tmp_path).predict("The film was good", n_words=5, seed=0)
    assert text.startswith("The film was good")


def test_shorter_batches_learn_at_lower_rates_in_proportion():
    dls = text_dls(is_lm=True, bptt_jitter=2)
    seen, lengths = [], []

    class Spy(Callback):
        order, run_valid = 70, False

        def before_step(self):
            seen.append(self.opt.hypers[-1]["lr"])
            lengths.append(self.xb[0].shape[1])

    learn = lm(dls, cbs=[RateBySeqLen(), Spy()])
    learn.fit(1, 1e-2)
    assert seen == pytest.approx([1e-2 * n / 10 for n in lengths]) and len(set(lengths)) > 1
    assert learn.opt.hypers[-1]["lr"] == pytest.approx(1e-2)
    seen.clear(), lengths.clear()
    lm(cbs=[RateBySeqLen(), Spy()]).fit(1, 1e-2)
    assert set(seen) == {1e-2}


def test_class_weight_balanced_lets_rare_classes_count_alike():
    df = toy_reviews(90, seed=0)
    rare = pd.concat([df[df["label"] == "pos"], df[df["label"] == "neg"][:9]])
    dls = TextDataLoaders.from_df(rare, text_col="text", label_col="label", tok_tfm=BaseTokenizer(), bs=8, seed=0,
                                  min_freq=1)
    learn = classifier(dls, class_weight="balanced")
    counts = torch.bincount(dls.train.targets)
    assert torch.allclose(learn.loss_func.weight, counts.sum() / (2 * counts))
    assert torch.equal(classifier(dls, class_weight=[1, 3]).loss_func.weight, torch.tensor([1.0, 3.0]))
    assert classifier(dls, class_weight={"pos": 3}).loss_func.weight.tolist() == [1, 3]
    assert classifier(dls).loss_func.weight is None
    for wrong in ("even", [1, 2, 3], {"positive": 2}):
        with pytest.raises(ArgumentError, match="E60[124].*class_weight"):
            classifier(dls, class_weight=wrong)
    with pytest.raises(ArgumentError, match="E603.*one of the two"):
        classifier(dls, class_weight="balanced", loss_func=CrossEntropyLossFlat())


def test_a_loss_of_probabilities_is_exported_as_one(tmp_path):
    dls = TextDataLoaders.from_df(toy_reviews(60, seed=0).assign(tags=lambda d: d["label"] + ";x"), text_col="text",
                                  label_col="tags", label_delim=";", tok_tfm=BaseTokenizer(), bs=8, min_freq=1, seed=0)
    learn = classifier(dls, path=tmp_path, y_range=(0, 1), loss_func=BCELossFlat())
    again = load_learner(learn.export())
    assert torch.equal(again.predict(TEXTS[0]).probs, learn.predict(TEXTS[0]).probs)


def test_a_metric_by_its_name_is_refused(clas_dls):
    with pytest.raises(ArgumentError, match="E601.*'accuracy'"):
        classifier(clas_dls, metrics="accuracy")
