"""Curves from one value to another, as functions of progress in [0, 1]; values are numbers or arrays of them.

They are partials of functions of this module, so that a process can hand them to another.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from ulmfit_easy.errors import ArgumentError

Value = float | np.ndarray  # or one for each layer group
Sched = Callable[[float], Value]  # from progress in [0, 1]


def cos_between(start: Value, end: Value, pos: float) -> Value:
    """Go from `start` at pos 0 to `end` at pos 1 along half a cosine."""
    return start + (1 + np.cos(np.pi * (1 - pos))) * (end - start) / 2


def SchedNo(start: Value, end: Value) -> Sched:
    """Return a flat curve at `start`."""
    return partial(_flat, start)


def SchedLin(start: Value, end: Value) -> Sched:
    """Return a straight line from start to end."""
    return partial(_line, start, end)


def SchedCos(start: Value, end: Value) -> Sched:
    """Half a cosine from start to end: slow, fast, slow."""
    return partial(cos_between, start, end)


def SchedExp(start: Value, end: Value) -> Sched:
    """Return an exponential curve from start to end, neither of them 0: a straight line on a log scale."""
    return partial(_exponential, start, end)


def SchedPoly(start: Value, end: Value, power: float) -> Sched:
    """Go from start to end along `pos ** power`; a power of 1 is a straight line."""
    return partial(_power, start, end, power)


def _flat(start: Value, pos: float) -> Value:
    return start


def _line(start: Value, end: Value, pos: float) -> Value:
    return start + pos * (end - start)


def _exponential(start: Value, end: Value, pos: float) -> Value:
    return start * (end / start) ** pos


def _power(start: Value, end: Value, power: float, pos: float) -> Value:
    return start + (end - start) * pos**power


def combine_scheds(pcts: Sequence[float], scheds: Sequence[Sched]) -> Sched:
    """Return one curve after the other, each for its share of the whole, and each seeing progress in [0, 1].

    Args:
        pcts: the shares, which add up to 1.
        scheds: as many curves.

    Raises:
        ArgumentError: E602 for shares that do not add up to 1, or are not as many as the curves.
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
