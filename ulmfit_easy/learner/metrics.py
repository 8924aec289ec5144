"""All metrics: those of classes and words are made here, the others come from the modules beside this one."""

import math
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

from ulmfit_easy.learner import metric, regression_metrics, sklearn_metrics
from ulmfit_easy.learner.bleu import CorpusBLEUMetric
from ulmfit_easy.learner.metric import *
from ulmfit_easy.learner.metric import AvgLoss, flat_pair
from ulmfit_easy.learner.regression_metrics import *
from ulmfit_easy.learner.sklearn_metrics import *
from ulmfit_easy.models.softmax import IGNORE, LMOutput, token_stats

__all__ = ["CorpusBLEUMetric", "Perplexity", "accuracy", "accuracy_multi", "error_rate", "optim_metric", "perplexity",
           "top_k_accuracy", *metric.__all__, *regression_metrics.__all__, *sklearn_metrics.__all__]


class Perplexity(AvgLoss):
    """exp of the mean negative log-likelihood per token, unknown words counted as `xxunk`; lower is better."""

    def __init__(self):
        super().__init__()
        self._name = "perplexity"

    @property
    def value(self):
        mean = super().value
        return mean if mean is None else math.exp(mean) if mean < 700 else math.inf


perplexity = Perplexity()
perplexity.shared = True


def accuracy(pred: Tensor | LMOutput, target: Tensor, axis: int = -1) -> float:
    """Share of the rows (of the tokens, for a language model) whose likeliest class is the target."""
    if isinstance(pred, LMOutput):
        stats = pred.stats or token_stats(pred, target)
        return float(stats.correct) / max(1, float(stats.count))
    real = slice(None) if target.ndim < 2 else target.flatten() != IGNORE  # padding of targets per token does not count
    pred, target = flat_pair(pred.argmax(axis), target)  # (N,), (N,)
    return (pred == target)[real].float().mean().item()


def error_rate(pred: Tensor | LMOutput, target: Tensor, axis: int = -1) -> float:
    """1 - accuracy."""
    return 1 - accuracy(pred, target, axis)


def top_k_accuracy(pred: Tensor | LMOutput, target: Tensor, k: int = 5, axis: int = -1) -> float:
    """Share of the rows (of the tokens, for a language model) whose target is among the `k` likeliest classes."""
    if isinstance(pred, LMOutput):  # the logits of one row at a time, (T, V), never of all tokens
        with torch.no_grad():
            rows = [top_k_accuracy(pred.decoder(x), y, k) for x, y in zip(pred.dropped, target, strict=True)]
        return sum(rows) / len(rows)
    best = pred.topk(min(k, pred.shape[axis]), dim=axis).indices
    right = (best == target.unsqueeze(axis)).any(axis)  # (N,), or (B, T) with padding, which does not count
    return right[target != IGNORE if target.ndim > 1 else slice(None)].float().mean().item()


def accuracy_multi(pred: Tensor, target: Tensor, thresh: float = 0.5, sigmoid: bool = True) -> float:
    """Share of right yes-or-no decisions, with several labels a text; `pred` are logits (B, C) if `sigmoid`."""
    pred, target = flat_pair(pred.sigmoid() if sigmoid else pred, target)
    return ((pred > thresh) == target.bool()).float().mean().item()


def optim_metric(f: Callable, argname: str, bounds: tuple[float, float], tol: float = 0.01, do_neg: bool = True,
                 get_x: bool = False) -> Callable:
    """Return the function `f(pred, target, argname=...)` with that argument chosen so that the result is best.

    For an `AccumMetric`: the best threshold is one for all rows. The value is the best that was found, so it is higher
    than what new data will give.

    Args:
        bounds, tol: the lowest and highest value of the argument that is looked at, and how exactly it is found.
        do_neg: whether higher is better.
        get_x: give (value, argument) instead of the value alone.
    """

    @wraps(f)
    def best(pred, target):
        from scipy.optimize import minimize_scalar

        sign = -1 if do_neg else 1
        found = minimize_scalar(lambda x: sign * float(f(pred, target, **{argname: x})), bounds=bounds,
                                method="bounded", options={"xatol": tol})
        value = sign * found.fun
        return (value, found.x) if get_x else value

    return best
