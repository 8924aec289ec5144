"""A preset's phases are what the learner runs, and the time estimate leaves no trace."""

import copy
import json
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from recipes_tiny import DF, TINY

from ulmfit_easy.bundle.artefact import load_bundle, save_bundle
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.recipes.corpus import monitor
from ulmfit_easy.recipes.estimate import Estimate, estimated_seconds, time_told
from ulmfit_easy.recipes.presets import Phase
from ulmfit_easy.recipes.stages import (
    classifier_data,
    finetune_classifier,
    finetune_lm,
    lm_data,
    new_classifier,
    new_lm,
    pretrain_lm,
    run_phases,
)


@pytest.fixture(scope="module")
def dls_lm():
    return TextDataLoaders.from_df(DF, text_col="text", is_lm=True, valid_pct=0.1, seed=0, bs=8, seq_len=16,
                                   min_freq=1, cache_dir=False)


@pytest.fixture(scope="module")
def dls(dls_lm):
    return TextDataLoaders.from_df(DF, text_col="text", label_col="label", valid_pct=0.1, seed=0, bs=32, seq_len=16,
                                   text_vocab=dls_lm.vocab, cache_dir=False)


def quiet(learn):
    learn.verbose = False
    return learn


class Spy(Callback):
    """Notes, at each fit, what trains and with which numbers, and the first and highest rate."""

    order = 70
    fits = ()

    def before_fit(self):
        clips = [cb.max_norm for cb in self.learn.cbs if isinstance(cb, GradientClip)]
        self.fits = [*self.fits, {"trains": [i for i, g in enumerate(self.opt.param_groups) if _trains(g, self.opt)],
                                  "clip": clips, "wd": self.opt.hypers[0]["wd"], "moms": [], "lrs": []}]

    def before_step(self):
        self.fits[-1]["moms"].append(self.opt.hypers[-1]["mom"])
        self.fits[-1]["lrs"].append([h["lr"] for h in self.opt.hypers])


def _trains(group, opt):
    return any(p.requires_grad for p in group if id(p) not in opt._always)


def test_each_phase_trains_its_groups_with_clip_decay_and_constant_momentum(dls):
    learn = quiet(new_classifier(dls, TINY))
    learn.add_cbs(Spy())
    phases = tuple(Phase(1, 1e-2, freeze_to=n, factor=2.6, schedule="stlr") for n in (-1, -2, 0))
    assert run_phases(learn, phases, mom=0.65, moms=(0.8, 0.7, 0.8), wd=1e-3, clip=5.0) is learn
    fits = learn.spy.fits
    assert [f["trains"] for f in fits] == [[3], [2, 3], [0, 1, 2, 3]]
    assert all(f["clip"] == [5.0] and f["wd"] == 1e-3 and set(f["moms"]) == {0.65} for f in fits)
    top = np.array(fits[2]["lrs"])  # (steps, groups)
    assert top.max(0) == pytest.approx([1e-2 / 2.6**k for k in (3, 2, 1, 0)])
    assert top[0, -1] == pytest.approx(1e-2 / 32)  # slanted triangle: from lr / ratio
    assert not any(isinstance(cb, GradientClip) for cb in learn.cbs)  # it was there for the fit only


def test_one_cycle_phases_cycle_the_momentum_and_need_no_clip(dls):
    learn = quiet(new_classifier(dls, TINY))
    learn.add_cbs(Spy())
    run_phases(learn, (Phase(2, 1e-2),), mom=0.1, moms=(0.8, 0.7, 0.8), wd=0.01, clip=None)
    (fit,) = learn.spy.fits
    assert fit["clip"] == [] and fit["moms"][0] == pytest.approx(0.8) and 0.7 <= min(fit["moms"]) < 0.73
    assert fit["lrs"][0][-1] == pytest.approx(1e-2 / 25)
    assert all(len(set(lrs)) == 1 for lrs in fit["lrs"])  # factor 1: one rate for all groups


