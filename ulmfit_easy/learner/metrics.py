"""Metrics: averages over tokens or rows, and scikit-learn's over a whole validation set."""

import math
from functools import partial

import torch
from torch import Tensor

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.softmax import LMOutput, token_stats


def n_items(learn) -> int:
    """What a batch weighs in an average: its tokens for a language model, its rows otherwise."""
    return learn.yb[0].numel() if isinstance(learn.pred, LMOutput) else len(learn.yb[0])


class Metric:
    """Something measured over a validation set: `reset`, `accumulate(learn)` after each batch, then `value`."""

    @property
    def name(self) -> str:
        return self._name

    def reset(self): ...
    def accumulate(self, learn): ...


class AvgMetric(Metric):
    """The average of a function of (pred, targets), each batch weighing as many as its rows or tokens."""

    def __init__(self, func):
        self.func, self._name = func, getattr(func, "func", func).__name__
        self.reset()

    def reset(self):
        self.total, self.count = 0.0, 0

    def accumulate(self, learn):
        n = n_items(learn)
        self.total += float(self.func(learn.pred, *learn.yb)) * n
        self.count += n

    @property
    def value(self):
        return self.total / self.count if self.count else None


class AvgLoss(AvgMetric):
    """The average of the loss."""

    def __init__(self):
        self._name = "loss"
        self.reset()

    def accumulate(self, learn):
        n = n_items(learn)
        self.total += float(learn.loss.mean()) * n
        self.count += n


class Perplexity(AvgLoss):
    """exp of the mean negative log-likelihood per token, unknown words counted as `xxunk`."""

    def __init__(self):
        super().__init__()
        self._name = "perplexity"

    @property
    def value(self):
        if not self.count:
            return None
        mean = self.total / self.count
        return math.exp(mean) if mean < 700 else math.inf


perplexity = Perplexity()


class AvgSmoothLoss(Metric):
    """The exponentially smoothed training loss, corrected for its start at zero."""

    def __init__(self, beta: float = 0.98):
        self.beta, self._name = beta, "loss"
        self.reset()

    def reset(self):
        self.count, self.smooth = 0, 0.0

    def accumulate(self, learn):
        self.count += 1
        self.smooth = self.beta * self.smooth + (1 - self.beta) * float(learn.loss.mean())

    @property
    def value(self):
        return self.smooth / (1 - self.beta**self.count) if self.count else None


class AccumMetric(Metric):
    """A function of all targets and all predictions of a validation set, such as scikit-learn's metrics.

    Args:
        func: from (targets, predictions), two arrays, to a number.
        name: the column's name.
        kind: what the function wants: "class" (decisions), "prob" (probabilities) or "raw".
    """

    def __init__(self, func, name: str, kind: str = "class"):
        self.func, self._name, self.kind = func, name, kind
        self.reset()

    def reset(self):
        self.preds, self.targs = [], []

    def accumulate(self, learn):
        if isinstance(learn.pred, LMOutput):
            raise TrainingError("E502", received=f"the metric {self.name} for a language model",
                                expected="one that adds up over tokens", fix="use accuracy and Perplexity()")
        loss, classes = learn.loss_func, not learn.yb[0].is_floating_point()
        turn = {"class": getattr(loss, "decodes", _argmax if classes else None),
                "prob": getattr(loss, "activation", _softmax if classes else None)}.get(self.kind)
        pred = learn.pred if turn is None else turn(learn.pred)
        self.preds.append(pred.detach().float().cpu())
        self.targs.append(learn.yb[0].detach().cpu())

    @property
    def value(self):
        if not self.preds:
            return None
        return float(self.func(torch.cat(self.targs).numpy(), torch.cat(self.preds).numpy()))


def _argmax(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def accuracy(pred: Tensor | LMOutput, target: Tensor, axis: int = -1) -> float:
    """Share of the rows (of the tokens, for a language model) whose likeliest class is the target."""
    if isinstance(pred, LMOutput):
        stats = pred.stats or token_stats(pred, target)
        return float(stats.correct) / max(1, float(stats.count))
    return (pred.argmax(axis) == target).float().mean().item()


def error_rate(pred: Tensor, target: Tensor, axis: int = -1) -> float:
    """1 - accuracy."""
    return 1 - accuracy(pred, target, axis)


def accuracy_multi(pred: Tensor, target: Tensor, thresh: float = 0.5, sigmoid: bool = True) -> float:
    """Share of right yes-or-no decisions, with several labels a text; `pred` are logits (B, C) if `sigmoid`."""
    return (((pred.sigmoid() if sigmoid else pred) > thresh) == target.bool()).float().mean().item()


def mse(pred: Tensor, target: Tensor) -> float:
    """Mean squared error."""
    return (pred.reshape(-1) - target.reshape(-1)).pow(2).mean().item()


def mae(pred: Tensor, target: Tensor) -> float:
    """Mean absolute error."""
    return (pred.reshape(-1) - target.reshape(-1)).abs().mean().item()


def _sklearn(metric, targs, preds, **kwargs):
    from sklearn import metrics

    return getattr(metrics, metric)(targs, preds, **kwargs)


def F1Score(average="binary", **kwargs):
    """scikit-learn's F1 score of the decisions."""
    return AccumMetric(partial(_sklearn, "f1_score", average=average, **kwargs), "f1_score")


def Precision(average="binary", **kwargs):
    """scikit-learn's precision of the decisions; 0 where a class is never predicted."""
    func = partial(_sklearn, "precision_score", average=average, zero_division=0, **kwargs)
    return AccumMetric(func, "precision_score")


def Recall(average="binary", **kwargs):
    """scikit-learn's recall of the decisions."""
    return AccumMetric(partial(_sklearn, "recall_score", average=average, **kwargs), "recall_score")


def MatthewsCorrCoef(**kwargs):
    """scikit-learn's Matthews correlation coefficient of the decisions."""
    return AccumMetric(partial(_sklearn, "matthews_corrcoef", **kwargs), "matthews_corrcoef")


def RocAuc(average="macro", multi_class="ovr", **kwargs):
    """scikit-learn's area under the ROC curve: of the second class's probability, or each class against the rest."""

    def func(targs, probs):
        two_classes = probs.shape[1] == 2 and targs.ndim == 1
        return _sklearn("roc_auc_score", targs, probs[:, 1] if two_classes else probs, average=average,
                        multi_class=multi_class, **kwargs)

    return AccumMetric(func, "roc_auc_score", kind="prob")


RocAucBinary = RocAuc


def as_metric(metric) -> Metric:
    """A `Metric` as it is, a class of one called, a plain function averaged."""
    if isinstance(metric, type) and issubclass(metric, Metric):
        metric = metric()
    return metric if isinstance(metric, Metric) else AvgMetric(metric)
