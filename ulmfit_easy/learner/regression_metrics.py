"""Metrics of numbers against numbers: errors, explained shares, correlations."""

from functools import partial

import torch
from torch import Tensor

from ulmfit_easy._fastcore import delegates
from ulmfit_easy.learner.metric import AccumMetric, flat_pair
from ulmfit_easy.learner.sklearn_metrics import sklearn_function, sklearn_metric

__all__ = ["ExplainedVariance", "PearsonCorrCoef", "R2Score", "SpearmanCorrCoef", "exp_rmspe", "mae", "mse", "msle",
           "rmse"]


def mse(pred: Tensor, target: Tensor) -> float:
    """Mean squared error."""
    pred, target = flat_pair(pred, target)
    return (pred - target).pow(2).mean().item()


def mae(pred: Tensor, target: Tensor) -> float:
    """Mean absolute error."""
    pred, target = flat_pair(pred, target)
    return (pred - target).abs().mean().item()


def msle(pred: Tensor, target: Tensor) -> float:
    """Mean squared error of log(1 + x), for numbers above -1."""
    return mse(torch.log1p(pred), torch.log1p(target))


def _rmse(pred: Tensor, target: Tensor) -> float:
    return mse(pred, target) ** 0.5


def _exp_rmspe(pred: Tensor, target: Tensor) -> float:
    pred, target = pred.exp(), target.exp()
    return (1 - pred / target).pow(2).mean().sqrt().item()


# Roots do not add up over batches: these keep all predictions.
rmse = AccumMetric(_rmse, name="rmse")  # root of the mean squared error
exp_rmspe = AccumMetric(_exp_rmspe, name="exp_rmspe")  # root of the mean squared relative error, of logarithms
rmse.shared = exp_rmspe.shared = True


def R2Score(sample_weight=None) -> AccumMetric:
    """scikit-learn's R squared: the share of the variance that is predicted."""
    return sklearn_metric(sklearn_function("r2_score"), is_class=False, sample_weight=sample_weight)


def ExplainedVariance(sample_weight=None) -> AccumMetric:
    """scikit-learn's explained variance: R squared for predictions freed of a constant error."""
    return sklearn_metric(sklearn_function("explained_variance_score"), is_class=False, sample_weight=sample_weight)


def _pearsonr(pred: Tensor, target: Tensor) -> float:
    from scipy.stats import pearsonr

    return pearsonr(pred.numpy(), target.numpy())[0]


def _spearmanr(pred: Tensor, target: Tensor, axis, nan_policy) -> float:
    from scipy.stats import spearmanr

    return spearmanr(pred.numpy(), target.numpy(), axis=axis, nan_policy=nan_policy)[0]


@delegates(AccumMetric)
def PearsonCorrCoef(dim_argmax=None, **kwargs) -> AccumMetric:
    """Pearson's correlation of predictions and targets; the arguments are those of `AccumMetric`."""
    return AccumMetric(_pearsonr, dim_argmax, **{"name": "pearsonr", **kwargs})


@delegates(AccumMetric)
def SpearmanCorrCoef(dim_argmax=None, axis=0, nan_policy="propagate", **kwargs) -> AccumMetric:
    """Spearman's correlation of ranks; `axis` and `nan_policy` are scipy's, the others those of `AccumMetric`."""
    func = partial(_spearmanr, axis=axis, nan_policy=nan_policy)
    return AccumMetric(func, dim_argmax, **{"name": "spearmanr", **kwargs})