@pytest.mark.parametrize(("name", "value", "code"), [
    ("schedule", "warmup", "E602"), ("epochs", 1.5, "E602"), ("lr", "fast", "E601"), ("divisors", 3, "E601"),
    ("cut_frac", 2, "E602")])
def test_a_phase_that_cannot_work_is_refused_when_it_is_made(name, value, code):
    with pytest.raises(ArgumentError, match=f"{code}.*{name}={value!r}"):
        Phase(**{"epochs": 1, "lr": 1e-2, name: value})


def test_each_stage_runs_its_own_phases(dls_lm, dls, tmp_path):
    p = replace(TINY, lm_wd=0.03, clas_wd=0.04, lm_clip=0.3, clas_clip=25.0)
    lm = quiet(new_lm(dls_lm, p))
    lm.add_cbs(Spy())
    finetune_lm(pretrain_lm(lm, p), p)
    assert [f["trains"] for f in lm.spy.fits] == [[0, 1, 2], [2]]
    assert all(f["wd"] == 0.03 and f["clip"] == [0.3] for f in lm.spy.fits)
    clas = quiet(new_classifier(dls, p, lm))
    assert torch.equal(clas.encoder.state_dict()["encoder.weight"], lm.encoder.state_dict()["encoder.weight"])
    clas.add_cbs(Spy())
    finetune_classifier(clas, p)
    assert [f["trains"] for f in clas.spy.fits] == [[3], [0, 1, 2, 3]]
    assert all(f["wd"] == 0.04 and f["clip"] == [25.0] for f in clas.spy.fits)


def test_without_gradual_unfreezing_all_groups_train_at_one_rate(dls):
    learn = quiet(new_classifier(dls, TINY))
    learn.add_cbs(Spy())
    finetune_classifier(learn, TINY, gradual=False)
    assert [f["trains"] for f in learn.spy.fits] == [[0, 1, 2, 3]] * 2
    assert all(len(set(lrs)) == 1 for f in learn.spy.fits for lrs in f["lrs"])


def test_a_pretrained_model_brings_its_sizes(dls_lm, tmp_path, capsys):
    folder = new_lm(dls_lm, TINY).export((tmp_path / "lm").absolute())
    again = new_lm(dls_lm, replace(TINY, config={"emb_sz": 99}), folder)
    assert {**TINY.config, **TINY.lm_config}.items() <= again.encoder.settings.items()
    assert again.opt.frozen_idx == 2
    assert "It knows 202 of the 202 different words" in capsys.readouterr().out


OURS = {"format": 1, "kind": "language_model", "arch": "AWD_LSTM", "model": {"config": {}}}


@pytest.mark.parametrize("change", [
    {"model": 3}, {"arch": 5}, {"model": {"config": 5}}, {"model": {"config": [["emb_sz"]]}}, {"data": "x"}])
def test_a_folder_that_does_not_tell_how_its_model_is_built_is_a_coded_error(dls_lm, tmp_path, change):
    folder = new_lm(dls_lm, TINY, verbose=False).export((tmp_path / "lm").absolute())
    _, vocab, weights = load_bundle(folder)
    save_bundle(folder, weights, vocab, {**OURS, **change})
    with pytest.raises(FileError, match="E401"):
        new_lm(dls_lm, TINY, folder)


@pytest.mark.parametrize(("config", "code"), [([], "E401"), ({}, "E401"), ({"format": 1}, "E402"), (OURS, "E402")])
def test_settings_that_are_not_those_of_the_weights_are_a_coded_error(dls_lm, tmp_path, config, code):
    folder = new_lm(dls_lm, TINY, verbose=False).export((tmp_path / "lm").absolute())
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileError, match=code):
        new_lm(dls_lm, TINY, folder)


def test_what_is_no_place_of_a_model_is_a_coded_error(dls_lm, tmp_path):
    with pytest.raises(FileError, match="E404"):
        new_lm(dls_lm, TINY, tmp_path / "no")
    with pytest.raises(ArgumentError, match="E601.*pretrained=True.*its path"):
        new_lm(dls_lm, TINY, True)


