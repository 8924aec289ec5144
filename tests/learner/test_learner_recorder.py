"""What the recorder measures, in training too, and the columns that the table then has."""

import numpy as np
import pytest
import torch
from checkpoint_toys import fresh, outcome
from learner_toys import At, classifier, lm, raises, regression, three_classes

import ulmfit_easy.all as m
from ulmfit_easy.fastai.loggers import CSVLogger
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.recorder import RateRecorder, Recorder
from ulmfit_easy.learner.metrics.metric import n_items

COLUMNS = {
    (False, True): ["train_loss", "valid_loss", "mse", "mae"],
    (True, True): ["train_loss", "train_mse", "train_mae", "valid_loss", "valid_mse", "valid_mae"],
    (True, False): ["train_loss", "mse", "mae"],
    (False, False): ["train_loss"],
}


@pytest.mark.parametrize("add_time", [True, False])
@pytest.mark.parametrize(("on_train", "on_valid"), COLUMNS)
def test_the_table_has_the_columns_that_were_asked_for(on_train, on_valid, add_time, tmp_path, capsys):
    recorder = Recorder(add_time, on_train, on_valid)
    learn = regression(path=tmp_path, metrics=[m.mse, m.mae], cbs=[recorder, CSVLogger()])
    learn.verbose = True
    learn.fit(2, 0.1)
    names = ["epoch", *COLUMNS[on_train, on_valid], *(["time"] if add_time else [])]
    assert recorder.metric_names == names and recorder.measures == COLUMNS[on_train, on_valid]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == names and {len(line.split()) for line in lines} == {len(names)}
    assert list(learn.csv_logger.read_log()) == names and len(recorder.log) == len(names)
    assert {len(row) for row in recorder.values} == {len(recorder.measures)}
    valid = learn.validate()
    assert len(valid) == 3
    for name, value in zip(["valid_loss", "valid_mse", "valid_mae"], valid, strict=True):
        if name in names:
            assert recorder.value_of(name) == pytest.approx(value)


def measured(learn, metric) -> list:
    """What the metric comes to in each epoch of a fit by the predictions before each step, and what was recorded."""
    learn.recorder.train_metrics, epochs = True, []

    def note():
        if learn.training:
            with torch.no_grad():
                epochs[-1].append((n_items(learn), float(metric(learn.pred, *learn.yb))))

    look = At("after_loss", note)
    look.order = 20  # after mixed precision, which leaves float32 behind
    learn.fit(2, 0.1, cbs=[At("before_epoch", lambda: epochs.append([])), look])
    means = [np.average([v for _, v in of], weights=[n for n, _ in of]) for of in epochs]
    return [means, [row[1] for row in learn.recorder.values]]


def test_training_metrics_are_of_the_predictions_before_each_step():
    expected, found = measured(regression(n=20, bs=8, metrics=m.mse), m.mse)
    assert found == pytest.approx(expected) and found[1] < found[0]


@pytest.mark.parametrize("softmax", ["full", "sampled"])
def test_a_language_model_is_measured_in_training_too(softmax):
    learn = lm(metrics=[m.accuracy, m.Perplexity()], softmax=softmax)
    expected, found = measured(learn, m.accuracy)
    assert found == pytest.approx(expected) and found[1] > found[0]
    assert learn.recorder.measures[2] == "train_perplexity" and learn.recorder.values[1][2] > 1


def test_a_metric_in_numpy_measures_in_training_too():
    def far(pred, target):
        return np.abs(pred.numpy() - target.numpy()).max()

    expected, found = measured(regression(metrics=far), lambda pred, target: (pred - target).abs().max())
    assert found == pytest.approx(expected)


def test_a_question_does_not_disturb_what_training_is_measured_by():
    def values(*cbs):
        learn = three_classes(metrics=[m.accuracy, m.F1Score(average="macro")])
        learn.recorder.train_metrics = True
        learn.fit(2, 0.1, cbs=[At(event, learn.validate) for event in cbs])
        return learn.recorder.values

    assert values() == values("before_backward", "after_step")


class Stop(Exception):
    pass


@pytest.mark.parametrize("kind", ["plain", "lm", "classifier"])
def test_a_resumed_fit_measures_all_of_its_epoch(kind, tmp_path):
    metrics = {"plain": [m.mse, m.R2Score()], "lm": [m.accuracy, m.Perplexity()],
               "classifier": [m.accuracy, m.F1Score(average="macro")]}[kind]

    def fit(path, *cbs, seed=0):
        learn = fresh(kind, path, seed, metrics=metrics)
        learn.recorder.train_metrics = True
        learn.fit(2, 1e-2, cbs=[CheckpointCallback("run", every=1, resume=True), *cbs])
        return outcome(learn)

    whole = fit(tmp_path / "whole")
    for at in (1, 4):  # batches until it stops; an epoch of the plain one has 4
        with pytest.raises(Stop):
            fit(tmp_path / f"{at}", At("after_backward", raises(Stop()), at))
        assert fit(tmp_path / f"{at}", seed=1) == whole  # it goes on
        assert fit(tmp_path / f"{at}", seed=2) == whole  # it is over


@pytest.mark.parametrize("on_train", [True, False])
def test_the_plot_has_the_validation_loss_if_the_table_has(on_train):
    from matplotlib import pyplot as plt

    learn = regression(metrics=[m.mae, m.mse])
    learn.recorder.train_metrics = on_train
    learn.fit(3, 0.1)
    _, valid = learn.recorder.plot_loss().lines
    assert list(valid.get_ydata()) == [row[3 if on_train else 1] for row in learn.recorder.values]
    plt.close("all")
    learn.recorder.valid_metrics = False
    assert len(learn.recorder.plot_loss().lines) == 1
    plt.close("all")


def test_suggested_rates_are_marked_by_their_names():
    from matplotlib import pyplot as plt

    learn = regression()
    found = learn.lr_find(num_it=30, show_plot=False)
    plots = [{"suggestions": found._asdict()}, {"suggestions": found, "nms": ["valley"]}]
    labels = [[line.get_label() for line in learn.recorder.plot_lr_find(**plot).lines[1:]] for plot in plots]
    assert labels == [[f"valley: {found.valley:.2g}"]] * 2
    plt.close("all")


def test_a_rate_recorder_keeps_the_rate_of_each_group_over_several_fits():
    watch = RateRecorder()
    learn = classifier(cbs=watch)
    learn.freeze_to(-1)
    learn.fit(1, 0.1)
    learn.unfreeze()
    learn.fit(1, slice(0.01, 0.1))
    rates, half = np.array(watch.rates), len(watch.rates) // 2
    assert half == len(learn.dls.train) and rates.shape == (2 * half, len(learn.opt.param_groups))
    assert np.isnan(rates[:half, :-1]).all() and rates[half:, 0] == pytest.approx(0.01)
    assert rates[:, -1] == pytest.approx(0.1)
    learn.lr_find(num_it=10, show_plot=False)
    assert len(watch.rates) == 2 * half, "lr_find is no fit"
    names = [f"group {i}" for i in range(rates.shape[1])]
    assert [t.get_text() for t in watch.plot(names).get_legend().get_texts()] == names
