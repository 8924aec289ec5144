"""Rates that fall where nothing improves, and plots of a fit."""

import operator

import numpy as np
import pytest
import torch
from learner_toys import At, lm, raises, regression

from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.tracking import ReduceLROnPlateau

# --- plateaus ---------------------------------------------------------------------------------------------------


def rates_by_epoch(values, lr=1.0, **kwargs):
    """The rate in each epoch of a fit whose metric takes these values."""
    left, rates = iter(values), []
    learn = regression(metrics=lambda pred, target: now[0])
    now = [0.0]
    learn.metrics[0]._name = "score"
    start = At("before_validate", lambda: now.__setitem__(0, next(left)))
    note = At("before_train", lambda: rates.append(learn.opt.hypers[-1]["lr"]))
    learn.fit(len(values), lr, cbs=[start, note, ReduceLROnPlateau(monitor="score", **kwargs)])
    return rates, learn


def test_rates_fall_where_nothing_improves():
    rates, _ = rates_by_epoch([1, 2, 2, 3, 3, 3, 3], patience=1, factor=10)
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.001])
    rates, _ = rates_by_epoch([1, 1, 1, 1, 1, 2], patience=2, factor=2, min_lr=0.4)
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.4])
    assert rates_by_epoch([3, 2, 1, 0], comp=np.less)[0] == [1] * 4


def test_every_group_keeps_its_share_and_none_is_raised(capsys):
    def rise(pred, target):
        return 1.0

    learn = lm(metrics=rise)
    learn.verbose = True
    learn.fit(3, [1e-4, 4e-3, 1e-2], cbs=ReduceLROnPlateau("rise", factor=4, min_lr=1e-3))
    assert [h["lr"] for h in learn.opt.hypers] == pytest.approx([1e-4, 1e-3, 1e-3])
    assert "No improvement of rise for 1 epochs: going on from epoch 1 at rate 0.0025" in capsys.readouterr().out


def test_a_plateau_goes_on_after_a_crash(tmp_path):
    def fit(seed, *cbs):
        learn = regression(path=tmp_path)
        torch.manual_seed(seed)
        learn.fit(5, 0.1, cbs=[ReduceLROnPlateau(comp=operator.gt, patience=2), *cbs])  # it never improves
        return [h["lr"] for h in learn.opt.hypers], learn.recorder.lrs

    whole = fit(0)
    with pytest.raises(ValueError):
        fit(0, CheckpointCallback("run", every=1), At("after_step", raises(ValueError()), at=9))
    assert fit(1, CheckpointCallback("run", resume=True)) == whole and whole[0] == pytest.approx([0.001])


def test_plots_take_fastais_options():
    pytest.importorskip("matplotlib").use("Agg")
    learn = regression()
    learn.fit_one_cycle(2, 0.1)
    ax = learn.recorder.plot_loss(0, log=True, show_epochs=True)
    assert ax.get_yscale() == "log" and [line.get_xdata()[0] for line in ax.lines[2:]] == learn.recorder.iters == [4, 8]
    axes = learn.recorder.plot_sched(figsize=(3, 2))
    assert len(axes) == 2 and axes[0].figure.get_size_inches().tolist() == [3, 2]
