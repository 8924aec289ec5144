"""The wing's callbacks: short epochs, later starts, frozen norms, and what a fit has seen."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from learner_toys import At, regression, state, three_classes
from torch import nn

from ulmfit_easy.fastai.callbacks import (
    BnFreeze,
    CollectDataCallback,
    FetchPredsCallback,
    ShortEpochCallback,
    ShowGraphCallback,
    SkipToEpoch,
)


@pytest.mark.parametrize(("pct", "n"), [(0.01, 1), (0.25, 1), (0.26, 2), (0.5, 2), (1.0, 4)])
def test_a_short_epoch_has_its_share_of_the_batches(pct, n):
    seen = []
    learn = regression()
    note = At("before_batch", lambda: seen.append(learn.training))
    learn.fit(2, 0.1, cbs=[ShortEpochCallback(pct), note])
    assert seen == ([True] * n + [False] * n) * 2 and len(learn.recorder.losses) == 2 * n
    assert len(learn.recorder.values) == 2 and all(v[1] is not None for v in learn.recorder.values)
    seen.clear()
    learn.fit(1, 0.1, cbs=[ShortEpochCallback(pct, short_valid=False), note])
    assert seen == [True] * n + [False] * 4


def test_skipped_epochs_move_the_schedule_and_train_nothing():
    def rates(*cbs, **kwargs):
        seen, learn = [], regression()
        note = At("before_step", lambda: seen.append(learn.opt.hypers[-1]["lr"]))
        learn.fit_one_cycle(4, 0.1, cbs=[note, *cbs], **kwargs)
        return seen, [row for row in learn.recorder.iters]

    assert rates(SkipToEpoch(3)) == rates(start_epoch=3) and len(rates(SkipToEpoch(3))[0]) == 4
    assert rates(SkipToEpoch(0)) == rates() and rates(SkipToEpoch(1), start_epoch=3) == rates(start_epoch=3)
    assert rates(SkipToEpoch(4))[0] == []


def test_frozen_batch_norms_keep_their_statistics():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    def statistics(*cbs, **kwargs):
        learn = regression(model=model, splitter=lambda m: [list(m[:2].parameters()), list(m[2:].parameters())],
                           **kwargs)
        before = state(model)
        learn.freeze()
        learn.fit(1, 1e-3, cbs=cbs)
        return [not torch.equal(before[f"{i}.running_mean"], model.state_dict()[f"{i}.running_mean"]) for i in (1, 3)]

    assert statistics(train_bn=False) == [True, True]
    assert statistics(BnFreeze(), train_bn=False) == [False, True]
    assert statistics(BnFreeze()) == [True, True]  # its weights train


def test_the_graph_has_the_losses_of_each_epoch(monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    shown = []
    monkeypatch.setattr("ulmfit_easy.fastai.callbacks.in_notebook", lambda: True)
    handle = SimpleNamespace(update=lambda figure: shown.append("again"))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(
        display=lambda figure, display_id: shown.append("first") or handle))
    graph = ShowGraphCallback()
    learn = regression()
    learn.progress.with_table, learn.verbose = False, True
    learn.fit(3, 0.1, cbs=graph)
    train, valid = graph.ax.lines
    assert shown == ["first", "again", "again"]
    assert list(train.get_ydata()) == learn.recorder.losses
    assert list(valid.get_ydata()) == [v[1] for v in learn.recorder.values]


def test_fetched_predictions_are_those_after_each_epoch():
    fetch, seen = FetchPredsCallback(with_decoded=True), []
    learn = three_classes(cbs=fetch)
    learn.fit(2, 0.1, cbs=At("after_epoch", lambda: seen.append(fetch.preds)))
    now = learn.get_preds(with_decoded=True)
    assert all(torch.equal(a, b) for a, b in zip(seen[1], now, strict=True))
    assert not torch.equal(seen[0][0], seen[1][0])


def test_collected_data_is_every_batch_of_the_fit():
    collect = CollectDataCallback()
    learn = three_classes(n=32, bs=16)
    learn.fit(1, 0.1, cbs=collect)
    assert len(collect.data) == 4 and learn.recorder.values[0][1] == pytest.approx(
        np.mean([float(loss) for *_, loss in collect.data[2:]]))
    (x,), (y,), pred, loss = collect.data[0]
    assert x.shape == (16, 4) and y.shape == (16,) and pred.shape == (16, 3) and not loss.requires_grad
