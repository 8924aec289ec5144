"""Estimate how long stages 2 and 3, and linear models, take on this machine, if no other program needs it."""

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ulmfit_easy.cleanup import surely
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.lr_find import on_trial
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.recipes.blend import Blend
from ulmfit_easy.recipes.corpus.monitor import step_seconds
from ulmfit_easy.recipes.members import kinds_for
from ulmfit_easy.recipes.presets import Phase, Preset
from ulmfit_easy.recipes.stages import Start, new_classifier, preset_for

STEPS, SECONDS = 4, 2.0  # that are timed, at most
BUSY = 1.3  # times as long: from here on other programs take a part that is worth telling
SHORT = 40  # seconds that are told as less than a minute
SAMPLE = 200  # texts that linear models are timed with


class Estimate(NamedTuple):
    """Seconds of the processor that stages 2 and 3 take, and how many times as long if others stay as busy as now."""

    lm: float
    clas: float
    times: float

    def told(self, rounds: int = 1, after: float = 0.0) -> str:
        """Return in words how long some rounds of both stages take, and what comes after them."""
        return time_told(rounds * (self.lm + self.clas) + after, self.times)

    def corrected(self, taken: float, rounds: int = 1, after: float = 0.0) -> str:
        """Return a line on the time that is left after a stage 2 of some seconds by the clock. Empty if it is short."""
        seconds = (rounds * (self.lm + self.clas) - self.lm + after) * max(1.0, taken / self.lm if self.lm else 1.0)
        told = f"Stage 2 took {minutes(taken)}. At this pace the rest takes {minutes(seconds)}."
        return told if seconds >= SHORT else ""


def estimated_seconds(lm: Start, lm_phases: tuple[Phase, ...], dls: DataLoaders,
                      preset: str | Preset | None = None, **kwargs: Any) -> Estimate:
    """Estimate the training time of both stages from a few real steps of each. Nothing changes.

    Batches of a classifier differ in size. So those that are timed have about the mean size, padding included.

    Args:
        lm: the language model's learner, before its training. Or what the classifier starts from without stage 2.
        lm_phases: the phases that a language model will run.
        dls: labelled data.
        preset: a name or a `Preset`, None for the encoder's own. Its `clas` phases are estimated.
        kwargs: of the classifier, for `new_classifier`.
    """
    p = preset_for(preset, lm)
    assert isinstance(dls.train, ClassifierDataLoader)
    typical = DataLoaders(dls.train.typical(STEPS), [], device=dls.device, prepare=dls.prepare)

    def measure() -> Estimate:
        clock, of_lm = clock_of(dls.device.type), 0.0
        own, wall = clock(), time.perf_counter()
        of_clas = _seconds(new_classifier(typical, p, lm, verbose=False, **kwargs), p.clas, dls)
        if isinstance(lm, TextLearner):
            lm.verbose = False
            of_lm = _seconds(lm, lm_phases, lm.dls)
        return Estimate(of_lm, of_clas, (time.perf_counter() - wall) / (clock() - own or math.inf))

    if isinstance(lm, TextLearner):
        return on_trial(lm, measure)
    before = random_state()
    return surely(measure, lambda: [(set_random_state, before)])


def blend_seconds(texts: Sequence[str], labels: Sequence, lang: str) -> float:
    """Estimate how long linear models take to learn from N texts and their classes, by a sample of the texts."""
    rows = range(0, len(texts), max(1, len(texts) // SAMPLE))
    known = {label: i for i, label in enumerate(dict.fromkeys(labels[i] for i in rows))}
    if len(texts) <= SAMPLE or len(known) < 2:
        return 0.0
    kinds_for(lang, len(texts))  # what they read is loaded before the clock starts
    clock, aside = clock_of("cpu"), np.arange(len(rows)) >= len(rows) - 1
    start = clock()
    Blend.learned([texts[i] for i in rows], np.array([known[labels[i]] for i in rows]), aside,
                  np.full((1, len(known)), 1 / len(known)), lang=lang, n=len(texts))
    return (clock() - start) * len(texts) / len(rows)


def clock_of(device: str) -> Callable[[], float]:
    """Return a clock for work on a device. On a processor it does not count the time in which other programs run.

    A load of the moment says nothing of the next hour. Windows counts the time of a thread too coarsely for that.
    """
    return time.thread_time if device == "cpu" and os.name != "nt" else time.perf_counter


def time_told(seconds: float, times: float) -> str:
    """Return a time in words, and how long it takes on a machine that stays so busy that it is `times` as long."""
    quiet, busy = minutes(seconds), minutes(seconds * times)
    return f"{quiet} on this machine, by the processor time of a few steps, " + (
        f"or {busy} if other programs stay as busy as now" if times > BUSY and busy != quiet
        else "longer if other programs run")


def minutes(seconds: float) -> str:
    """Return a time in words, no more precisely than an estimate is."""
    n = round(seconds / 60)
    return "less than a minute" if seconds < SHORT else "about a minute" if n < 2 else f"about {n:,} minutes"


def _seconds(learn: Learner, phases: Sequence[Phase], dls: DataLoaders) -> float:
    """Return the seconds of some phases over all of `dls`. A step of validation takes a third: no backward pass."""
    steps, clock = dict[int, float](), clock_of(learn.dls.device.type)
    for freeze_to in {phase.freeze_to for phase in phases}:
        learn.freeze_to(freeze_to)
        steps[freeze_to] = step_seconds(learn, n_steps=STEPS, seconds=SECONDS, clock=clock)
    return sum(f.epochs * steps[f.freeze_to] * (len(dls.train) + len(dls.valid) / 3) for f in phases)
