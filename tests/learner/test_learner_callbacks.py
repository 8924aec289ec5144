"""The callbacks: each one's effect, measured."""

import io
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from learner_toys import At, classifier, lm, regression, same, state, three_classes
from torch import nn

import ulmfit_easy.all as m
from ulmfit_easy.bundle import artefact
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.fastai.callbacks import ShortEpochCallback
from ulmfit_easy.fastai.loggers import CSVLogger
from ulmfit_easy.learner.callbacks.precision import MixedPrecision
from ulmfit_easy.learner.callbacks.progress import format_value
from ulmfit_easy.learner.callbacks.tracking import EarlyStoppingCallback, SaveModelCallback, TrackerCallback
from ulmfit_easy.learner.callbacks.training import GradientAccumulation, GradientClip
from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat
from ulmfit_easy.learner.optim.optimizer import SGD
from ulmfit_easy.learner.optim.schedule import ParamScheduler
from ulmfit_easy.learner.text import load_learner


def test_gradient_clip_bounds_the_norm_and_nothing_else():
    norms = []

    def note():
        norms.append(torch.stack([p.grad.norm() for p in learn.model.parameters()]).norm().item())

    watch = At("before_step", note)
    watch.order = 99
    learn = regression()
    learn.fit(1, 0.0, cbs=[GradientClip(0.5), watch])
    clipped = list(norms)
    norms.clear()
    learn.fit(1, 0.0, cbs=watch)
    assert max(norms) > 0.5 and clipped == pytest.approx([min(0.5, n) for n in norms], rel=1e-4)


