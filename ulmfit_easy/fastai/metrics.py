"""The long tail of metrics: what recipes and apps do not use and few texts need. The common ones are the learner's.

They follow `learner.metrics.sklearn_metric`: metrics of decisions take those of the learner's loss, metrics of
probabilities its probabilities and ignore `axis`.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial, wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy._fastcore import delegates
from ulmfit_easy.learner.metrics.common import mse
from ulmfit_easy.learner.metrics.metric import AccumMetric, AvgMetric, Metric, name_of
from ulmfit_easy.learner.metrics.sklearn_metric import (
    EACH,
    MANY,
    ONE,
    by_name,
    of_decisions,
    of_labels,
    sklearn_function,
    sklearn_metric,
)
from ulmfit_easy.models.softmax import LMOutput

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["APScoreBinary", "APScoreMulti", "BalancedAccuracy", "BrierScore", "BrierScoreMulti", "CohenKappa",
           "CorpusBLEUMetric", "ExplainedVariance", "FBeta", "FBetaMulti", "HammingLoss", "HammingLossMulti", "Jaccard",
           "JaccardMulti", "LossMetric", "LossMetrics", "MatthewsCorrCoef", "MatthewsCorrCoefMulti", "PearsonCorrCoef",
           "R2Score", "RocAuc", "RocAucBinary", "RocAucMulti", "SpearmanCorrCoef", "ValueMetric", "exp_rmspe", "msle",
           "optim_metric"]

NEEDED = Parameter.empty


def _hamming_labels(function: str, labels: Sequence[int] | None, **kwargs: Any) -> AccumMetric:
    """Count all labels, or those at the positions `labels`."""
    score, counted = sklearn_function(function), slice(None) if labels is None else labels

    def func(targs: np.ndarray, preds: np.ndarray, **kwargs: Any) -> float:
        return score(targs[:, counted], preds[:, counted], **kwargs)

    metric = of_labels(function, **kwargs)
    metric.func = func
    return metric


def _probs(function: str, axis: int = -1, sigmoid: bool | None = None, flatten: bool = False,
           **kwargs: Any) -> AccumMetric:
    """Return a metric of probabilities (N, C). For two classes, of those of the second one (N,)."""
    score = sklearn_function(function)

    def func(targs: np.ndarray, probs: np.ndarray, **kwargs: Any) -> float:
        two_classes = probs.ndim == 2 and probs.shape[1] == 2 and targs.ndim == 1
        if function == "brier_score_loss" and probs.ndim == 2 and not two_classes:
            kwargs["labels"] = np.arange(probs.shape[1])  # a class may have no row
        return score(targs, probs[:, 1] if two_classes else probs, **kwargs)

    activation = {None: "probs", True: "sigmoid", False: "no"}[sigmoid]
    return sklearn_metric(func, is_class=False, activation=activation, flatten=flatten, name=function, **kwargs)


FBeta = by_name("FBeta", "scikit-learn's F-beta score: recall counts `beta` times as much as precision.",
                of_decisions, "fbeta_score", beta=NEEDED, **ONE)
Jaccard = by_name("Jaccard", "scikit-learn's Jaccard score: right ones among all that are predicted or should be.",
                  of_decisions, "jaccard_score", **ONE)
BalancedAccuracy = by_name("BalancedAccuracy", "scikit-learn's balanced accuracy: the mean recall of the classes.",
                           of_decisions, "balanced_accuracy_score", axis=-1, sample_weight=None, adjusted=False)
CohenKappa = by_name("CohenKappa", "scikit-learn's Cohen's kappa: agreement beyond chance.",
                     of_decisions, "cohen_kappa_score", axis=-1, labels=None, weights=None, sample_weight=None)
HammingLoss = by_name("HammingLoss", "scikit-learn's Hamming loss: the share of wrong decisions; lower is better.",
                      of_decisions, "hamming_loss", axis=-1, sample_weight=None)

FBetaMulti = by_name("FBetaMulti", EACH.format("F-beta score"), of_labels, "fbeta_score", beta=NEEDED, **MANY)
JaccardMulti = by_name("JaccardMulti", EACH.format("Jaccard score"), of_labels, "jaccard_score", **MANY)
HammingLossMulti = by_name("HammingLossMulti", "`HammingLoss` of all labels, or of those at the positions `labels`.",
                           _hamming_labels, "hamming_loss", thresh=0.5, sigmoid=True, labels=None, sample_weight=None)
MatthewsCorrCoefMulti = by_name("MatthewsCorrCoefMulti", "`MatthewsCorrCoef` of all decisions together.",
                                partial(of_labels, flatten=True), "matthews_corrcoef", thresh=0.5, sigmoid=True,
                                sample_weight=None)

RocAuc = by_name("RocAuc", "scikit-learn's area under the ROC curve: of the second class, or each class against the "
                 "rest.", _probs, "roc_auc_score", axis=-1, average="macro", sample_weight=None, max_fpr=None,
                 multi_class="ovr")
RocAucBinary = by_name("RocAucBinary", "`RocAuc` of two classes.", _probs, "roc_auc_score", axis=-1, average="macro",
                       sample_weight=None, max_fpr=None, multi_class="raise")
RocAucMulti = by_name("RocAucMulti", EACH.format("area under the ROC curve"), _probs, "roc_auc_score", sigmoid=True,
                      average="macro", sample_weight=None, max_fpr=None)
APScoreBinary = by_name("APScoreBinary", "scikit-learn's average precision of the second of two classes.",
                        _probs, "average_precision_score", axis=-1, average="macro", pos_label=1, sample_weight=None)
APScoreMulti = by_name("APScoreMulti", EACH.format("average precision"), _probs, "average_precision_score",
                       sigmoid=True, average="macro", pos_label=1, sample_weight=None)
BrierScore = by_name("BrierScore", "scikit-learn's Brier score: the mean squared error of the probabilities, lower is "
                     "better. (fastai's is that of the decisions, which is the error rate.)",
                     _probs, "brier_score_loss", axis=-1, sample_weight=None, pos_label=None)
BrierScoreMulti = by_name("BrierScoreMulti", "The Brier score of all yes-or-no probabilities together.",
                          partial(_probs, flatten=True), "brier_score_loss", sigmoid=True, sample_weight=None,
                          pos_label=None)


def _of_numbers(function: str, **kwargs: Any) -> AccumMetric:
    return sklearn_metric(sklearn_function(function), is_class=False, **kwargs)


R2Score = by_name("R2Score", "scikit-learn's R squared: the share of the variance that is predicted.",
                  _of_numbers, "r2_score", sample_weight=None)
ExplainedVariance = by_name("ExplainedVariance", "scikit-learn's explained variance: R squared for predictions freed "
                            "of a constant error.", _of_numbers, "explained_variance_score", sample_weight=None)


def MatthewsCorrCoef(sample_weight: Sequence[float] | None = None, **kwargs: Any) -> AccumMetric:
    """scikit-learn's Matthews correlation coefficient. `kwargs` are those of `sklearn_metric`."""
    return sklearn_metric(sklearn_function("matthews_corrcoef"), sample_weight=sample_weight, **kwargs)


