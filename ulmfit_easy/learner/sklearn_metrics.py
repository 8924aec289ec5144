"""scikit-learn's metrics of classes, over a whole validation set, under fastai's names.

Where a metric wants decisions, it takes those of the learner's loss: the likeliest class, or for several labels a text
each class above the loss's threshold. So `F1Score(average="macro")` fits both; the `*Multi` forms have a threshold of
their own. `axis` is where the classes of a prediction are. All other arguments are scikit-learn's.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.metric import AccumMetric
from ulmfit_easy.models.softmax import IGNORE


def sklearn_metric(func: Callable, is_class: bool = True, thresh: float | None = None, axis: int = -1,
                   activation: str | None = None, **kwargs) -> AccumMetric:
    """A metric from a function of scikit-learn's form, (targets, predictions) to a number; also `skm_to_fastai`.

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
    """A function of `sklearn.metrics`, which is imported when it is first called.

    Labels that training never saw are no class of their own: their rows are wrong for the class that was said. What
    cannot be computed, such as the ROC of a class that no row has, is nan, with a warning that says why.

    Raises: E502, when it is called, for `average="binary"` and more than two classes.
    """

    def func(targs, preds, **kwargs):
        from sklearn import metrics

        if kwargs.get("average") == "binary" and (targs.ndim > 1 or max(targs.max(), preds.max()) > 1):
            raise TrainingError("E502", received=f'{name} with average="binary" for more than two classes',
                                expected="how to bring the scores of the classes together",
                                fix='pass average="macro", their mean, or "weighted" or "micro"')
        targs, preds = _without_unseen(name, targs, preds, kwargs)
        try:
            return getattr(metrics, name)(targs, preds, **kwargs)
        except ValueError as error:
            warnings.warn(f"{name} cannot be computed here and is nan: {error}", stacklevel=2)
            return math.nan

    func.__name__ = name
    return func


def _without_unseen(name: str, targs: np.ndarray, preds: np.ndarray, kwargs: dict):
    """The arrays for `name`, and its `kwargs` changed, so that a label that was never seen is not one more class."""
    if (targs == IGNORE).any() and targs.ndim == 1 and targs.dtype.kind == "i":
        if name == "balanced_accuracy_score":  # of the recall of each class, which such a row does not change
            return targs[targs != IGNORE], preds[targs != IGNORE]
        if kwargs.get("average") == "binary":
            kwargs |= {"labels": [kwargs.pop("pos_label")], "average": "macro"}
        elif "average" in kwargs and kwargs.get("labels") is None:
            kwargs["labels"] = np.setdiff1d(np.union1d(targs, preds), IGNORE)
    return targs, preds


# --- decisions: one class a text ------------------------------------------------------------------------------------


def _decided(name: str, axis: int, **kwargs) -> AccumMetric:
    return sklearn_metric(sklearn_function(name), axis=axis, **kwargs)


def F1Score(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None) -> AccumMetric:
    """scikit-learn's F1 score; 0 for a class that is never predicted. More than two classes: `average="macro"`."""
    return _decided("f1_score", axis, labels=labels, pos_label=pos_label, average=average,
                    sample_weight=sample_weight, zero_division=0)


def FBeta(beta, axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None) -> AccumMetric:
    """scikit-learn's F-beta score: recall counts `beta` times as much as precision."""
    return _decided("fbeta_score", axis, beta=beta, labels=labels, pos_label=pos_label, average=average,
                    sample_weight=sample_weight, zero_division=0)


def Precision(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None) -> AccumMetric:
    """scikit-learn's precision; 0 for a class that is never predicted."""
    return _decided("precision_score", axis, labels=labels, pos_label=pos_label, average=average,
                    sample_weight=sample_weight, zero_division=0)


def Recall(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None) -> AccumMetric:
    """scikit-learn's recall."""
    return _decided("recall_score", axis, labels=labels, pos_label=pos_label, average=average,
                    sample_weight=sample_weight, zero_division=0)