@pytest.mark.parametrize("opt_func", [SGD, None])
def test_accumulated_small_batches_make_the_step_of_one_large_batch(opt_func):
    options = {} if opt_func is None else {"opt_func": opt_func}
    small, large = regression(bs=4, **options), regression(bs=16, **options)
    small.fit(3, 0.05, cbs=GradientAccumulation(16))
    large.fit(3, 0.05)
    for p, q in zip(small.model.parameters(), large.model.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_accumulation_steps_for_the_rows_left_at_the_end_of_an_epoch():
    steps = []
    regression(n=28, bs=4).fit(2, cbs=[GradientAccumulation(12), At("after_step", lambda: steps.append(1))])
    assert len(steps) == 2 * 3  # 12 + 12 + 4 rows


def test_rows_that_wait_when_an_epoch_is_cancelled_do_not_reach_the_next_one():
    learn, clean = regression(), []  # epochs of three batches of 8 rows: a step after two
    look = At("before_batch", lambda: clean.append(all(p.grad is None for p in learn.model.parameters())))
    look.run_valid = False
    learn.fit(2, 0.1, cbs=[GradientAccumulation(16), ShortEpochCallback(0.75), look])
    assert clean == [True, False, True] * 2


@pytest.mark.parametrize("make", [lambda: lm(), lambda: classifier()])
def test_bf16_trains_on_a_cpu_with_float32_weights(make):
    learn, seen = make(), []
    learn.to_bf16()
    note = At("after_pred", lambda: seen.append((torch.is_autocast_enabled("cpu"), learn.training)))
    learn.fit_one_cycle(6, 2e-2, cbs=note)
    losses = [row[1] for row in learn.recorder.values]
    assert losses[-1] < losses[0] and not torch.is_autocast_enabled("cpu")
    assert all(on == training for on, training in seen)
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert learn.to_fp32().precision == "fp32"


@pytest.mark.parametrize(("fast", "forced", "of_lm", "of_classifier"), [
    (False, None, "fp32", "fp32"), (True, None, "bf16", "fp32"), (True, "auto", "bf16", "fp32"),
    (True, "fp32", "fp32", "fp32"), (False, "bf16", "bf16", "bf16"),
])  # fmt: skip
def test_precision_comes_from_argument_environment_or_processor(monkeypatch, fast, forced, of_lm, of_classifier):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": fast}, raising=False)
    if forced is None:
        monkeypatch.delenv("ULMFIT_EASY_PRECISION", raising=False)
    else:
        monkeypatch.setenv("ULMFIT_EASY_PRECISION", forced)
    assert (lm().precision, classifier().precision) == (of_lm, of_classifier)
    assert lm(precision="fp32").precision == "fp32" and classifier(precision="bf16").precision == "bf16"


@pytest.mark.parametrize("make", [lm, classifier])
def test_a_precision_that_does_not_exist_is_refused(make, monkeypatch):
    with pytest.raises(ArgumentError, match="E602.*'fp8'.*auto.*fp16"):
        make(precision="fp8")
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", "half")
    with pytest.raises(ArgumentError, match="E602.*ULMFIT_EASY_PRECISION=half.*bf16"):
        make()


@pytest.mark.parametrize("make", [lm, classifier])
@pytest.mark.parametrize("first", ["fp32", "bf16"])
def test_of_several_callbacks_for_mixed_precision_the_last_one_acts(make, first):
    learn, seen = make(precision=first), []
    note = At("after_pred", lambda: seen.append(torch.is_autocast_enabled("cpu")))
    note.run_valid = False
    learn.fit(1, 1e-2, cbs=[MixedPrecision(), note])
    assert seen and all(seen) and not torch.is_autocast_enabled("cpu")
    assert learn.precision == first


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_bundle_keeps_the_precision_that_it_was_trained_in(precision, tmp_path):
    learn = classifier(precision=precision, path=tmp_path)
    loaded = load_learner(learn.export())
    assert loaded.precision == precision
    assert torch.equal(loaded.predict("a b c").probs, learn.predict("a b c").probs)


def test_fp16_on_a_cpu_warns_and_trains_in_float32():
    plain, fp16 = regression(), regression().to_fp16()
    plain.fit(1, 0.1)
    with pytest.warns(UserWarning, match="float16 needs a GPU"):
        fp16.fit(1, 0.1)
    assert fp16.recorder.losses == plain.recorder.losses


def test_an_unknown_precision_is_refused():
    with pytest.raises(ArgumentError, match="E60"):
        MixedPrecision("fp8")


def plain_penalty(raw, out, mask, alpha, beta):
    """AR and TAR over real positions, word by word."""
    ar, tar = [], []
    for b in range(len(raw)):
        for t in range(raw.shape[1]):
            if not mask[b, t]:
                ar += (out[b, t] ** 2).tolist()
                if t + 1 < raw.shape[1] and not mask[b, t + 1]:
                    tar += ((raw[b, t + 1] - raw[b, t]) ** 2).tolist()
    return alpha * np.mean(ar) + beta * np.mean(tar)


@pytest.mark.parametrize("make", [lm, classifier])
def test_the_regulariser_equals_a_plain_reference_and_leaves_the_logged_loss_alone(make):
    learn, pairs = make(alpha=3.0, beta=0.7), []

    def compare():
        rnn = learn.rnn
        mask = torch.zeros(rnn.raw_out.shape[:2]) if rnn.mask is None else rnn.mask
        expected = plain_penalty(rnn.raw_out.detach(), rnn.out.detach(), mask, 3.0, 0.7)
        pairs.append((learn.loss_grad.item() - learn.loss.item(), expected, learn.training))

    watch = At("after_loss", compare)
    watch.order = 50
    learn.fit(1, 1e-2, cbs=watch)
    for added, expected, training in pairs:
        assert added == pytest.approx(expected if training else 0, rel=1e-3, abs=1e-6)
    assert {training for *_, training in pairs} == {True, False}


def test_a_frozen_encoder_is_not_regularised():
    learn = classifier()
    learn.freeze()
    watch = At("after_loss", lambda: added.append(learn.loss_grad.item() - learn.loss.item()))
    watch.order, added = 50, []
    learn.fit(1, 1e-2, cbs=watch)
    assert set(added) == {0}


def test_the_csv_log_has_the_rows_of_the_table(tmp_path):
    learn = regression(path=tmp_path, metrics=m.mae, cbs=CSVLogger("logs/run.csv", append=True))
    learn.fit(2, 0.1)
    first = learn.recorder.values
    learn.fit(1, 0.1)
    df = learn.csv_logger.read_log()
    assert list(df) == ["epoch", "train_loss", "valid_loss", "mae", "time"]
    assert df.iloc[:, 1:4].to_numpy() == pytest.approx(np.array(first + learn.recorder.values))


def test_a_failed_fit_leaves_a_log_of_the_epochs_that_it_had(tmp_path):
    learn, log = regression(path=tmp_path), CSVLogger()
    with pytest.raises(ZeroDivisionError):
        learn.fit(3, cbs=[log, At("before_train", lambda: 1 / 0, at=2)])
    assert log.read_log()["epoch"].tolist() == [0, 1] and log.text == (tmp_path / "history.csv").read_bytes().decode()


def test_the_best_weights_are_saved_and_loaded_again(tmp_path):
    learn, weights = regression(path=tmp_path), []
    note = At("after_epoch", lambda: weights.append(state(learn.model)))
    diverge = At("before_epoch", lambda: learn.opt.set_hyper("lr", 0.05 if learn.epoch < 3 else 50.0))
    learn.fit(5, 0.05, cbs=[SaveModelCallback(), note, diverge])
    losses = [row[1] for row in learn.recorder.values]
    assert np.argmin(losses) == 2 and same(state(learn.model), weights[2])


@pytest.mark.parametrize("every_epoch", [True, False])
def test_every_epoch_and_the_end_have_files_of_their_own(tmp_path, every_epoch):
    learn = regression(path=tmp_path)
    learn.fit(2, 0.1, cbs=SaveModelCallback(every_epoch=every_epoch, at_end=True))
    names = {f.stem for f in (tmp_path / "models").iterdir()}
    assert names == ({"model_0", "model_1", "model"} if every_epoch else {"model"})


def test_best_weights_that_another_fit_replaced_are_not_loaded(tmp_path):
    learn, other, kept = regression(path=tmp_path), regression(path=tmp_path), {}
    cbs = [SaveModelCallback(), At("after_train", lambda: kept.update(state(learn.model))),
           At("after_fit", lambda: other.save("model"))]
    with pytest.warns(UserWarning, match="not what this fit saved"):
        learn.fit(2, 0.1, cbs=cbs)
    assert same(state(learn.model), kept) and not same(kept, state(other.model))


def test_best_weights_that_are_replaced_once_they_are_read_are_those_of_this_fit(tmp_path, monkeypatch):
    learn, other, best = regression(path=tmp_path), regression(path=tmp_path / "other"), {}
    theirs, file = other.save("model").read_bytes(), tmp_path / "models/model.safetensors"

    def replacing(read):
        def once(place, *args, **kwargs):
            found = read(place, *args, **kwargs)
            if best and Path(place) == file:
                file.write_bytes(theirs)
            return found
        return once

    for owner, name in ((Path, "read_bytes"), (artefact, "read_tensors")):
        monkeypatch.setattr(owner, name, replacing(getattr(owner, name)))
    learn.fit(1, 0.1, cbs=[SaveModelCallback(), At("after_epoch", lambda: best.update(state(learn.model)))])
    assert file.read_bytes() == theirs and same(state(learn.model), best)


def test_training_stops_when_nothing_improves():
    learn = regression()
    learn.fit(20, 0.0, cbs=EarlyStoppingCallback(patience=3))
    assert len(learn.recorder.values) == 1 + 3
    learn.fit(6, 0.01, cbs=EarlyStoppingCallback(patience=3))
    assert len(learn.recorder.values) == 6


@pytest.mark.parametrize(("monitor", "lower"), [("valid_loss", True), ("accuracy", False), ("perplexity", True),
                                                ("error_rate", True), ("mae", True), ("f1_score", False)])
def test_whether_lower_is_better_follows_from_the_name(monitor, lower):
    learn = three_classes(metrics=[m.accuracy, m.Perplexity(), m.error_rate, m.F1Score(average="macro"), m.mae])
    tracker = TrackerCallback(monitor)
    learn.add_cbs(tracker)
    tracker.before_fit()
    assert tracker.lower is lower


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ArgumentError, match="E604.*valid_loss"):
        regression().fit(1, cbs=SaveModelCallback("acuracy"))


