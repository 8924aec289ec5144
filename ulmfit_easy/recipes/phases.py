"""Run the phases of a preset."""

from typing import TypeVar

from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.learner import Learner, Moms
from ulmfit_easy.learner.optim.optimizer import Rate, discriminative
from ulmfit_easy.recipes.presets import Phase

L = TypeVar("L", bound=Learner)


def run_phases(learn: L, phases: tuple[Phase, ...], *, mom: float, moms: Moms, wd: float, clip: float | None) -> L:
    """Fit once for each phase, with its layer groups, rates and schedule; returns the learner."""
    for phase in phases:
        learn.freeze_to(phase.freeze_to)
        cbs = [TerminateOnNaNCallback()] + ([GradientClip(clip)] if clip is not None else [])
        if phase.schedule == "stlr":
            learn.opt.set_hyper("mom", mom)
            learn.fit_stlr(phase.epochs, rates(learn, phase), phase.cut_frac, phase.ratio, wd=wd, cbs=cbs)
        else:
            learn.fit_one_cycle(phase.epochs, rates(learn, phase), moms=moms, wd=wd, cbs=cbs)
    return learn


def rates(learn: Learner, phase: Phase) -> Rate:
    """Return the highest rate of each layer group in a phase."""
    if phase.divisors is None:
        return discriminative(phase.lr, phase.factor)
    n, divisors = len(learn.opt.param_groups), phase.divisors
    divisors = (divisors[0],) * (n - len(divisors)) + divisors[-n:]  # counted from the top, whatever their number
    return [phase.lr / d for d in divisors]