def Jaccard(axis=-1, labels=None, pos_label=1, average="binary", sample_weight=None) -> AccumMetric:
    """scikit-learn's Jaccard score: right ones among all that are predicted or should be."""
    return _decided("jaccard_score", axis, labels=labels, pos_label=pos_label, average=average,
                    sample_weight=sample_weight, zero_division=0)


def BalancedAccuracy(axis=-1, sample_weight=None, adjusted=False) -> AccumMetric:
    """scikit-learn's balanced accuracy: the mean recall of the classes."""
    return _decided("balanced_accuracy_score", axis, sample_weight=sample_weight, adjusted=adjusted)


def CohenKappa(axis=-1, labels=None, weights=None, sample_weight=None) -> AccumMetric:
    """scikit-learn's Cohen's kappa: agreement beyond chance."""
    return _decided("cohen_kappa_score", axis, labels=labels, weights=weights, sample_weight=sample_weight)


def HammingLoss(axis=-1, sample_weight=None) -> AccumMetric:
    """scikit-learn's Hamming loss: the share of wrong decisions; lower is better."""
    return _decided("hamming_loss", axis, sample_weight=sample_weight)


def MatthewsCorrCoef(sample_weight=None, **kwargs) -> AccumMetric:
    """scikit-learn's Matthews correlation coefficient; `kwargs` are those of `sklearn_metric`."""
    return sklearn_metric(sklearn_function("matthews_corrcoef"), sample_weight=sample_weight, **kwargs)


# --- decisions: several labels a text ---------------------------------------------------------------------------------


def _multi(name: str, thresh: float, sigmoid: bool, flatten: bool = False, **kwargs) -> AccumMetric:
    return sklearn_metric(sklearn_function(name), thresh=thresh, activation="sigmoid" if sigmoid else "no",
                          flatten=flatten, **kwargs)


def F1ScoreMulti(thresh=0.5, sigmoid=True, labels=None, pos_label=1,
                 average="macro", sample_weight=None) -> AccumMetric:
    """`F1Score` of several labels a text; `sigmoid=False` where predictions are probabilities already."""
    return _multi("f1_score", thresh, sigmoid, labels=labels, pos_label=pos_label, average=average,
                  sample_weight=sample_weight, zero_division=0)


def FBetaMulti(beta, thresh=0.5, sigmoid=True, labels=None, pos_label=1,
               average="macro", sample_weight=None) -> AccumMetric:
    """`FBeta` of several labels a text."""
    return _multi("fbeta_score", thresh, sigmoid, beta=beta, labels=labels, pos_label=pos_label, average=average,
                  sample_weight=sample_weight, zero_division=0)


def PrecisionMulti(thresh=0.5, sigmoid=True, labels=None, pos_label=1,
                   average="macro", sample_weight=None) -> AccumMetric:
    """`Precision` of several labels a text."""
    return _multi("precision_score", thresh, sigmoid, labels=labels, pos_label=pos_label, average=average,
                  sample_weight=sample_weight, zero_division=0)


def RecallMulti(thresh=0.5, sigmoid=True, labels=None, pos_label=1,
                average="macro", sample_weight=None) -> AccumMetric:
    """`Recall` of several labels a text."""
    return _multi("recall_score", thresh, sigmoid, labels=labels, pos_label=pos_label, average=average,
                  sample_weight=sample_weight, zero_division=0)


def JaccardMulti(thresh=0.5, sigmoid=True, labels=None, pos_label=1,
                 average="macro", sample_weight=None) -> AccumMetric:
    """`Jaccard` of several labels a text."""
    return _multi("jaccard_score", thresh, sigmoid, labels=labels, pos_label=pos_label, average=average,
                  sample_weight=sample_weight, zero_division=0)


