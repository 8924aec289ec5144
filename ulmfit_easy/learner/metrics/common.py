"""Metrics that a recipe, an app or the row of a task uses, or that most texts and numbers are judged by."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.metrics.metric import AccumMetric, AvgLoss, flat_pair
from ulmfit_easy.models.softmax import IGNORE, LMOutput, token_stats

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["Perplexity", "accuracy", "accuracy_multi", "error_rate", "mae", "mse", "perplexity", "rmse",
           "top_k_accuracy"]


class Perplexity(AvgLoss):
    """Perplexity: exp of the mean negative log-likelihood per token.

    Lower is better. Unknown words count as `xxunk`.
    """

    def __init__(self):
        super().__init__()
        self._name = "perplexity"

    def measure(self, learn: "Learner") -> Tensor:
        """Return the mean negative log-likelihood of a batch: its loss, or the part of it that is of tokens."""
        stats = getattr(learn.pred, "stats", None)
        return super().measure(learn) if stats is None else stats.nll / stats.n

    @property
    def value(self) -> float | Any:
        mean = super().value
        return mean if mean is None else math.exp(mean) if mean < 700 else math.inf


perplexity = Perplexity()
perplexity.shared = True


def accuracy(pred: Tensor | LMOutput, target: Tensor, axis: int = -1) -> float:
    """Share of the rows (of the tokens, for a language model) whose likeliest class is the target."""
    if isinstance(pred, LMOutput):
        stats = pred.stats or token_stats(pred, target)
        return float(stats.correct) / max(1, float(stats.n))
    if target.numel() and int(target.max()) >= pred.shape[axis]:
        raise ArgumentError("E603", received=f"accuracy for targets up to {int(target.max())} and predictions of "
                            f"{pred.shape[axis]} classes", expected="targets that are classes",
                            fix="choose a metric of the task, such as SpanF1() for answers")
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
    """Share of right yes-or-no decisions, with several labels a text. `pred` are logits (B, C) if `sigmoid`."""
    pred, target = flat_pair(pred.sigmoid() if sigmoid else pred, target)
    return ((pred > thresh) == target.bool()).float().mean().item()


def mse(pred: Tensor, target: Tensor) -> float:
    """Mean squared error."""
    pred, target = flat_pair(pred, target)
    return (pred - target).pow(2).mean().item()


def mae(pred: Tensor, target: Tensor) -> float:
    """Mean absolute error."""
    pred, target = flat_pair(pred, target)
    return (pred - target).abs().mean().item()


def _rmse(pred: Tensor, target: Tensor) -> float:
    return mse(pred, target) ** 0.5


# Roots do not add up over batches: this keeps all predictions.
rmse = AccumMetric(_rmse, name="rmse")  # root of the mean squared error
rmse.shared = True
