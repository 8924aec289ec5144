"""Rates and momenta that change with each batch, and the `fit_*` methods that use them."""

import math
from collections import defaultdict

import numpy as np

from ulmfit_easy._fastcore import listify
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.optim import expand_lr


def cos_between(start, end, pos):
    """From `start` at pos 0 to `end` at pos 1 along half a cosine."""
    return start + (1 + np.cos(np.pi * (1 - pos))) * (end - start) / 2


def combined_cos(pct: float, start, middle, end):
    """A function of training's progress in [0, 1]: a cosine from start to middle until `pct`, then one to end."""

    def schedule(pos):
        if pos < pct:
            return cos_between(start, middle, pos / pct)
        return cos_between(middle, end, (pos - pct) / (1 - pct) if pct < 1 else 0.0)

    return schedule


def flat_cos(pct: float, value, end):
    """A function of training's progress: flat until `pct`, then a cosine to `end`."""
    return combined_cos(pct, value, value, end)


def slanted_triangular(t: int, T: int, lr_max, cut_frac: float = 0.1, ratio: float = 32):
    r"""The rate at step t of T: a short linear rise, then a long linear decay.

    $$ p = t / cut \;\text{ if } t < cut \;\text{ else }\; 1 - (t - cut) / (T - cut), \qquad
       \eta_t = \eta_{max} (1 + p (ratio - 1)) / ratio $$

    with $cut = \max(1, \lfloor T \cdot cut\_frac \rfloor)$. Source: Howard & Ruder 2018, equation 3, in its safe
    form: the printed denominator, $cut (1 / cut\_frac - 1)$, gives negative rates where T * cut_frac is not a
    whole number, and divides by zero for T < 10.
    """
    cut = max(1, math.floor(T * cut_frac))
    p = t / cut if t < cut else 1 - (t - cut) / max(1, T - cut)
    return lr_max * (1 + p * (ratio - 1)) / ratio


class ParamScheduler(Callback):
    """Sets hyper-parameters before each training batch: `{"lr": f, "mom": g}`, functions of progress in [0, 1]."""

    order, run_valid = 60, False

    def __init__(self, scheds: dict):
        self.scheds = scheds

    def before_fit(self):
        self.hps = defaultdict(list)

    def state_dict(self) -> dict:
        """What was set so far."""
        return {"hps": {name: list(values) for name, values in self.hps.items()}}

    def load_state_dict(self, state: dict):
        """Go on from `state_dict()`."""
        self.hps = defaultdict(list, state["hps"])

    def before_batch(self):
        for name, schedule in self.scheds.items():
            self.learn.opt.set_hyper(name, schedule(self.learn.pct_train))

    def after_batch(self):
        for name in self.scheds:
            self.hps[name].append(self.learn.opt.hypers[-1][name])

    def cleanup_fit(self):
        if hasattr(self.learn, "recorder") and "hps" in self.__dict__:
            self.learn.recorder.hps.update(self.hps)


def _rates(learn, lr):
    """The highest rate of each group as an array, made ready for `set_hyper`."""
    if learn.opt is None:
        learn.create_opt()
    rates = np.array(expand_lr(learn.lr if lr is None else lr, len(learn.opt.param_groups)))
    learn.opt.set_hyper("lr", rates)
    return rates


def fit_one_cycle(learn, n_epoch, lr_max, div, div_final, pct_start, moms, cbs, **fit):
    """One cycle of a rising, then a falling rate, with the momentum mirrored (Smith 2018, arXiv 1803.09820)."""
    lr = _rates(learn, lr_max)
    scheds = {"lr": combined_cos(pct_start, lr / div, lr, lr / div_final),
              "mom": combined_cos(pct_start, *(moms or learn.moms))}
    learn.fit(n_epoch, lr, cbs=[ParamScheduler(scheds), *listify(cbs)], **fit)


def fit_flat_cos(learn, n_epoch, lr, div_final, pct_start, cbs, **fit):
    """A flat rate, then a cosine down."""
    lr = _rates(learn, lr)
    scheds = {"lr": flat_cos(pct_start, lr, lr / div_final)}
    learn.fit(n_epoch, lr, cbs=[ParamScheduler(scheds), *listify(cbs)], **fit)


def fit_stlr(learn, n_epoch, lr_max, cut_frac, ratio, cbs, **fit):
    """Slanted triangular rates over all batches of the fit."""
    lr, total = _rates(learn, lr_max), n_epoch * len(learn.dls.train)

    def schedule(pos):
        return slanted_triangular(round(pos * total), total, lr, cut_frac, ratio)

    learn.fit(n_epoch, lr, cbs=[ParamScheduler({"lr": schedule}), *listify(cbs)], **fit)


def fine_tune(learn, epochs, base_lr, freeze_epochs, lr_mult, pct_start, div, **fit):
    """Train the last group alone, then all groups with lower rates below."""
    learn.freeze()
    learn.fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, **fit)
    base_lr /= 2
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=pct_start, div=div, **fit)
