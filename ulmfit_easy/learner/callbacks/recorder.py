"""Recorders: losses, rates and metrics of a fit, and their plots."""

import copy
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ulmfit_easy import viz
from ulmfit_easy._fastcore import listify
from ulmfit_easy.learner.events import RECORD, Callback
from ulmfit_easy.learner.metrics.metric import AvgLoss, AvgSmoothLoss, Metric, as_metric
from ulmfit_easy.schema import number, takes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RECORDED = ("losses", "lrs", "iters", "values", "valid_values", "log")  # what a resumed fit goes on with


def format_time(seconds: float) -> str:
    """Seconds as `m:ss`, or `h:mm:ss` from one hour on."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


class Recorder(Callback):
    """Record losses, rates and metrics of every batch and every epoch of the last fit.

    Attributes:
        losses: the smoothed loss of each training batch.
        lrs: the rate of the last layer group in each training batch.
        iters: the number of batches until the end of each epoch.
        values: the numbers of the table for each epoch, one for each of `measures`.
        measures: the columns with numbers: train_loss, valid_loss, the metrics.
        metric_names: all columns of the table: epoch, the measures, time.
        valid_values: the loss and the metrics of the last validation.
        log: the last row of the table.
        in_training: the metrics over this epoch's training batches, with `train_metrics`.
        hps: the values that a schedule set in each batch, such as `hps["lr"]`.

    Args:
        add_time: whether the table has the time of each epoch.
        train_metrics: compute the metrics of training batches too, before their step and with dropout. The columns are
            then train_loss, train_<metric>, valid_loss, valid_<metric>. This takes more time for a language model,
            which decodes twice.
        valid_metrics: whether the table has loss and metrics of the validation set.
        beta: how strongly the loss is smoothed, from 0 (not at all) to 1.
    """

    order = RECORD

    @takes({"beta": number(0, 1, without=[1])})
    def __init__(self, add_time: bool = True, train_metrics: bool = False, valid_metrics: bool = True,
                 beta: float = 0.98):
        self.add_time, self.train_metrics, self.valid_metrics = add_time, train_metrics, valid_metrics
        self.smooth_loss, self.valid_loss = AvgSmoothLoss(beta), AvgLoss()
        self.lrs, self.losses, self.iters = list[float](), list[float](), list[int]()
        self.values, self.valid_values = list[list[float | Any]](), list[float | Any]()
        self.hps, self.log, self.in_training = dict[str, list[float]](), list[Any](), list[Metric]()
        self.names = list[str]()  # of the metrics

    @property
    def measures(self) -> list[str]:
        names = self.names
        if self.train_metrics and self.valid_metrics:
            return [f"{part}_{name}" for part in ("train", "valid") for name in ("loss", *names)]
        valid_loss = ["valid_loss"] if self.valid_metrics else []
        return ["train_loss", *valid_loss, *(names if self.train_metrics or self.valid_metrics else [])]

    @property
    def metric_names(self) -> list[str]:
        return ["epoch", *self.measures, *(["time"] if self.add_time else [])]

    @property
    def _in_validation(self) -> list[Metric]:
        return [self.valid_loss, *self.learn.metrics]

    def after_create(self):
        self._set_metrics()

    def before_fit(self):
        self._set_metrics()
        self.lrs, self.losses, self.iters, self.values, self.hps = [], [], [], [], {}
        self.smooth_loss.reset()
        self.start = time.perf_counter()

    def _set_metrics(self):
        """Make metrics of plain functions, which a user may have set since."""
        self.learn.metrics = [as_metric(m) for m in listify(self.learn.metrics)]
        self.names = [m.name for m in self.learn.metrics]

    def before_epoch(self):
        self.start = time.perf_counter()
        self.in_training = [copy.copy(m) for m in self.learn.metrics] if self.train_metrics else []  # of this epoch
        for m in self.in_training:
            m.reset()

    @torch.no_grad()
    def after_loss(self):
        if self.training:  # the step would change the decoder, which metrics of words ask
            for m in self.in_training:
                m.accumulate(self.learn)

    def before_validate(self):
        self._set_metrics()
        for m in self._in_validation:
            m.reset()

    def after_batch(self):
        if self.loss is None or not self.yb:
            return
        if self.training:
            self.smooth_loss.accumulate(self.learn)
            self.learn.smooth_loss = self.smooth_loss.value
            self.losses.append(self.learn.smooth_loss)
            if self.learn.opt is not None:
                self.lrs.append(self.learn.opt.hypers[-1]["lr"])
        else:
            for m in self._in_validation:
                m.accumulate(self.learn)

    def after_validate(self):
        self.valid_values = [m.value for m in self._in_validation]

    def after_epoch(self):
        valid_values = self.valid_values if self.valid_metrics else []
        self.values.append([self.smooth_loss.value, *(m.value for m in self.in_training), *valid_values])
        self.iters.append(self.learn.train_iter)
        seconds = [format_time(time.perf_counter() - self.start)] if self.add_time else []
        self.log = [self.epoch, *self.values[-1], *seconds]
        self.learn.final_record = self.values[-1]

    def state_dict(self) -> dict:
        """Return what was recorded so far, and the seconds since the epoch began."""
        recorded = {name: list(getattr(self, name)) for name in RECORDED}
        in_training = {"in_training": [m.state_dict() for m in self.in_training]} if self.in_training else {}
        return {**recorded, "count": self.smooth_loss.count, "smooth": self.smooth_loss.smooth,
                "seconds": time.perf_counter() - self.start, **in_training}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        vars(self).update({name: state[name] for name in RECORDED})
        self.smooth_loss.count, self.smooth_loss.smooth = state["count"], state["smooth"]
        self.start = time.perf_counter() - state["seconds"]
        for m, measured in zip(self.in_training, state.get("in_training", ()), strict=False):  # none once it is over
            m.load_state_dict(measured)

    def value_of(self, name: str) -> float | None:
        """Return the last value of a column of the table, e.g. `valid_loss`. If two have that name, of the first."""
        return self.log[self.metric_names.index(name)]

    def plot_loss(self, skip_start: int = 5, with_valid: bool = True, log: bool = False, show_epochs: bool = False,
                  ax: "Axes | None" = None) -> "Axes":
        """Plot the training loss of each batch and the validation loss of each epoch. Returns the axes.

        `log` draws the losses on a logarithmic scale. `show_epochs` draws a line at the end of each epoch.
        """
        with_valid = with_valid and self.valid_metrics
        valid = [v[len(v) // 2 if self.train_metrics else 1] for v in self.values] if with_valid else []
        iters = self.iters if with_valid else []
        ax = viz.plot_loss(self.losses, iters, valid, skip_start=skip_start, ax=ax)
        if log:
            ax.set_yscale("log")
        for x in self.iters if show_epochs else ():
            ax.axvline(x, color="tab:gray", linestyle=":", linewidth=1)
        return ax

    def plot_sched(self, keys: Collection[str] | None = None,
                   figsize: tuple[float, float] | None = None) -> "Sequence[Axes]":
        """Plot rate and momentum of each batch. Return the axes. `figsize` is (width, height) in inches."""
        hps = self.hps or {"lr": self.lrs}
        axes = viz.plot_sched({k: v for k, v in hps.items() if keys is None or k in keys})
        if figsize is not None:
            axes[0].figure.set_size_inches(figsize)  # type: ignore[union-attr]  # it is no SubFigure
        return axes

    def plot_lr_find(self, skip_end: int = 5, *, suggestions: Mapping[str, float] | Sequence[float] | None = None,
                     nms: Sequence[str] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Plot loss against rate, after `lr_find`. Returns the axes.

        `suggestions` are rates to mark: a dict by their names, or a list, whose names are in `nms`.
        """
        named = suggestions if isinstance(suggestions, Mapping) else dict(
            zip(nms or (), suggestions or (), strict=True))
        end = len(self.lrs) - skip_end if len(self.lrs) > 2 * skip_end else len(self.lrs)
        return viz.plot_lr_find(self.lrs[:end], self.losses[:end], named, ax=ax)


class RateRecorder(Callback):
    """Record the learning rate of each layer group at each step, over all fits of its learner.

    Attributes:
        rates: one list per step with a rate per group, input side first. NaN stands for a frozen group.
    """

    in_lr_find = False

    def __init__(self):
        self.rates = []

    def after_step(self):
        frozen = self.opt.frozen_idx
        self.rates.append([math.nan if i < frozen else hyper["lr"] for i, hyper in enumerate(self.opt.hypers)])

    def plot(self, names: Sequence[str] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the rates, see `plot_rates`. Return the axes. `names` has one name per group, input side first."""
        return viz.plot_rates(self.rates, names, ax=ax)