def test_every_measure_of_a_table_without_times_can_be_followed():
    learn = three_classes(metrics=m.accuracy)
    learn.recorder.add_time = False
    learn.fit(2, 0.1, cbs=[tracker := TrackerCallback("accuracy")])
    assert tracker.best == max(row[-1] for row in learn.recorder.values)
    with pytest.raises(ArgumentError, match="E604.*train_loss, valid_loss, accuracy"):
        learn.fit(1, cbs=TrackerCallback("epoch"))


def test_an_epoch_without_validation_is_never_the_best():
    learn = regression()
    learn.dls.valid.dl = []
    learn.fit(2, 0.1, cbs=[tracker := EarlyStoppingCallback(patience=5)])
    assert tracker.best == math.inf


def test_the_recorder_keeps_each_batch_and_each_epoch():
    raw = []
    learn = regression(metrics=[m.mse, m.mae])
    learn.fit(2, 0.1, cbs=At("after_batch", lambda: raw.append(learn.loss.item()) if learn.training else None))
    r, smooth, expected = learn.recorder, 0.0, []
    for i, loss in enumerate(raw, 1):
        smooth = 0.98 * smooth + 0.02 * loss
        expected.append(smooth / (1 - 0.98**i))
    assert r.losses == pytest.approx(expected) and r.lrs == [0.1] * 8 and r.iters == [4, 8]
    assert r.metric_names == ["epoch", "train_loss", "valid_loss", "mse", "mae", "time"]
    assert r.values[-1][0] == r.losses[-1] and r.values[-1][1] == pytest.approx(r.values[-1][2])
    assert r.log[0] == 1 and r.value_of("mae") == r.values[-1][3] and re.fullmatch(r"\d+:\d\d", r.log[-1])


