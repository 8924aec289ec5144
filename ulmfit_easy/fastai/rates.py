"""Curves that no recipe follows, and suggestions for `lr_find` that are seldom the best."""

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace

import numpy as np

from ulmfit_easy.learner.lr_find import minimum, valley
from ulmfit_easy.learner.optim.schedule import Sched, Value

__all__ = ["SchedLin", "SchedNo", "SchedPoly", "SuggestionMethod", "slide", "steep"]


def SchedNo(start: Value, end: Value) -> Sched:
    """Return a flat curve at `start`."""
    return partial(_power, start, start, 1)


def SchedLin(start: Value, end: Value) -> Sched:
    """Return a straight line from start to end."""
    return SchedPoly(start, end, 1)


def SchedPoly(start: Value, end: Value, power: float) -> Sched:
    """Go from start to end along `pos ** power`. A power of 1 is a straight line."""
    return partial(_power, start, end, power)


def _power(start: Value, end: Value, power: float, pos: float) -> Value:
    return start + (end - start) * pos**power


def steep(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate at which the loss fell fastest."""
    slope = np.diff(np.asarray(losses, dtype=float)) / np.diff(np.log(np.asarray(lrs, dtype=float)))
    return float(lrs[int(np.argmin(slope))])


def slide(lrs: Sequence[float], losses: Sequence[float], lr_diff: int = 15, thresh: float = 0.005,
          adjust_value: float = 1.0) -> float:
    """Suggest a rate for `lr_find`: slide a window down from the highest rate until the loss in it is steady.

    The rate at its left end is the suggestion.

    Args:
        lr_diff: the width of the window in points. If there are fewer points, it spans all.
        thresh: the loss is steady if the slopes at the two ends of the window differ by less.
        adjust_value: a factor on the rate.
    """
    slope = np.gradient(np.asarray(losses, dtype=float))  # (n,), per point
    lr_diff = min(lr_diff, len(slope) - 1)
    calm = np.abs(slope[lr_diff:] - slope[:-lr_diff]) <= thresh  # (n - lr_diff,), by the window's left end
    left = min(int(np.flatnonzero(calm)[-1]) + 1, len(calm) - 1) if calm.any() else 0  # the last one that was not calm
    return float(lrs[left]) * adjust_value


SuggestionMethod = SimpleNamespace(Valley=valley, Slide=slide, Minimum=minimum, Steep=steep)  # fastai's names
