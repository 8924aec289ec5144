"""A corpus becomes a bundle; what stops the run changes nothing about it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recipes_tiny
import torch
from filelock import FileLock

from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.learner.text import language_model_learner, load_learner
from ulmfit_easy.recipes.corpus import monitor, run
from ulmfit_easy.recipes.corpus.data import corpus_data
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.corpus.run import pretrain_corpus, run_folder, schedule
from ulmfit_easy.recipes.corpus.start import start_of
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.evaluate import evaluate_lm
from ulmfit_easy.recipes.stages import lm_data, new_lm
from ulmfit_easy.text import corpus as text_corpus
from ulmfit_easy.text.corpus import Corpus
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

TINY = {"emb": 8, "hid": 12, "layers": 2, "bs": 8, "seq_len": 10, "min_freq": 1, "lr": 2e-2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name, n, seed in (("a", 80, 0), ("b", 40, 1), ("valid", 20, 2)):
        (folder / f"{name}.txt").write_text("\n\n".join(toy_texts(n, seed)))
    return [str(folder / "a.txt"), str(folder / "b.txt")]


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "lm"
    return pretrain_corpus(corpus, out, **TINY), out


def data_of(**settings):
    return corpus_data(Plan(**settings))


def weights(out):
    return load_bundle(out).weights


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Crash(Exception):
    pass


@pytest.fixture
def crash_at(monkeypatch):
    """Makes the next run stop after so many steps."""

    def set_up(step):
        def after_batch(self):
            whole(self)
            if self.training and self.train_iter == step:
                monkeypatch.setattr(monitor.RunProgress, "after_batch", whole)
                raise Crash

        whole = monitor.RunProgress.after_batch
        monkeypatch.setattr(monitor.RunProgress, "after_batch", after_batch)

    return set_up


def test_a_corpus_becomes_a_bundle_that_scores_as_told(unbroken, corpus):
    score, out = unbroken
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "config.json", "history.csv",
                                                     "model.safetensors", "training.json", "vocab.json"]
    assert not run_folder(out).exists() and [p.name for p in out.parent.iterdir()] == ["lm"]
    learn, data = load_learner(out), data_of(corpus=corpus, **TINY)
    assert evaluate_lm(learn, data.held_out) == score and score.perplexity < len(learn.dls.vocab) / 2
    assert data.dls.vocab == learn.dls.vocab and learn.dls.seq_len == 10


def test_the_history_has_a_row_for_each_validation(unbroken):
    history = pd.read_csv(unbroken[1] / "history.csv")
    assert list(history) == ["step", "train_loss", "valid_loss", "accuracy", "perplexity"]
    assert len(history) == 10 and history.step.is_monotonic_increasing
    assert history.valid_loss.iloc[-1] < history.valid_loss.iloc[0]
    assert np.allclose(np.exp(history.valid_loss), history.perplexity)


def test_the_card_tells_what_was_done(unbroken, corpus):
    score, out = unbroken
    card = (out / "README.md").read_text()
    data = data_of(corpus=corpus, **TINY)
    for name, n_docs, n_tokens in data.files:
        assert f"name {name}, documents {n_docs}, tokens {n_tokens:,}\n" in card
    assert [n for _, n, _ in data.files] == [80, 40] and sum(n for *_, n in data.files) == data.dls.train.ids.n_tokens
    for fact in (f"perplexity: {score.perplexity:.2f}", f"bits per character: {score.bits_per_char:.4f}",
                 "AWD_LSTM, emb_sz 8, n_hid 12, n_layers 2", "12 documents of the corpus, kept aside",
                 f"{len(data.dls.vocab)} words", "highest rate 0.02", "= 0.9", "torch 2", "forwards",
                 "started from: random weights", "\nulmfit train reviews.csv --pretrained lm\n",
                 "licence: to be filled"):
        assert fact in card, fact


def test_the_bundle_is_a_start_for_stage_two(unbroken):
    _, out = unbroken
    lm = new_lm(lm_data(toy_texts(60), pretrained=out, min_freq=1, seed=0), pretrained=out, verbose=False)
    assert lm.opt.frozen_idx == 2 and lm.n_matched > 100


OTHERS = [{"subword": 104}, {"backwards": True, "arch": "awd_qrnn", "softmax": "sampled"}]


@pytest.fixture(scope="module", params=[{"arch": "awd_qrnn", "softmax": "full"}, {"subword": 104}],
                ids=["awd_qrnn", "subword"])
def other(request, corpus, tmp_path_factory):
    """The figures of a model of another kind, and its folder."""
    out = tmp_path_factory.mktemp("other") / "lm"
    return pretrain_corpus(corpus[0], out, **TINY, **request.param), out


def test_a_model_learns_on_with_its_own_words_and_sizes(other, corpus, tmp_path):
    score, first = other
    pretrain_corpus(corpus[1], tmp_path / "more", pretrained=first, bs=8, seq_len=10, lr=1e-2, epochs=0.5)
    a, b = load_learner(first), load_learner(tmp_path / "more")
    assert a.dls.vocab == b.dls.vocab and type(a.encoder) is type(b.encoder)
    assert a.dls.tokenizer.fingerprint == b.dls.tokenizer.fingerprint
    assert evaluate_lm(b, Corpus(corpus[0])).perplexity < score.perplexity * 1.2  # nothing was forgotten
    card = (tmp_path / "more" / "README.md").read_text()
    assert "* started from: lm\n" in card


def test_a_model_that_learns_on_begins_where_it_was(unbroken, corpus):
    plan = Plan(corpus=corpus[1], pretrained=unbroken[1], bs=8, seq_len=10)
    start = start_of(plan)
    learn = run._learner(plan, start, corpus_data(plan, start).dls, unbroken[1])
    assert same(learn.model.state_dict(), weights(unbroken[1])) and learn.opt.frozen_idx == 0


def vectors_of(words, n_dims, file):
    rows = np.random.default_rng(0).normal(size=(len(words), n_dims))
    file.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows, strict=True)))
    return file


@pytest.mark.slow
def test_word_vectors_are_a_start_that_is_told_and_resumed(unbroken, corpus, tmp_path, crash_at, capsys):
    words = [word for word in load_learner(unbroken[1]).dls.vocab if not word.startswith("xx")]
    settings = {**TINY, "vectors": vectors_of(words, 2, tmp_path / "two.txt")}
    pretrain_corpus(corpus, tmp_path / "whole", **settings)
    assert f"{len(words)} of " in (out := capsys.readouterr().out) and "vectors of two.txt" in out
    assert not same(weights(tmp_path / "whole"), weights(unbroken[1]))
    assert "word vectors: two.txt" in (tmp_path / "whole" / "README.md").read_text()
    crash_at(7)
    with pytest.raises(Crash):
        pretrain_corpus(corpus, tmp_path / "lm", minutes=0, **settings)
    (tmp_path / "two.txt").unlink()
    pretrain_corpus(out=tmp_path / "lm", resume=True)
    assert same(weights(tmp_path / "lm"), weights(tmp_path / "whole"))


def test_vectors_that_are_too_wide_are_refused(unbroken, corpus, tmp_path):
    file = vectors_of(["the", "a"], TINY["emb"] // 2 + 1, tmp_path / "wide.txt")
    with pytest.raises(ArgumentError, match=r"E603.*at most half.*emb="):
        pretrain_corpus(corpus, tmp_path / "lm", vectors=file, **TINY)


def test_a_run_of_a_model_that_learns_on_can_be_resumed(unbroken, corpus, tmp_path, crash_at, capsys):
    settings = {"pretrained": unbroken[1], "bs": 8, "seq_len": 10, "epochs": 0.5}
    pretrain_corpus(corpus, tmp_path / "whole", **settings)
    crash_at(7)
    with pytest.raises(Crash):
        pretrain_corpus(corpus, tmp_path / "lm", minutes=0, **settings)
    pretrain_corpus(out=tmp_path / "lm", resume=True)
    assert same(weights(tmp_path / "lm"), weights(tmp_path / "whole"))
    assert re.search(r"going on after step 6 of \d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(("settings", "error", "told"), [
    ({"emb": 16, "arch": "awd_qrnn"}, ArgumentError, "E603.*arch=awd_qrnn, emb=16.*leave them out"),
    ({"lang": "de"}, ArgumentError, "E603.*lang=.de.*.en."),
    ({"pretrained": True}, ArgumentError, "E601.*path of a file"),
    ({"backwards": True}, FileError, "E402.*reads forwards.*leave out backwards=")])
def test_a_model_that_cannot_learn_on_as_asked_is_an_error(unbroken, corpus, tmp_path, settings, error, told):
    with pytest.raises(error, match=told):
        pretrain_corpus(corpus, tmp_path / "lm", **{"pretrained": unbroken[1], **settings})
    assert not run_folder(tmp_path / "lm").exists()


def test_an_encoder_alone_cannot_learn_on(unbroken, corpus, tmp_path, monkeypatch):
    bundle = load_bundle(unbroken[1])
    encoder = bundle._replace(weights={k: v for k, v in bundle.weights.items() if k.startswith("0.")})
    monkeypatch.setattr("ulmfit_easy.learner.pretrained.load_any", lambda path: encoder)
    with pytest.raises(FileError, match="E402.*without a decoder"):
        pretrain_corpus(corpus, tmp_path / "lm", pretrained=unbroken[1])


def test_workers_must_see_the_cache(corpus, tmp_path, monkeypatch):
    def connected(scheduler, workers, paths):
        raise Crash(paths)

    monkeypatch.setattr(run, "connected", connected)
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Crash, match=str(tmp_path / "cache")):
        pretrain_corpus(corpus, tmp_path / "lm", scheduler="tcp://10.0.0.1:8786")
    assert (tmp_path / "cache").is_dir()


def test_only_one_process_works_on_a_run(stopped):
    with FileLock(run_folder(stopped[1]) / "lock"), pytest.raises(FileError, match="E408.*another process"):
        pretrain_corpus(out=stopped[1], resume=True)
    pretrain_corpus(out=stopped[1], resume=True)


@pytest.mark.parametrize("twice", [{"corpus": ["a.txt", "./a.txt"]}, {"corpus": ["a.txt"], "valid": ["a.txt"]}])
def test_a_file_counts_once(twice):
    with pytest.raises(ArgumentError, match="E603.*a.txt more than once"):
        Plan(**twice)


@pytest.mark.parametrize(("wrong", "match"), [({"corpus": ["/dev/null"]}, "/dev/null, no regular file"),
                                              ({"seed": -1}, "seed=-1"), ({"minutes": -1}, "minutes=-1")])
def test_what_cannot_work_is_found_before_tokenizing_and_leaves_nothing(corpus, tmp_path, wrong, match):
    with pytest.raises(ArgumentError, match=f"E60.*{match}"):
        pretrain_corpus(**{"corpus": corpus, "out": tmp_path / "lm", **wrong})
    assert not run_folder(tmp_path / "lm").exists()


def test_fewer_pieces_than_asked_for_are_told(corpus):
    with pytest.warns(UserWarning, match=r"gave [\d,]+ pieces, not 5,000"):
        data_of(corpus=corpus, subword=5000, **TINY)


def test_stage_two_goes_on_with_the_same_architecture_and_softmax(corpus, tmp_path):
    dls = data_of(corpus=corpus, **TINY).dls
    learn = language_model_learner(dls, "AWD_QRNN", config={"emb_sz": 8, "n_hid": 12, "n_layers": 2}, pretrained=False,
                                   softmax="sampled")
    again = new_lm(dls, pretrained=learn.export((tmp_path / "qrnn").absolute()), verbose=False)
    assert type(again.encoder).__name__ == "AWD_QRNN" and again.head.settings["softmax"] == "sampled"


def test_a_classifier_keeps_the_architecture_and_the_tokenizer_of_its_bundle(other, tmp_path, capsys):
    model = ULMFiT(preset=recipes_tiny.TINY, pretrained=other[1], seed=0, blend=None)
    model.fit(recipes_tiny.TEXTS[:40], recipes_tiny.LABELS[:40]).save(tmp_path / "model")
    known, n, unit = re.search(r"knows (\d+) of the (\d+) different (pieces)?", capsys.readouterr().out).groups()
    assert known == n if unit else int(known) > 50
    again = ULMFiT.load(tmp_path / "model").predict_proba(recipes_tiny.TEXTS[:3])
    assert (again == model.predict_proba(recipes_tiny.TEXTS[:3])).all()


@pytest.mark.parametrize("settings", [{}, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)])
def test_a_run_that_was_interrupted_ends_with_the_weights_of_one_that_was_not(unbroken, corpus, tmp_path, crash_at,
                                                                              capsys, settings):
    expected, whole = unbroken if not settings else (pretrain_corpus(corpus, tmp_path / "w", **TINY, **settings),
                                                     tmp_path / "w")
    out = tmp_path / "lm"
    for resume, step in ((False, 7), (True, 8), (True, 60)):
        crash_at(step)
        with pytest.raises(Crash):
            pretrain_corpus(corpus, out, resume=resume, minutes=0, **TINY, **settings)
        assert not out.exists() and (run_folder(out) / "plan.json").exists()
    capsys.readouterr()
    assert pretrain_corpus(out=out, resume=True) == expected
    assert same(weights(out), weights(whole)) and load_bundle(out).config == load_bundle(whole).config
    first = re.search(r"^step (\d+)", capsys.readouterr().out, re.M)
    assert int(first[1]) >= 60  # it went on from there


def test_a_run_that_was_interrupted_before_its_first_checkpoint_starts_its_plan_again(unbroken, corpus, tmp_path,
                                                                                      crash_at):
    crash_at(5)
    with pytest.raises(Crash):
        pretrain_corpus(corpus, tmp_path / "lm", **TINY)
    assert [p.name for p in run_folder(tmp_path / "lm").iterdir() if p.name != "lock"] == ["plan.json"]
    assert pretrain_corpus(corpus, tmp_path / "lm", resume=True, **TINY) == unbroken[0]
    assert same(weights(tmp_path / "lm"), weights(unbroken[1]))


def test_a_bundle_is_there_whole_or_not_at_all(unbroken, corpus, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_record", full)
        with pytest.raises(OSError, match="No space"):
            pretrain_corpus(corpus, tmp_path / "lm", **TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["lm.run"]
    monkeypatch.setattr(monitor.RunProgress, "after_batch", None)  # nothing is trained again
    assert pretrain_corpus(out=tmp_path / "lm", resume=True) == unbroken[0]
    assert same(weights(tmp_path / "lm"), weights(unbroken[1]))


@pytest.fixture
def stopped(corpus, tmp_path, crash_at):
    files = [shutil.copy(file, tmp_path) for file in corpus]
    crash_at(3)
    with pytest.raises(Crash):
        pretrain_corpus(files, tmp_path / "lm", epochs=0.5, **TINY)
    return files, tmp_path / "lm"


@pytest.mark.parametrize(("settings", "told"), [
    ({"lr": 1e-2}, "lr=0.01 for a run that was planned with lr=0.02"), ({"hours": 1.0}, "hours=1.0"),
    ({"emb": 16, "subword": 200}, "emb=16, subword=200"), ({"corpus": ["other.txt"]}, "corpus=.*other.txt")])
def test_other_settings_than_the_plans_are_an_error(stopped, settings, told):
    _, out = stopped
    with pytest.raises(ArgumentError, match=f"E603.*{told}"):
        pretrain_corpus(out=out, resume=True, **settings)


def test_other_texts_than_the_plans_are_an_error(stopped):
    files, out = stopped
    with open(files[0], "a") as f:
        f.write("\n\none more document")
    with pytest.raises(FileError, match="E408.*changed"):
        pretrain_corpus(out=out, resume=True)


def test_a_run_is_not_begun_twice_and_nothing_is_resumed_where_nothing_is(stopped, corpus, tmp_path):
    with pytest.raises(FileError, match="E412.*not finished.*resume=True"):
        pretrain_corpus(corpus, stopped[1], **TINY)
    with pytest.raises(FileError, match="E404.*no interrupted run.*corpus="):
        pretrain_corpus(out=tmp_path / "other", resume=True)
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "config.json").write_text("{}")
    with pytest.raises(FileError, match="E404.*finished"):
        pretrain_corpus(corpus, tmp_path / "done", resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_text("precious")
    for resume in (False, True):
        with pytest.raises(FileError, match="E412.*full.*(something is|whose run)"):
            pretrain_corpus(corpus, tmp_path / "full", resume=resume)
    with pytest.raises(FileError, match="E412.*something is"):
        pretrain_corpus(corpus, tmp_path / "done")
    (tmp_path / "full" / "history.csv").write_text("of my trips")
    shutil.copytree(tmp_path / "full", stopped[1])
    with pytest.raises(FileError, match="E412.*something is"):
        pretrain_corpus(out=stopped[1], resume=True)
    assert (stopped[1] / "photo.jpg").exists()


def test_a_folder_of_something_else_is_never_taken_for_a_run(corpus, tmp_path):
    precious = run_folder(tmp_path / "lm") / "photo.jpg"
    precious.parent.mkdir()
    precious.write_text("precious")
    for files, resume in ((corpus, False), (["no such file"], True)):
        with pytest.raises((TrainingError, FileError)):
            pretrain_corpus(files, tmp_path / "lm", resume=resume)
    assert precious.exists()


def test_a_model_that_changed_is_not_gone_on_with(corpus, tmp_path, crash_at):
    first, settings = tmp_path / "first", {**TINY, "epochs": 0.2}
    pretrain_corpus(corpus[0], first, **settings)
    crash_at(3)
    with pytest.raises(Crash):
        pretrain_corpus(corpus[1], tmp_path / "lm", pretrained=first, bs=8, seq_len=10)
    shutil.rmtree(first)
    pretrain_corpus(corpus[0], first, seed=1, **settings)
    with pytest.raises(FileError, match="E408.*changed.*same model"):
        pretrain_corpus(out=tmp_path / "lm", resume=True)


def test_a_run_that_was_stopped_while_it_tokenized_can_be_resumed_from_its_corpus(corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(TokenStore, "build", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pretrain_corpus(corpus, tmp_path / "lm", epochs=0.2, **TINY)
    pretrain_corpus(corpus, tmp_path / "lm", resume=True, epochs=0.2, **TINY)
    assert (tmp_path / "lm" / "README.md").exists()


def test_documents_to_validate_with_can_be_named(corpus, tmp_path, capsys):
    valid = corpus[0].replace("a.txt", "valid.txt")
    score = pretrain_corpus(corpus, tmp_path / "lm", valid=valid, epochs=0.1, **TINY)
    assert evaluate_lm(load_learner(tmp_path / "lm"), Corpus(valid)) == score
    assert "* measured on: valid.txt\n" in (tmp_path / "lm" / "README.md").read_text()
    data = data_of(corpus=corpus, valid=valid, **TINY)
    assert data.dls.train.n_rows == 120 and data.dls.valid.n_rows == 20 and len(data.names) == 2


def test_what_is_kept_aside_is_not_learned_from(corpus):
    data = data_of(corpus=corpus, subword=104, **TINY)
    train, valid = set(data.dls.train.rows), set(data.dls.valid.rows)
    assert not train & valid and len(train | valid) == 120
    texts = list(Corpus(corpus))
    assert list(data.held_out) == [texts[i] for i in sorted(valid)]
    assert len(data.dls.vocab) == 104 and data.dls.train.ids.unk_rate() == 0


def test_pieces_are_learned_from_what_is_not_kept_aside(tmp_path):
    texts = [f"some words {'of a zebra' if i % 10 == 9 else 'about your'}{' ' * i} here{' ' * (60 - i)}"
             for i in range(60)]  # of one length, and none a copy
    (tmp_path / "c.txt").write_text("\n\n".join(texts))
    vocab = data_of(corpus=str(tmp_path / "c.txt"), subword=56, bs=2, seq_len=4).dls.vocab
    assert "z" not in "".join(vocab) and "y" in "".join(vocab)


def loaders(n_train, n_valid):
    class Loaders:
        train, valid = range(n_train), range(n_valid)

    return Loaders


@pytest.mark.parametrize(("plan", "n_train", "step", "steps"), [
    ({"epochs": 1}, 6000, 1, 6000), ({"epochs": 2.5}, 6000, 1, 15000), ({}, 3, 1, 3), ({"epochs": 0.001}, 10, 1, 1),
    ({"hours": 10}, 100, 2, 18000), ({"hours": 1}, 10**6, 0.5, 7200)])
def test_a_schedule_uses_its_budget_and_validates_as_often_as_is_cheap(plan, n_train, step, steps):
    n_epoch, n_batches = schedule(Plan(corpus="c", **plan), loaders(n_train, 21), step)
    total = n_epoch * n_batches
    checks = n_epoch * 21 / 3 if "hours" in plan else 0
    assert steps - n_epoch - 1 <= total + checks <= steps
    assert n_epoch == min(steps, max(10, min(50, n_epoch))) and (n_epoch <= 10 or n_epoch * 7 <= 0.06 * steps)


@pytest.mark.parametrize(("seconds", "most"), [(30, 1), (140, 4), (3600, 25)])
def test_a_short_run_is_not_spent_on_validation(seconds, most):
    n_epoch, n_batches = schedule(Plan(corpus="c", hours=seconds / 3600), loaders(10**6, 21), 1.0)
    assert n_epoch <= most and n_epoch * n_batches >= 0.75 * seconds


def test_time_that_is_gone_is_no_time_to_train():
    long, short = (schedule(Plan(corpus="c", hours=1), loaders(9, 3), 1.0, spent) for spent in (0, 1800))
    assert long[0] * long[1] - short[0] * short[1] == pytest.approx(1800, abs=110)
    with pytest.raises(ArgumentError, match="E602.*0.01 hours"):
        schedule(Plan(corpus="c", hours=0.01), loaders(9, 3), 1.0, 40)


def test_hours_become_steps_by_measured_speed_and_are_kept_in_the_plan(corpus, tmp_path, monkeypatch, crash_at):
    monkeypatch.setattr(run, "step_seconds", lambda *args: 0.25)
    crash_at(3)
    with pytest.raises(Crash):
        pretrain_corpus(corpus, tmp_path / "lm", hours=0.01, **TINY)
    monkeypatch.setattr(run, "step_seconds", None)  # it is not asked again
    plan = Plan.load(run_folder(tmp_path / "lm"))
    assert 36 < plan.n_epoch * plan.n_batches <= 144 and plan.hours == 0.01
    pretrain_corpus(out=tmp_path / "lm", resume=True, hours=0.01)
    assert f"{plan.n_epoch * plan.n_batches} steps" in (tmp_path / "lm" / "README.md").read_text()


@pytest.mark.parametrize("values", [{"lr": 0}, {"bs": -1}, {"hours": float("nan")}, {"epochs": 0}, {"subword": 0}])
def test_values_that_cannot_work_are_an_error_before_anything_is_read(values, tmp_path):
    with pytest.raises(ArgumentError, match=f"E60.*{next(iter(values))}"):
        pretrain_corpus(["no such file"], tmp_path / "lm", **values)


def test_a_run_has_one_budget():
    with pytest.raises(ArgumentError, match="E603.*hours=1 and epochs=1"):
        Plan(corpus="c", hours=1, epochs=1)


def test_a_plan_comes_back_as_it_was_saved(tmp_path):
    plan = Plan(corpus=["a", "b"], valid="v", hours=1.5, tokenizer={"tok": 1}, data=["x"], n_epoch=3, n_batches=4)
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan and plan.valid == (str(Path("v").absolute()),) and plan.data == ("x",)
    (tmp_path / "plan.json").write_text('{"corpus": ["a"], "colour": "red"}')
    with pytest.raises(FileError, match="E401.*colour"):
        Plan.load(tmp_path)


@pytest.mark.parametrize(("name", "value", "told"), [
    ("arch", "nobody", "nobody"), ("softmax", "smapled", "'smapled'.*sampled"),
    ("precision", "fp8", "'fp8'.*auto, fp32"), ("drop_mult", 9, "drop_mult=9")])
def test_a_name_that_is_unknown_is_an_error_before_anything_is_read(tmp_path, name, value, told):
    with pytest.raises(ArgumentError, match=f"E60.*{told}"):
        pretrain_corpus(["no such file"], tmp_path / "lm", **{name: value})


@pytest.mark.parametrize(("chosen", "now"), [("fp32", "bf16"), ("bf16", "fp32")])
def test_a_plan_keeps_the_precision_that_auto_chose_and_a_run_resumes_from_another_folder(
        corpus, tmp_path, crash_at, monkeypatch, chosen, now):
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", chosen)
    monkeypatch.chdir(Path(corpus[0]).parent)
    crash_at(3)
    with pytest.raises(Crash):
        pretrain_corpus("b.txt", tmp_path / "lm", epochs=0.5, **TINY)
    monkeypatch.chdir(tmp_path)
    assert Plan.load(run_folder("lm")).precision == chosen
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", now)  # as on another processor
    pretrain_corpus(out="lm", resume=True, precision="auto")
    assert f"sampled, {chosen}, 0" in (tmp_path / "lm" / "README.md").read_text()


def test_another_seed_gives_another_model(corpus, unbroken, tmp_path):
    assert pretrain_corpus(corpus, tmp_path / "lm", seed=1, **TINY) != unbroken[0]


def shout(text):
    return text.upper()


def test_a_tokenizer_that_no_file_holds_is_asked_for_by_the_argument_that_takes_it(tmp_path):
    texts = recipes_tiny.TEXTS[:20]
    own = Tokenizer(BaseTokenizer(), rules=[shout])
    dls = lm_data(texts, recipes_tiny.TINY, tok_tfm=own, seed=0, cache_dir=False)
    folder = new_lm(dls, recipes_tiny.TINY, verbose=False, path=tmp_path).export("lm")
    with pytest.raises(FileError, match=r"E402.*'shout'.*Fix: pass tok_tfm=Tokenizer"):
        lm_data(texts, recipes_tiny.TINY, folder)
    assert lm_data(texts, recipes_tiny.TINY, folder, tok_tfm=own, seed=0, cache_dir=False).tokenizer.tok is own.tok


def test_a_corpus_is_read_twice_and_only_once_if_its_tokens_are_kept(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path))
    opened, read = [], text_corpus.lines_of
    monkeypatch.setattr(text_corpus, "lines_of", lambda file: opened.append(str(file)) or read(file))
    for n in (2, 1):
        opened.clear()
        found = data_of(corpus=tuple(corpus), bs=8, seq_len=10, min_freq=1)
        assert sorted(opened) == sorted(corpus * n)
        assert [(name, n_docs) for name, n_docs, _ in found.files] == [("a.txt", 80), ("b.txt", 40)]
