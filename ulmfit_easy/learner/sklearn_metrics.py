"""scikit-learn's metrics of classes, over a whole validation set, under fastai's names.

A metric of decisions takes those of the learner's loss: the likeliest class, or for several labels a text each class
above the loss's threshold. So `F1Score(average="macro")` fits both. The `*Multi` forms have a threshold of their own,
and `sigmoid=False` for predictions that are probabilities. `axis` is where the classes of a prediction are; metrics of
probabilities ignore it. All other arguments are scikit-learn's, with fastai's defaults.
"""

import math
from collections.abc import Callable
from inspect import Parameter, Signature

import numpy as np

from ulmfit_easy.data.random_state import python_random_kept
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.metric import AccumMetric
from ulmfit_easy.models.softmax import IGNORE
from ulmfit_easy.user_code import warn_user

__all__ = ["APScoreBinary", "APScoreMulti", "BalancedAccuracy", "BrierScore", "BrierScoreMulti", "CohenKappa",
           "F1Score", "F1ScoreMulti", "FBeta", "FBetaMulti", "HammingLoss", "HammingLossMulti", "Jaccard",
           "JaccardMulti", "MatthewsCorrCoef", "MatthewsCorrCoefMulti", "Precision", "PrecisionMulti", "Recall",
           "RecallMulti", "RocAuc", "RocAucBinary", "RocAucMulti", "sklearn_metric", "skm_to_fastai"]

NO_PREDICTION_IS_0 = ("f1_score", "fbeta_score", "precision_score", "recall_score", "jaccard_score")  # of a class


