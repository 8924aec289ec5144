"""Running the phases of a preset, and how long they will take."""

import time
from statistics import median

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.tracking import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.lr_find import restored
from ulmfit_easy.learner.optim import discriminative
from ulmfit_easy.recipes.presets import Phase


def run_phases(learn, phases: tuple[Phase, ...], *, mom, moms, wd, clip):
    """Fit once for each phase, with its layer groups, rates and schedule; returns the learner."""
    for phase in phases:
        learn.freeze_to(phase.freeze_to)
        cbs = [TerminateOnNaNCallback()] + ([GradientClip(clip)] if clip is not None else [])
        if phase.schedule == "stlr":
            learn.opt.set_hyper("mom", mom)
            learn.fit_stlr(phase.epochs, rates(learn, phase), phase.cut_frac, phase.ratio, wd=wd, cbs=cbs)
        elif phase.schedule == "one_cycle":
            learn.fit_one_cycle(phase.epochs, rates(learn, phase), moms=moms, wd=wd, cbs=cbs)
        else:
            raise TrainingError("E502", received=f"schedule={phase.schedule!r}", expected='"stlr" or "one_cycle"',
                                fix="name one of these in the Phase")
    return learn


def rates(learn, phase: Phase):
    """The highest rate of each layer group in a phase."""
    if phase.divisors is None:
        return discriminative(phase.lr, phase.factor)
    n, divisors = len(learn.opt.param_groups), phase.divisors
    divisors = (divisors[0],) * (n - len(divisors)) + divisors[-n:]  # counted from the top, whatever their number
    return [phase.lr / d for d in divisors]


def estimated_seconds(lm, lm_phases, clas_dls, clas_phases, n: int = 3) -> float:
    """About how long the two stages will take on this machine, from `n` timed steps; the model stays as it is.

    A step of the whole language model is timed; the classifier's tokens are taken to cost as much as its tokens do.
    """
    with restored(lm):
        lm.unfreeze().model.train()
        times, tokens = [], 0
        for _, (xb, yb) in zip(range(n + 1), lm.dls.train, strict=False):
            start = time.perf_counter()
            lm.loss_func(lm.model(xb), yb).backward()
            lm.opt.step()
            lm.opt.zero_grad()
            times.append(time.perf_counter() - start)
            tokens = tokens or xb.numel()
    step = median(times[1:] or times)  # the first one warms up
    lm_steps = len(lm.dls.train) * sum(phase.epochs for phase in lm_phases)
    clas_tokens = int(clas_dls.train.lengths.sum()) * sum(phase.epochs for phase in clas_phases)
    return step * (lm_steps + clas_tokens / tokens)
