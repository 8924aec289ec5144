"""Rates and momenta that change with each batch, and the `fit_*` methods that use them."""

from collections import defaultdict

import numpy as np

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.checks import check_counts, check_numbers
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.anneal import SchedCos, combine_scheds, combined_cos, slanted_triangular
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.optim import expand_lr


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
    moms = moms or learn.moms
    if len(moms) != 3:
        raise TrainingError("E502", received=f"moms={moms}", expected="three momenta: at the start, in the middle, at "
                            "the end", fix="write moms=(0.8, 0.7, 0.8)")
    check_numbers(0, without=[0, np.inf], div=div, div_final=div_final)
    lr = _rates(learn, lr_max)
    scheds = {"lr": combined_cos(pct_start, lr / div, lr, lr / div_final), "mom": combined_cos(pct_start, *moms)}
    learn.fit(n_epoch, lr, cbs=[ParamScheduler(scheds), *listify(cbs)], **fit)


def fit_flat_cos(learn, n_epoch, lr, div_final, pct_start, cbs, **fit):
    """A flat rate, then a cosine down."""
    check_numbers(0, without=[0, np.inf], div_final=div_final)
    lr = _rates(learn, lr)
    scheds = {"lr": combined_cos(pct_start, lr, lr, lr / div_final)}
    learn.fit(n_epoch, lr, cbs=[ParamScheduler(scheds), *listify(cbs)], **fit)


def fit_sgdr(learn, n_cycles, cycle_len, lr_max, cycle_mult, cbs, **fit):
    """Cosines down to 0, each from the highest rate again (Loshchilov & Hutter 2016, arXiv 1608.03983)."""
    lengths = [cycle_len * cycle_mult**i for i in range(n_cycles)]  # in epochs
    if not all(n == int(n) >= 1 for n in lengths) or not lengths:
        raise TrainingError("E502", received=f"n_cycles={n_cycles}, cycle_len={cycle_len}, cycle_mult={cycle_mult}",
                            expected="one or more cycles, each of whole epochs", fix="use whole numbers from 1 on")
    lr, n_epoch = _rates(learn, lr_max), int(sum(lengths))
    cosines = combine_scheds([n / n_epoch for n in lengths], [SchedCos(lr, 0 * lr)] * n_cycles)
    learn.fit(n_epoch, lr, cbs=[ParamScheduler({"lr": cosines}), *listify(cbs)], **fit)


def fit_stlr(learn, n_epoch, lr_max, cut_frac, ratio, cbs, **fit):
    """Slanted triangular rates over all batches of the fit."""
    check_counts(0, n_epoch=n_epoch)
    lr, total = _rates(learn, lr_max), n_epoch * len(learn.dls.train)

    def schedule(pos):
        return slanted_triangular(round(pos * total), total, lr, cut_frac, ratio)

    learn.fit(n_epoch, lr, cbs=[ParamScheduler({"lr": schedule}), *listify(cbs)], **fit)


def fine_tune(learn, epochs, base_lr, freeze_epochs, lr_mult, pct_start, div, **fit):
    """Train the last group alone, then all groups with lower rates below."""
    check_counts(0, epochs=epochs, freeze_epochs=freeze_epochs)
    check_numbers(0, without=[0, np.inf], base_lr=base_lr, lr_mult=lr_mult, div=div)
    learn.freeze()
    learn.fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, **fit)
    base_lr /= 2
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=pct_start, div=div, **fit)
