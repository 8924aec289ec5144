"""Rates and momenta that change with each batch: their curves, and the `fit_*` methods that follow them.

A curve is a function of progress in [0, 1]. Its values are numbers or arrays of them. It is a partial of functions of
this module, so that a process can hand it to another.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit_easy._fastcore import listify
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.events import SCHEDULE, Callback, Cbs
from ulmfit_easy.learner.optim.optimizer import Rate, momenta
from ulmfit_easy.schema import optional, positive, share, takes, whole

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

Value = float | np.ndarray  # or one for each layer group
Sched = Callable[[float], Value]  # from progress in [0, 1]


def cos_between(start: Value, end: Value, pos: float) -> Value:
    """Go from `start` at pos 0 to `end` at pos 1 along half a cosine."""
    return start + (1 + np.cos(np.pi * (1 - pos))) * (end - start) / 2


def SchedCos(start: Value, end: Value) -> Sched:
    """Return half a cosine from start to end: slow, then fast, then slow."""
    return partial(cos_between, start, end)


def SchedExp(start: Value, end: Value) -> Sched:
    """Return an exponential curve from start to end, a straight line on a log scale. Neither may be 0."""
    return partial(_exponential, start, end)


def _exponential(start: Value, end: Value, pos: float) -> Value:
    return start * (end / start) ** pos


def combine_scheds(pcts: Sequence[float], scheds: Sequence[Sched]) -> Sched:
    """Join curves to one schedule, such as a rise and a fall: `combine_scheds([0.3, 0.7], [rise, fall])`.

    Args:
        pcts: the share of the training for each curve. They add up to 1.
        scheds: the curves: functions of the progress in their share, 0 to 1.

    Raises: ArgumentError E602 if the shares do not add up to 1, or if there are more or fewer than curves.
    """
    if len(pcts) != len(scheds) or min(pcts, default=0) < 0 or not math.isclose(sum(pcts), 1, abs_tol=1e-6):
        raise ArgumentError("E602", received=f"shares {list(pcts)} for {len(scheds)} curves",
                            expected="one share for each curve, 1 in all", fix="divide the shares by their sum")
    return partial(_combined, pcts, [0.0, *accumulate(pcts[:-1])], scheds)


def _combined(pcts: Sequence[float], starts: Sequence[float], scheds: Sequence[Sched], pos: float) -> Value:
    # a border belongs to the curve after it, also where rounding puts it a hair too far to the right
    i = max(i for i, start in enumerate(starts) if i == 0 or pos >= start - 1e-9)
    return scheds[i](max(0.0, pos - starts[i]) / pcts[i] if pcts[i] else 0.0)


def combined_cos(pct: float, start: Value, middle: Value, end: Value) -> Sched:
    """Return a cosine from start to middle until `pct`, then one to end."""
    return combine_scheds([pct, 1 - pct], [SchedCos(start, middle), SchedCos(middle, end)])


def slanted_triangular(t: int, T: int, lr_max: Value, cut_frac: float = 0.1, ratio: float = 32) -> Value:
    r"""Return the rate at step t of T: a short linear rise, then a long linear decay.

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
    """Set hyper-parameters before each training batch: `{"lr": f}` with a function of the progress, 0 to 1."""

    order, run_valid, STATE = SCHEDULE, False, ("hps",)

    def __init__(self, scheds: Mapping[str, Sched]):
        self.scheds = scheds

    def before_fit(self):
        self.hps = dict[str, list]()

    def before_batch(self):
        for name, schedule in self.scheds.items():
            self.learn.opt.set_hyper(name, schedule(self.learn.pct_train))

    def after_batch(self):
        for name in self.scheds:
            self.hps.setdefault(name, []).append(self.learn.opt.hypers[-1][name])

    def cleanup_fit(self):
        if hasattr(self.learn, "recorder") and "hps" in self.__dict__:
            self.learn.recorder.hps.update(self.hps)


def _rates(learn: "Learner", lr: Rate | None) -> np.ndarray:
    """Return the highest rate of each group as an array, made ready for `set_hyper`."""
    if learn.opt is None:
        learn.create_opt()
    learn.opt.set_hyper("lr", learn.lr if lr is None else lr)
    return np.array([hypers["lr"] for hypers in learn.opt.hypers])


