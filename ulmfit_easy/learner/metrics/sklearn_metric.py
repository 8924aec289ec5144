"""Metrics made of functions of scikit-learn, over a whole validation set: F1, precision, recall, and any other.

A metric of decisions takes those of the learner's loss: the likeliest class, or for several labels a text each class
above the loss's threshold. So `F1Score(average="macro")` fits both. The `*Multi` forms have a threshold of their own,
and `sigmoid=False` for predictions that are probabilities. `axis` is where the classes of a prediction are. Metrics of
probabilities ignore it. All other arguments are scikit-learn's, with fastai's defaults.
"""

import math
import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from ulmfit_easy.data.random_state import python_random_kept
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.metrics.metric import AccumMetric
from ulmfit_easy.models.softmax import IGNORE
from ulmfit_easy.user_code import warn_user

__all__ = ["F1Score", "F1ScoreMulti", "Precision", "PrecisionMulti", "Recall", "RecallMulti", "sklearn_metric",
           "skm_to_fastai"]

NO_PREDICTION_IS_0 = ("f1_score", "fbeta_score", "precision_score", "recall_score", "jaccard_score")  # of a class


def sklearn_metric(func: Callable, is_class: bool = True, thresh: float | None = None, axis: int = -1,
                   activation: str | None = None, **kwargs: Any) -> AccumMetric:
    """Make a metric of a function of scikit-learn, which takes (targets, predictions). Also called `skm_to_fastai`.

    Args:
        is_class: True if the function takes predicted classes. If False, it gets probabilities, or what `activation`
            says.
        thresh: if a text may have several labels, the probability from which a class is predicted.
        axis: the dimension of the classes in a prediction.
        activation: as for `AccumMetric`. By default chosen by `is_class` and `thresh`.
        kwargs: other arguments of `AccumMetric`, and of the function, such as `average="macro"`.
    """
    alone = is_class and thresh is None and activation is None
    if activation is None:
        activation = "no" if not is_class or (alone and axis != -1) else "decoded" if alone else "sigmoid"
    dim_argmax = axis if is_class and thresh is None and activation != "decoded" else None
    options = {"flatten": activation != "decoded", **kwargs}
    return AccumMetric(func, dim_argmax, activation, thresh, to_np=True, invert_arg=True, **options)


skm_to_fastai = sklearn_metric


def sklearn_function(name: str) -> Callable:
    """Return a function of `sklearn.metrics`, which is imported when it is first called.

    Labels that training never saw are no class of their own: their rows are wrong for the class that was said. What
    cannot be computed, such as the ROC of a class that no row has, is nan, with a warning that says why.

    Raises: E603, when it is called, for `average="binary"` and more than two classes.
    """

    def func(targs: np.ndarray, preds: np.ndarray, **kwargs: Any) -> float:
        with python_random_kept():
            from sklearn import metrics
        if kwargs.get("average") == "binary" and (targs.ndim > 1 or max(targs.max(), preds.max()) > 1):
            raise ArgumentError("E603", received=f'{name} with average="binary" for more than two classes',
                                expected="a way to average the scores of the classes",
                                fix='pass average="macro", their mean, or "weighted" or "micro"')
        targs, preds = _without_unseen(name, targs, preds, kwargs)
        if name in NO_PREDICTION_IS_0:
            kwargs.setdefault("zero_division", 0)
        try:
            return getattr(metrics, name)(targs, preds, **kwargs)
        except ValueError as error:
            warn_user(f"{name} cannot be computed here and is nan: {error}")
            return math.nan

    func.__name__ = name
    return func


def _without_unseen(name: str, targs: np.ndarray, preds: np.ndarray, kwargs: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays for `name`, and change its `kwargs`, so that an unseen label is not one more class."""
    if (targs == IGNORE).any() and targs.ndim == 1 and targs.dtype.kind == "i":
        if name == "balanced_accuracy_score":  # of the recall of each class, which such a row does not change
            return targs[targs != IGNORE], preds[targs != IGNORE]
        if kwargs.get("average") == "binary":
            kwargs |= {"labels": [kwargs.pop("pos_label")], "average": "macro"}
        elif "average" in kwargs and kwargs.get("labels") is None:
            kwargs["labels"] = np.setdiff1d(np.union1d(targs, preds), IGNORE)
    return targs, preds


def of_decisions(function: str, axis: int, **kwargs: Any) -> AccumMetric:
    return sklearn_metric(sklearn_function(function), axis=axis, **kwargs)


def of_labels(function: str, thresh: float, sigmoid: bool, flatten: bool = False, **kwargs: Any) -> AccumMetric:
    return sklearn_metric(sklearn_function(function), thresh=thresh, activation="sigmoid" if sigmoid else "no",
                          flatten=flatten, **kwargs)


def by_name(name: str, doc: str, make: Callable, function: str, **defaults: object) -> Callable[..., AccumMetric]:
    """Return the function `name`, whose parameters are `defaults`. `make` makes a metric of them and `function`."""
    signature = Signature([Parameter(parameter, Parameter.POSITIONAL_OR_KEYWORD, default=default)
                           for parameter, default in defaults.items()], return_annotation=AccumMetric)

    def metric(*args: Any, **kwargs: Any) -> AccumMetric:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return make(function, **given.arguments)

    metric.__name__ = metric.__qualname__ = name
    metric.__module__ = sys._getframe(1).f_globals["__name__"]  # that of the caller, where the name is found
    metric.__doc__, metric.__annotations__ = doc, {"return": AccumMetric}
    vars(metric)["__signature__"] = signature
    return metric


ONE = dict(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None)
MANY = dict(thresh=0.5, sigmoid=True, labels=None, pos_label=1, average="macro", sample_weight=None)
EACH = "scikit-learn's {} of each class on its own, with several labels a text."

F1Score = by_name("F1Score", "scikit-learn's F1 score, 0 for a class that is never predicted. "
                  'For more than two classes pass `average="macro"`.', of_decisions, "f1_score", **ONE)
Precision = by_name("Precision", "scikit-learn's precision, 0 for a class that is never predicted.",
                    of_decisions, "precision_score", **ONE)
Recall = by_name("Recall", "scikit-learn's recall.", of_decisions, "recall_score", **ONE)
F1ScoreMulti = by_name("F1ScoreMulti", EACH.format("F1 score"), of_labels, "f1_score", **MANY)
PrecisionMulti = by_name("PrecisionMulti", EACH.format("precision"), of_labels, "precision_score", **MANY)
RecallMulti = by_name("RecallMulti", EACH.format("recall"), of_labels, "recall_score", **MANY)