def msle(pred: Tensor, target: Tensor) -> float:
    """Mean squared error of log(1 + x), for numbers above -1."""
    return mse(torch.log1p(pred), torch.log1p(target))


def _exp_rmspe(pred: Tensor, target: Tensor) -> float:
    pred, target = pred.exp(), target.exp()
    return (1 - pred / target).pow(2).mean().sqrt().item()


exp_rmspe = AccumMetric(_exp_rmspe, name="exp_rmspe")  # root of the mean squared relative error, of logarithms
exp_rmspe.shared = True


def _correlation(function: str, pred: Tensor, target: Tensor, **kwargs: Any) -> float:
    from scipy import stats

    return getattr(stats, function)(pred.numpy(), target.numpy(), **kwargs)[0]


@delegates(AccumMetric)
def PearsonCorrCoef(dim_argmax: int | None = None, **kwargs: Any) -> AccumMetric:
    """Pearson's correlation of predictions and targets. The arguments are those of `AccumMetric`."""
    return AccumMetric(partial(_correlation, "pearsonr"), dim_argmax, **{"name": "pearsonr", **kwargs})


@delegates(AccumMetric)
def SpearmanCorrCoef(dim_argmax: int | None = None, axis: int | None = 0, nan_policy: str = "propagate",
                     **kwargs: Any) -> AccumMetric:
    """Spearman's correlation of ranks. `axis` and `nan_policy` are scipy's, the others those of `AccumMetric`."""
    func = partial(_correlation, "spearmanr", axis=axis, nan_policy=nan_policy)
    return AccumMetric(func, dim_argmax, **{"name": "spearmanr", **kwargs})