@pytest.mark.parametrize("state", ["new", "trained", "frozen"])
def test_estimated_seconds_is_positive_and_leaves_everything_bit_identical(dls_lm, dls, state):
    lm = quiet(new_lm(dls_lm, TINY))
    if state != "new":
        pretrain_lm(lm, TINY)
    if state == "frozen":
        lm.freeze()

    def picture():
        weights = {k: v.clone() for k, v in lm.model.state_dict().items()}
        opt = None if lm.opt is None else copy.deepcopy(lm.opt.state_dict())
        needs = [p.requires_grad for p in lm.model.parameters()]
        rng = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
        return weights, opt, needs, rng, copy.deepcopy(dls_lm.train.state_dict()), lm.model.training

    before = picture()
    assert min(estimated_seconds(lm, TINY.pretrain, dls, TINY)) > 0
    torch.testing.assert_close(picture(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("n", "words"), [(40, 1), (40, 60), (300, 10)])
def test_the_estimate_is_near_the_real_time(n, words, monkeypatch):
    """On a clock that goes on with the encoder alone: a constant for each window, and its share for each token.

    Other programs take most of the processor in the meantime, which is no time of this one.
    """
    now, forward = [0.0], AWD_LSTM.forward

    def timed(self, ids, **kwargs):
        trained = torch.is_grad_enabled() and next(self.rnns.parameters()).requires_grad
        now[0] += (0.02 + ids.numel() / 10_000) * (3 if trained else 1)
        return forward(self, ids, **kwargs)

    monkeypatch.setattr(AWD_LSTM, "forward", timed)
    monkeypatch.setattr(monitor.time, "perf_counter", lambda: 8 * now[0])
    monkeypatch.setattr(monitor.time, "thread_time", lambda: now[0])
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["good", "bad", "film"], rng.integers(1, 2 * words + 1))) + f" {i}" for i in range(n)]
    df = pd.DataFrame({"text": texts, "label": ["a", "b"] * (n // 2)})
    lm = new_lm(lm_data(texts, TINY, seed=0, device="cpu"), TINY, verbose=False)
    data = classifier_data(df, TINY, lm, seed=0, device="cpu")
    *told, times = estimated_seconds(lm, TINY.pretrain, data, TINY)
    start = now[0]
    finetune_classifier(new_classifier(data, TINY, pretrain_lm(lm, TINY), verbose=False), TINY)
    assert 0.7 < sum(told) / (now[0] - start) < 1.4 and times == pytest.approx(8)


@pytest.mark.parametrize(("seconds", "times", "told"), [
    (300, 1.1, "about 5 minutes on this machine, longer if other programs run"),
    (300, 2, "about 5 minutes on this machine, or about 10 minutes if other programs stay as busy as now"),
    (10, 2, "less than a minute on this machine, longer if other programs run")])
def test_the_time_is_told_for_a_machine_that_stays_as_busy_as_it_is(seconds, times, told):
    assert time_told(seconds, times).replace(", by the processor time of a few steps", "") == told
    assert Estimate(0, seconds, times).told() == time_told(seconds, times)


@pytest.mark.parametrize(("taken", "left", "told"), [
    (240, 1, "Stage 2 took about 4 minutes. At this pace the rest takes about 8 minutes."),  # four times as long
    (30, 2, "Stage 2 took less than a minute. At this pace the rest takes about 5 minutes."), (1, 0, "")])
def test_a_stage_that_was_slow_corrects_the_estimate(taken, left, told):
    assert Estimate(60, 120 if left else 9, 1).corrected(taken, max(1, left)) == told


def test_a_loss_that_is_no_number_stops_a_recipe(dls_lm):
    learn = new_lm(dls_lm, TINY, verbose=False)
    with torch.no_grad():
        learn.model[1].decoder.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="E501"):
        pretrain_lm(learn, TINY)