def _fit(learn: "Learner", n_epoch: int, lr: Rate, scheds: Mapping[str, Sched], cbs: Cbs, wd: float | None,
         reset_opt: bool, start_epoch: int) -> None:
    learn.fit(n_epoch, lr, wd, [ParamScheduler(scheds), *listify(cbs)], reset_opt, start_epoch)


@takes({"div": positive, "div_final": positive, "pct_start": share, "moms": optional(momenta)})
def fit_one_cycle(learn: "Learner", n_epoch: int, lr_max: Rate | None = None, div: float = 25.0, div_final: float = 1e5,
                  pct_start: float = 0.25, wd: float | None = None, moms: tuple[float, float, float] | None = None,
                  cbs: Cbs = None, reset_opt: bool = False, start_epoch: int = 0) -> None:
    """Train with a rate that rises to `lr_max` for `pct_start` of the time, then falls along a cosine.

    The momentum is its mirror image (Smith 2018, arXiv 1803.09820).
    """
    moms = moms or learn.moms
    lr = _rates(learn, lr_max)
    scheds = {"lr": combined_cos(pct_start, lr / div, lr, lr / div_final), "mom": combined_cos(pct_start, *moms)}
    _fit(learn, n_epoch, lr, scheds, cbs, wd, reset_opt, start_epoch)


@takes({"div_final": positive, "pct_start": share})
def fit_flat_cos(learn: "Learner", n_epoch: int, lr: Rate | None = None, div_final: float = 1e5,
                 pct_start: float = 0.75, wd: float | None = None, cbs: Cbs = None, reset_opt: bool = False,
                 start_epoch: int = 0) -> None:
    """Train at a flat rate for `pct_start` of the time, then down along a cosine."""
    lr = _rates(learn, lr)
    _fit(learn, n_epoch, lr, {"lr": combined_cos(pct_start, lr, lr, lr / div_final)}, cbs, wd, reset_opt, start_epoch)


@takes({"n_cycles": whole(), "cycle_len": whole(), "cycle_mult": whole()})
def fit_sgdr(learn: "Learner", n_cycles: int, cycle_len: int, lr_max: Rate | None = None, cycle_mult: int = 2,
             cbs: Cbs = None, reset_opt: bool = False, wd: float | None = None, start_epoch: int = 0) -> None:
    """Train with rates that fall from `lr_max` to 0 in each cycle. The first has `cycle_len` epochs.

    Source: Loshchilov & Hutter 2016, arXiv 1608.03983.
    """
    lengths = [cycle_len * cycle_mult**i for i in range(n_cycles)]  # in epochs
    lr, n_epoch = _rates(learn, lr_max), sum(lengths)
    cosines = combine_scheds([n / n_epoch for n in lengths], [SchedCos(lr, 0 * lr)] * n_cycles)
    _fit(learn, n_epoch, lr, {"lr": cosines}, cbs, wd, reset_opt, start_epoch)


@takes({"n_epoch": whole(0)})
def fit_stlr(learn: "Learner", n_epoch: int, lr_max: Rate | None = None, cut_frac: float = 0.1, ratio: float = 32,
             wd: float | None = None, cbs: Cbs = None, reset_opt: bool = False, start_epoch: int = 0) -> None:
    """Train with the slanted triangular rates of ULMFiT: up for `cut_frac` of the steps, from `lr_max / ratio`."""
    lr, total = _rates(learn, lr_max), n_epoch * len(learn.dls.train)

    def schedule(pos: float) -> Value:
        return slanted_triangular(round(pos * total), total, lr, cut_frac, ratio)

    _fit(learn, n_epoch, lr, {"lr": schedule}, cbs, wd, reset_opt, start_epoch)


@takes({"epochs": whole(0), "freeze_epochs": whole(0), "base_lr": positive, "lr_mult": positive, "div": positive})
def fine_tune(learn: "Learner", epochs: int, base_lr: float = 2e-3, freeze_epochs: int = 1, lr_mult: float = 100,
              pct_start: float = 0.3, div: float = 5.0, **kwargs: Any) -> None:
    """Train the last group for `freeze_epochs`, then all of them for `epochs` with lower rates below."""
    learn.freeze()
    learn.fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, **kwargs)
    base_lr /= 2
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=pct_start, div=div, **kwargs)