def sklearn_metric(func: Callable, is_class: bool = True, thresh: float | None = None, axis: int = -1,
                   activation: str | None = None, **kwargs) -> AccumMetric:
    """Return a metric from a function of scikit-learn's form, (targets, predictions) to a number; also `skm_to_fastai`.

    Args:
        is_class: whether the function wants decisions; else it gets what `activation` makes of the predictions.
        thresh: for several labels a text, the probability from which a class is said to be there.
        axis: where the classes of a prediction are.
        activation: see `AccumMetric`; by default what `is_class` and `thresh` need.
        kwargs: those of `AccumMetric`, and what the function takes beside its two arrays.
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

    Raises: E502, when it is called, for `average="binary"` and more than two classes.
    """

    def func(targs, preds, **kwargs):
        with python_random_kept():
            from sklearn import metrics
        if kwargs.get("average") == "binary" and (targs.ndim > 1 or max(targs.max(), preds.max()) > 1):
            raise TrainingError("E502", received=f'{name} with average="binary" for more than two classes',
                                expected="how to bring the scores of the classes together",
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


def _without_unseen(name: str, targs: np.ndarray, preds: np.ndarray, kwargs: dict):
    """Return the arrays for `name`, and change its `kwargs`, so that an unseen label is not one more class."""
    if (targs == IGNORE).any() and targs.ndim == 1 and targs.dtype.kind == "i":
        if name == "balanced_accuracy_score":  # of the recall of each class, which such a row does not change
            return targs[targs != IGNORE], preds[targs != IGNORE]
        if kwargs.get("average") == "binary":
            kwargs |= {"labels": [kwargs.pop("pos_label")], "average": "macro"}
        elif "average" in kwargs and kwargs.get("labels") is None:
            kwargs["labels"] = np.setdiff1d(np.union1d(targs, preds), IGNORE)
    return targs, preds


# --- what gets decisions, and what gets probabilities ----------------------------------------------------------------


def _decided(function: str, axis: int, **kwargs) -> AccumMetric:
    return sklearn_metric(sklearn_function(function), axis=axis, **kwargs)


def _multi(function: str, thresh: float, sigmoid: bool, flatten: bool = False, **kwargs) -> AccumMetric:
    return sklearn_metric(sklearn_function(function), thresh=thresh, activation="sigmoid" if sigmoid else "no",
                          flatten=flatten, **kwargs)


def _flat_multi(function: str, **kwargs) -> AccumMetric:
    return _multi(function, flatten=True, **kwargs)


def _hamming_multi(function: str, labels, **kwargs) -> AccumMetric:
    """Count all labels, or those at the positions `labels`."""
    score, labels = sklearn_function(function), slice(None) if labels is None else labels

    def func(targs, preds, **kwargs):
        return score(targs[:, labels], preds[:, labels], **kwargs)

    metric = _multi(function, **kwargs)
    metric.func = func
    return metric


def _probs(function: str, axis: int = -1, sigmoid: bool | None = None, flatten: bool = False, **kwargs) -> AccumMetric:
    """Return a metric of probabilities (N, C); for two classes, of those of the second one (N,)."""
    score = sklearn_function(function)

    def func(targs, probs, **kwargs):
        two_classes = probs.ndim == 2 and probs.shape[1] == 2 and targs.ndim == 1
        if function == "brier_score_loss" and probs.ndim == 2 and not two_classes:
            kwargs["labels"] = np.arange(probs.shape[1])  # a class may have no row
        return score(targs, probs[:, 1] if two_classes else probs, **kwargs)

    activation = {None: "probs", True: "sigmoid", False: "no"}[sigmoid]
    return sklearn_metric(func, is_class=False, activation=activation, flatten=flatten, name=function, **kwargs)


def _flat_probs(function: str, **kwargs) -> AccumMetric:
    return _probs(function, flatten=True, **kwargs)


# --- the metrics -----------------------------------------------------------------------------------------------------


def _metric(name: str, doc: str, make: Callable, function: str, **defaults) -> Callable[..., AccumMetric]:
    """Return the function `name`, whose parameters are `defaults`; `make` makes a metric of them and `function`."""
    signature = Signature([Parameter(parameter, Parameter.POSITIONAL_OR_KEYWORD, default=default)
                           for parameter, default in defaults.items()], return_annotation=AccumMetric)

    def metric(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return make(function, **given.arguments)

    metric.__name__ = metric.__qualname__ = name
    metric.__doc__, metric.__signature__, metric.__annotations__ = doc, signature, {"return": AccumMetric}
    return metric


NEEDED = Parameter.empty
ONE = dict(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None)
MANY = dict(thresh=0.5, sigmoid=True, labels=None, pos_label=1, average="macro", sample_weight=None)
EACH = "scikit-learn's {} of each class on its own, with several labels a text."

F1Score = _metric("F1Score", "scikit-learn's F1 score, 0 for a class that is never predicted. "
                  'For more than two classes pass `average="macro"`.', _decided, "f1_score", **ONE)
FBeta = _metric("FBeta", "scikit-learn's F-beta score: recall counts `beta` times as much as precision.",
                _decided, "fbeta_score", beta=NEEDED, **ONE)
Precision = _metric("Precision", "scikit-learn's precision, 0 for a class that is never predicted.",
                    _decided, "precision_score", **ONE)
Recall = _metric("Recall", "scikit-learn's recall.", _decided, "recall_score", **ONE)
Jaccard = _metric("Jaccard", "scikit-learn's Jaccard score: right ones among all that are predicted or should be.",
                  _decided, "jaccard_score", **ONE)
BalancedAccuracy = _metric("BalancedAccuracy", "scikit-learn's balanced accuracy: the mean recall of the classes.",
                           _decided, "balanced_accuracy_score", axis=-1, sample_weight=None, adjusted=False)
CohenKappa = _metric("CohenKappa", "scikit-learn's Cohen's kappa: agreement beyond chance.",
                     _decided, "cohen_kappa_score", axis=-1, labels=None, weights=None, sample_weight=None)
HammingLoss = _metric("HammingLoss", "scikit-learn's Hamming loss: the share of wrong decisions; lower is better.",
                      _decided, "hamming_loss", axis=-1, sample_weight=None)

F1ScoreMulti = _metric("F1ScoreMulti", EACH.format("F1 score"), _multi, "f1_score", **MANY)
FBetaMulti = _metric("FBetaMulti", EACH.format("F-beta score"), _multi, "fbeta_score", beta=NEEDED, **MANY)
PrecisionMulti = _metric("PrecisionMulti", EACH.format("precision"), _multi, "precision_score", **MANY)
RecallMulti = _metric("RecallMulti", EACH.format("recall"), _multi, "recall_score", **MANY)
JaccardMulti = _metric("JaccardMulti", EACH.format("Jaccard score"), _multi, "jaccard_score", **MANY)
HammingLossMulti = _metric("HammingLossMulti", "`HammingLoss` of all labels, or of those at the positions `labels`.",
                           _hamming_multi, "hamming_loss", thresh=0.5, sigmoid=True, labels=None, sample_weight=None)
MatthewsCorrCoefMulti = _metric("MatthewsCorrCoefMulti", "`MatthewsCorrCoef` of all decisions together.",
                                _flat_multi, "matthews_corrcoef", thresh=0.5, sigmoid=True, sample_weight=None)

RocAuc = _metric("RocAuc", "scikit-learn's area under the ROC curve: of the second class, or each class against the "
                 "rest.", _probs, "roc_auc_score", axis=-1, average="macro", sample_weight=None, max_fpr=None,
                 multi_class="ovr")
RocAucBinary = _metric("RocAucBinary", "`RocAuc` of two classes.", _probs, "roc_auc_score", axis=-1, average="macro",
                       sample_weight=None, max_fpr=None, multi_class="raise")
RocAucMulti = _metric("RocAucMulti", EACH.format("area under the ROC curve"), _probs, "roc_auc_score", sigmoid=True,
                      average="macro", sample_weight=None, max_fpr=None)
APScoreBinary = _metric("APScoreBinary", "scikit-learn's average precision of the second of two classes.",
                        _probs, "average_precision_score", axis=-1, average="macro", pos_label=1, sample_weight=None)
APScoreMulti = _metric("APScoreMulti", EACH.format("average precision"), _probs, "average_precision_score",
                       sigmoid=True, average="macro", pos_label=1, sample_weight=None)
BrierScore = _metric("BrierScore", "scikit-learn's Brier score: the mean squared error of the probabilities, lower is "
                     "better. (fastai's is that of the decisions, which is the error rate.)",
                     _probs, "brier_score_loss", axis=-1, sample_weight=None, pos_label=None)
BrierScoreMulti = _metric("BrierScoreMulti", "The Brier score of all yes-or-no probabilities together.",
                          _flat_probs, "brier_score_loss", sigmoid=True, sample_weight=None, pos_label=None)


def MatthewsCorrCoef(sample_weight=None, **kwargs) -> AccumMetric:
    """scikit-learn's Matthews correlation coefficient; `kwargs` are those of `sklearn_metric`."""
    return sklearn_metric(sklearn_function("matthews_corrcoef"), sample_weight=sample_weight, **kwargs)