def HammingLossMulti(thresh=0.5, sigmoid=True, labels=None, sample_weight=None) -> AccumMetric:
    """`HammingLoss` of several labels a text: of all of them, or of those at the positions `labels`."""
    score = sklearn_function("hamming_loss")

    def func(targs, preds, **kwargs):
        return score(targs[:, labels], preds[:, labels], **kwargs)

    labels = slice(None) if labels is None else labels
    return sklearn_metric(func, thresh=thresh, activation="sigmoid" if sigmoid else "no", flatten=False,
                          name="hamming_loss", sample_weight=sample_weight)


def MatthewsCorrCoefMulti(thresh=0.5, sigmoid=True, sample_weight=None) -> AccumMetric:
    """`MatthewsCorrCoef` of all decisions together, with several labels a text."""
    return _multi("matthews_corrcoef", thresh, sigmoid, flatten=True, sample_weight=sample_weight)


# --- probabilities ----------------------------------------------------------------------------------------------------


def _of_probs(name: str, activation: str = "probs", flatten: bool = False, **kwargs) -> AccumMetric:
    """A metric of probabilities (N, C); where there are two classes, of the second one's (N,)."""
    score = sklearn_function(name)

    def func(targs, probs, **kwargs):
        two_classes = probs.ndim == 2 and probs.shape[1] == 2 and targs.ndim == 1
        if name == "brier_score_loss" and probs.ndim == 2 and not two_classes:
            kwargs["labels"] = np.arange(probs.shape[1])  # a class may have no row
        return score(targs, probs[:, 1] if two_classes else probs, **kwargs)

    return sklearn_metric(func, is_class=False, activation=activation, flatten=flatten, name=name, **kwargs)


def RocAuc(axis=-1, average="macro", sample_weight=None, max_fpr=None, multi_class="ovr") -> AccumMetric:
    """scikit-learn's area under the ROC curve: of the second class's probability, or each class against the rest.

    `axis` is taken for fastai's signature: the classes of a probability are last.
    """
    return _of_probs("roc_auc_score", average=average, sample_weight=sample_weight, max_fpr=max_fpr,
                     multi_class=multi_class)


def RocAucBinary(axis=-1, average="macro", sample_weight=None, max_fpr=None, multi_class="raise") -> AccumMetric:
    """As `RocAuc`, for two classes."""
    return RocAuc(axis, average, sample_weight, max_fpr, multi_class)


def RocAucMulti(sigmoid=True, average="macro", sample_weight=None, max_fpr=None) -> AccumMetric:
    """The area under the ROC curve of each class on its own, with several labels a text."""
    return _of_probs("roc_auc_score", "sigmoid" if sigmoid else "no", average=average, sample_weight=sample_weight,
                     max_fpr=max_fpr)


def APScoreBinary(axis=-1, average="macro", pos_label=1, sample_weight=None) -> AccumMetric:
    """scikit-learn's average precision of the second of two classes: the area under precision over recall."""
    return _of_probs("average_precision_score", average=average, pos_label=pos_label, sample_weight=sample_weight)


def APScoreMulti(sigmoid=True, average="macro", pos_label=1, sample_weight=None) -> AccumMetric:
    """The average precision of each class on its own, with several labels a text."""
    return _of_probs("average_precision_score", "sigmoid" if sigmoid else "no", average=average, pos_label=pos_label,
                     sample_weight=sample_weight)


def BrierScore(axis=-1, sample_weight=None, pos_label=None) -> AccumMetric:
    """scikit-learn's Brier score: the mean squared error of the probabilities; lower is better.

    (fastai's is that of the decisions, which is the error rate.)
    """
    return _of_probs("brier_score_loss", sample_weight=sample_weight, pos_label=pos_label)


def BrierScoreMulti(sigmoid=True, sample_weight=None, pos_label=None) -> AccumMetric:
    """The Brier score of all yes-or-no probabilities together, with several labels a text."""
    return _of_probs("brier_score_loss", "sigmoid" if sigmoid else "no", flatten=True, sample_weight=sample_weight,
                     pos_label=pos_label)
