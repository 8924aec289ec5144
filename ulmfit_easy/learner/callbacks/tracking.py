"""Callbacks that follow one column of the table: save the best weights, stop early, lower the rate."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ulmfit_easy.bundle.artefact import weights_place
from ulmfit_easy.data import ranks
from ulmfit_easy.errors import ArgumentError, FileError, refuse_stranger
from ulmfit_easy.learner import weights
from ulmfit_easy.learner.events import STOP, TRACK, Callback, CancelFitException
from ulmfit_easy.learner.metrics.metric import name_of
from ulmfit_easy.schema import any_of, flag, function, number, optional, takes, whole
from ulmfit_easy.terminal import say
from ulmfit_easy.user_code import warn_user

__all__ = ["EarlyStoppingCallback", "ReduceLROnPlateau", "SaveModelCallback", "TrackerCallback"]

LOWER_IS_BETTER = ("loss", "error", "perplexity", "mse", "mae", "msle", "rmspe")


class TrackerCallback(Callback):
    """Base of callbacks that follow one column of the table: `self.new_best` tells whether this epoch was the best.

    Args:
        monitor: a column of the table, such as `valid_loss` or `accuracy`. If two have that name, the first.
        comp: `operator.lt` if lower is better, `operator.gt` if higher is. By default lower is better for losses,
            errors and perplexity, and higher for all else.
        min_delta: the least change that counts as an improvement.
        reset_on_fit: forget the best value of earlier fits.
    """

    order, in_lr_find = TRACK, False
    STATE: tuple[str, ...] = ("best",)
    best: float | Any  # None before the first fit

    @takes({"comp": optional(function), "min_delta": number()})
    def __init__(self, monitor: str = "valid_loss", comp: Callable | None = None, min_delta: float = 0.0,
                 reset_on_fit: bool = True):
        if comp is not None and not isinstance(comp(0, 1), bool | np.bool_):
            raise ArgumentError("E602", received=f"comp={name_of(comp)}, which does not say which of two is better",
                                expected="operator.lt if lower is better, operator.gt if higher is",
                                fix="leave it out: losses, errors and perplexity are better if lower")
        self.monitor, self.comp, self.min_delta, self.reset_on_fit = monitor, comp, min_delta, reset_on_fit
        self.best, self.new_best = None, False

    def before_fit(self):
        refuse_stranger("monitor=", self.monitor, self.recorder.measures)
        self.lower = any(w in self.monitor for w in LOWER_IS_BETTER) if self.comp is None else bool(self.comp(0, 1))
        if self.reset_on_fit or self.best is None:
            self.best, self.new_best = math.inf if self.lower else -math.inf, False

    def after_epoch(self):
        value = self.recorder.value_of(self.monitor)
        value = math.nan if value is None else value  # an epoch without validation is never the best
        gain = (self.best - value) if self.lower else (value - self.best)
        self.new_best = gain > self.min_delta
        if self.new_best:
            self.best = value


class SaveModelCallback(TrackerCallback):
    """Save the weights of the best epoch, and load them again after training.

    Only a file that this fit has written is loaded. If no epoch has a best value, because each loss is NaN, nothing is
    saved or loaded.

    Args:
        fname: the name for `learn.save`. The other arguments are those of `TrackerCallback`.
        every_epoch: save each epoch as `fname_<epoch>` instead. A number k saves every k-th.
        at_end: save the last weights instead, after training.
        with_opt: save the optimizer's state too.
    """

    STATE = (*TrackerCallback.STATE, "last_saved")

    @takes({"every_epoch": any_of(flag, whole(0))})
    def __init__(self, monitor: str = "valid_loss", comp: Callable | None = None, min_delta: float = 0.0,
                 fname: str = "model", every_epoch: bool | int = False, at_end: bool = False, with_opt: bool = False,
                 reset_on_fit: bool = True):
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        self.fname, self.every_epoch, self.at_end, self.with_opt = fname, every_epoch, at_end, with_opt

    def before_fit(self):
        super().before_fit()
        self.last_saved = None  # the hash of the weights that this fit saved last
        epochs = range(0, self.n_epoch, self.every_epoch) if self.every_epoch else ()
        for name in [f"{self.fname}_{epoch}" for epoch in epochs] or [self.fname]:
            weights_place(weights.model_file(self.learn, name))

    def after_epoch(self):
        super().after_epoch()
        if self.every_epoch and self.epoch % self.every_epoch == 0:
            self.learn.save(f"{self.fname}_{self.epoch}", with_opt=self.with_opt)
        elif self.new_best and not (self.every_epoch or self.at_end):
            _, saved = weights.written(self.learn, self.fname, self.with_opt)
            self.last_saved = ranks.from_main(lambda: saved)

    def after_fit(self):
        if self.at_end:
            self.learn.save(self.fname, with_opt=self.with_opt)
        elif self.last_saved is not None:
            try:
                weights.load(self.learn, self.fname, with_opt=self.with_opt, sha256=self.last_saved)
            except FileError:
                warn_user(f"{weights.model_file(self.learn, self.fname)} is not what this fit saved: the best "
                          "weights are not loaded, and those of the last epoch stay. Give each fit an fname= of "
                          "its own")
            self.last_saved = None  # a fit that is over, asked to resume, need not load what may be another's by then


class PatientCallback(TrackerCallback):
    """Base of callbacks that act when there was no new best for `patience` epochs: `self.wait` counts them."""

    STATE = (*TrackerCallback.STATE, "wait")

    @takes({"patience": whole()})
    def __init__(self, monitor: str = "valid_loss", comp: Callable | None = None, min_delta: float = 0.0,
                 patience: int = 1, reset_on_fit: bool = True):
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        self.patience = patience

    def before_fit(self):
        super().before_fit()
        self.wait = 0

    def after_epoch(self):
        super().after_epoch()
        self.wait = 0 if self.new_best else self.wait + 1


class EarlyStoppingCallback(PatientCallback):
    """Stop the fit early: when the monitored value has not improved for `patience` epochs."""

    order = STOP

    def after_epoch(self):
        super().after_epoch()
        if self.wait >= self.patience:
            if self.learn.verbose:
                say(f"No improvement of {self.monitor} for {self.wait} epochs: stopping after epoch {self.epoch}.")
            raise CancelFitException


class ReduceLROnPlateau(PatientCallback):
    """Divide the rates by `factor` when the monitored value has not improved for `patience` epochs.

    Use it with `fit`, whose rate is constant. A schedule such as one-cycle sets its own rate in each batch.

    Args:
        patience: how many epochs to wait for a new best value. After each division the count starts again.
        factor: the divisor of the rate of each layer group.
        min_lr: no rate goes below it.
    """

    order = TRACK + 1  # after SaveModelCallback, which keeps the rate of the epoch

    @takes({"factor": number(1, without=[1]), "min_lr": number(0)})
    def __init__(self, monitor: str = "valid_loss", comp: Callable | None = None, min_delta: float = 0.0,
                 patience: int = 1, factor: float = 10.0, min_lr: float = 0, reset_on_fit: bool = True):
        super().__init__(monitor, comp, min_delta, patience, reset_on_fit)
        self.factor, self.min_lr = factor, min_lr

    def after_epoch(self):
        super().after_epoch()
        if self.wait < self.patience:
            return
        self.wait, before = 0, [h["lr"] for h in self.opt.hypers]
        self.opt.set_hyper("lr", [max(lr / self.factor, min(lr, self.min_lr)) for lr in before])
        if self.learn.verbose and self.opt.hypers[-1]["lr"] < before[-1]:
            say(f"No improvement of {self.monitor} for {self.patience} epochs: going on from epoch {self.epoch} at "
                  f"rate {self.opt.hypers[-1]['lr']:.3g}.")