def test_a_log_file_gets_a_header_and_aligned_rows_and_no_bar(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    learn = regression(metrics=m.mae)
    learn.verbose = True
    monkeypatch.setattr(sys, "stdout", out), monkeypatch.setattr(sys, "stderr", err)
    learn.fit(3, 0.1)
    lines = out.getvalue().splitlines()
    assert err.getvalue() == "" and len(lines) == 4 and "\r" not in out.getvalue()
    assert lines[0].split() == learn.recorder.metric_names and len({len(line) for line in lines}) == 1
    assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2"]


def test_huge_numbers_fit_into_their_column():
    assert [format_value(v) for v in (None, 3, 0.5, 12345.678, -1e9, math.inf, math.nan)] == [
        "", "3", "0.5000", "12345.6780", "-1.000e+09", "inf", "nan"]
    assert all(len(format_value(v)) <= 10 for v in (1e300, 99999.9, -1e9))


# --- metrics ------------------------------------------------------------------------------------------------


def test_class_metrics_equal_scikit_learns():
    from sklearn import metrics as sk

    ours = [m.accuracy, m.error_rate, m.F1Score(average="macro"), m.Precision(average="macro"),
            m.Recall(average="macro"), m.MatthewsCorrCoef(), m.RocAuc()]
    learn = three_classes(n=45, metrics=ours)
    learn.fit(3, 0.05)
    probs, targets = (t.numpy() for t in learn.get_preds())
    said = probs.argmax(1)
    assert learn.validate()[1:] == pytest.approx([
        sk.accuracy_score(targets, said), 1 - sk.accuracy_score(targets, said),
        sk.f1_score(targets, said, average="macro"),
        sk.precision_score(targets, said, average="macro", zero_division=0),
        sk.recall_score(targets, said, average="macro"), sk.matthews_corrcoef(targets, said),
        sk.roc_auc_score(targets, probs, multi_class="ovr")], abs=1e-6)


def test_metrics_of_several_labels_equal_scikit_learns():
    from sklearn import metrics as sk

    y = torch.randint(2, (50, 3), generator=torch.Generator().manual_seed(1)).float()
    learn = three_classes(n=50, targets=y, loss_func=BCEWithLogitsLossFlat(),
                          metrics=[m.accuracy_multi, m.F1Score(average="macro"), m.RocAuc()])
    probs, targets = (t.numpy() for t in learn.get_preds())
    assert learn.validate()[1:] == pytest.approx([
        ((probs > 0.5) == targets.astype(bool)).mean(), sk.f1_score(targets, probs > 0.5, average="macro"),
        sk.roc_auc_score(targets, probs)], abs=1e-6)


def test_an_average_weighs_each_batch_by_its_rows():
    learn = regression(n=10, bs=8, metrics=m.mse)  # batches of 8 and 2
    preds, targets = learn.get_preds()
    assert learn.validate() == pytest.approx([(preds - targets).pow(2).mean().item()] * 2)


def test_a_metric_may_be_any_function_or_a_class():
    class Rows(m.Metric):
        _name, value = "rows", 0

        def accumulate(self, learn):
            self.value += len(learn.yb[0])

    learn = regression(metrics=[Rows, nn.functional.l1_loss])
    learn.fit(1, 0.1)
    assert learn.recorder.metric_names[3:-1] == ["rows", "l1_loss"] and learn.recorder.values[0][2] == 32


def test_a_tracker_keeps_its_best_over_fits_if_told_so():
    for reset, epochs in ((True, 2), (False, 1)):
        stop = EarlyStoppingCallback(patience=1, reset_on_fit=reset)
        learn = regression(cbs=[stop])
        learn.fit(1, 0.1)
        stop.best = 0.0  # nothing can be better
        learn.fit(2, 0.1)
        assert len(learn.recorder.values) == epochs


def test_sklearn_metrics_take_the_likeliest_class_of_a_plain_loss_and_refuse_a_language_model():
    learn = three_classes(loss_func=nn.CrossEntropyLoss(), metrics=[m.F1Score(average="macro"), m.accuracy])
    ours = three_classes(metrics=[m.F1Score(average="macro"), m.accuracy])
    assert learn.validate()[1:] == ours.validate()[1:]
    with pytest.raises(ArgumentError, match="E603.*Perplexity"):
        lm(metrics=[m.F1Score()]).validate()


def test_two_schedulers_are_both_recorded():
    learn = regression()
    learn.fit_one_cycle(1, 0.1, cbs=ParamScheduler({"wd": lambda pos: 0.1 * pos}))
    assert set(learn.recorder.hps) == {"lr", "mom", "wd"}