class LossMetric(AvgMetric):
    """The average of one part of a loss, which the loss function keeps in its attribute `attr`.

    `nm` names the column.
    """

    def __init__(self, attr: str, nm: str | None = None):
        self.attr, self._name = attr, nm or attr
        self.reset()

    def measure(self, learn: "Learner") -> Tensor:
        return torch.as_tensor(getattr(learn.loss_func, self.attr)).float().mean()


def LossMetrics(attrs: str | list, nms: str | list | None = None) -> list[LossMetric]:
    """Return a `LossMetric` for each of `attrs` (names, or one string with commas). `nms` are names for the columns."""
    attrs = attrs.split(",") if isinstance(attrs, str) else attrs
    nms = nms.split(",") if isinstance(nms, str) else nms or attrs
    return [LossMetric(attr, nm) for attr, nm in zip(attrs, nms, strict=True)]


class ValueMetric(Metric):
    """A column of the table with the value of `func()` after each validation, such as a figure of a callback."""

    def __init__(self, func: Callable[[], float], metric_name: str | None = None):
        self.func, self._name = func, metric_name or name_of(func)

    @property
    def value(self) -> float | Any:
        return self.func()


class CorpusBLEUMetric(Metric):
    """The BLEU score, 0 to 1, of the likeliest word at each position against the target's word.

    Sequences of 1 to 4 words are counted over the whole validation set (Papineni et al. 2002). If no sequence of some
    length matches, 1/2 is counted, then 1/4, and so on, as in NIST's mteval. Padding counts as words do.

    Args:
        vocab_sz: Ignored; kept for fastai compatibility.
        axis: where the classes of a prediction (B, T, V) are.
    """

    def __init__(self, vocab_sz: int = 5000, axis: int = -1):
        self.axis, self._name = axis, "corpus_bleu"
        self.reset()

    def reset(self):
        self.common, self.said, self.pred_len, self.targ_len = [0.0] * 4, [0] * 4, 0, 0

    @torch.no_grad()
    def accumulate(self, learn: "Learner") -> None:
        if isinstance(learn.pred, LMOutput):  # the logits of one row at a time, (T, V)
            guesses = [learn.pred.decoder(row).argmax(-1).tolist() for row in learn.pred.dropped]
        else:
            guesses = learn.pred.argmax(self.axis).tolist()  # (B, T)
        for guess, target in zip(guesses, learn.yb[0].tolist(), strict=True):
            self._add(guess, target)

    def _add(self, guess: list, target: list) -> None:
        self.pred_len, self.targ_len, small = self.pred_len + len(guess), self.targ_len + len(target), 1.0
        for n in range(4):
            ours, theirs = (Counter(zip(*(ids[i:] for i in range(n + 1)), strict=False)) for ids in (guess, target))
            shared = (ours & theirs).total()
            if shared == 0:
                small /= 2
            self.common[n] += shared or small
            self.said[n] += ours.total()

    @property
    def value(self) -> float | Any:
        if 0 in self.said:
            return None
        precision = math.prod(a / b for a, b in zip(self.common, self.said, strict=True)) ** 0.25
        return precision * min(1.0, math.exp(1 - self.targ_len / self.pred_len))


def optim_metric(f: Callable, argname: str, bounds: tuple[float, float], tol: float = 0.01, do_neg: bool = True,
                 get_x: bool = False) -> Callable:
    """Return the metric `f` with its argument `argname`, such as a threshold, chosen so that the value is best.

    Pass the result to `AccumMetric`, so that one threshold is chosen for all rows. The value is too good: new data
    will give a lower one, because the threshold was chosen with these rows.

    Args:
        bounds: the lowest and the highest value to try.
        tol: how exactly the best value is found.
        do_neg: whether higher is better.
        get_x: return (value, argument) instead of the value alone.
    """

    @wraps(f)
    def best(pred: Tensor, target: Tensor) -> float | tuple[float, float]:
        from scipy.optimize import minimize_scalar

        sign = -1 if do_neg else 1
        found = minimize_scalar(lambda x: sign * float(f(pred, target, **{argname: x})), bounds=bounds,
                                method="bounded", options={"xatol": tol})
        value = sign * found.fun
        return (value, found.x) if get_x else value

    return best
