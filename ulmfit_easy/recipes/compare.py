"""Compare a classifier with the baseline on the texts kept aside, and tell if the difference is within noise."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.recipes.baseline import baseline, is_without_words

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CROSS_VALIDATED = 1000  # labelled texts below which the few that are kept aside say little about the baseline
FOLDS = 5
UNEQUAL = 2  # times the smallest class: from here on accuracy alone hides the rare classes
SIGNIFICANT = 0.05
ASIDE = "texts kept aside, which this training has not read"


class Scores(NamedTuple):
    """Scores on the texts kept aside. Those of the baseline are None if no text has a word to count.

    Attributes:
        accuracy: share of the texts whose likeliest class is their label.
        low, high: 95 % Wilson interval of the accuracy.
        macro_f1: mean of the F1 scores of the classes.
        baseline_accuracy, baseline_macro_f1: the same of TF-IDF with logistic regression, on the same texts.
        baseline_cv_accuracy: its accuracy in cross-validation on all labelled texts, each once. None for 1,000 or more.
        p_value: of McNemar's exact test of the two accuracies.
    """

    accuracy: float
    low: float | None = None
    high: float | None = None
    macro_f1: float | None = None
    baseline_accuracy: float | None = None
    baseline_macro_f1: float | None = None
    baseline_cv_accuracy: float | None = None
    p_value: float | None = None

    def figures(self) -> dict:
        """Return the scores in words, as a model card has them."""
        figures = {"measured on": ASIDE, "accuracy": self.accuracy,
                   "95% interval of the accuracy": {"from": self.low, "to": self.high}, "macro-F1": self.macro_f1,
                   "baseline": "TF-IDF with logistic regression", "baseline accuracy": self.baseline_accuracy,
                   "baseline macro-F1": self.baseline_macro_f1,
                   "baseline accuracy in cross-validation": self.baseline_cv_accuracy,
                   "difference": None if self.p_value is None else verdict(self)}
        return {name: value for name, value in figures.items() if value is not None}


def compare(df: pd.DataFrame, predicted: Sequence, lang: str = "en") -> Scores:
    """Score predictions next to the baseline, which is fitted on the same training texts.

    Args:
        df: labelled texts with the columns `text`, `label` and `valid`, true for the N texts kept aside.
        predicted: (N,) the classes that the model gave them, or N lists of classes.
        lang: the language of the texts, see `baseline`.
    """
    texts, aside = df["text"], df["valid"].to_numpy(bool)
    labels, ours = _comparable(df["label"].tolist(), predicted)  # (M,) and (N,), or (M, C) and (N, C)
    weights = df["weight"].to_numpy(float)[~aside] if "weight" in df else None
    try:
        with no_warnings():  # a class of all texts, or of none, is no reason for any
            tfidf = baseline(texts[~aside], labels[~aside], weights, lang)
        theirs = tfidf.predict(texts[aside])
        cross_validated = _cross_validated(tfidf, texts, pd.Series(labels, texts.index)) if labels.ndim == 1 else None
    except ValueError as e:
        if not is_without_words(e):
            raise
        return scored(labels[aside], ours)
    return scored(labels[aside], ours, theirs)._replace(baseline_cv_accuracy=cross_validated)


def scored(labels: Sequence | np.ndarray, predicted: Sequence | np.ndarray,
           theirs: Sequence | np.ndarray | None = None) -> Scores:
    """Return the scores of predictions for N labels, next to those of a baseline if it is given.

    Labels are strings, or zeros and ones (N, C), of which all of a text must be right.
    """
    truth, ours = _array(labels), _array(predicted)
    right = _equal(ours, truth)  # (N,)
    scores = Scores(float(right.mean()), *wilson(int(right.sum()), len(right)), _macro_f1(truth, ours))
    if theirs is None:
        return scores
    said = _array(theirs)
    return scores._replace(baseline_accuracy=float(_equal(said, truth).mean()),
                           baseline_macro_f1=_macro_f1(truth, said), p_value=mcnemar(right, _equal(said, truth)))


def _array(labels: Sequence | np.ndarray) -> np.ndarray:
    return labels if isinstance(labels, np.ndarray) and labels.ndim == 2 else np.array([str(name) for name in labels])


def _comparable(labels: list, predicted: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions as strings. Those of several classes per text as zeros and ones."""
    if not any(isinstance(label, list) for label in labels):
        return _array(labels), _array(predicted)
    from sklearn.preprocessing import MultiLabelBinarizer

    flags = MultiLabelBinarizer().fit_transform([[*map(str, each)] for each in (*labels, *predicted)])
    return flags[:len(labels)], flags[len(labels):]


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a == b if a.ndim == 1 else (a == b).all(1)


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval (low, high) of a share `k / n`, such as an accuracy (Wilson 1927).

    `wilson(45, 50)` is (0.79, 0.96): with 45 of 50 texts right, the true accuracy is probably between these two. The
    interval is valid for small `n` too, and for `k` = 0 and `k` = `n`.
    """
    from scipy.stats import binomtest

    low, high = binomtest(k, n).proportion_ci(method="wilson")
    return float(low), float(high)


def mcnemar(right: np.ndarray, theirs: np.ndarray) -> float:
    """Return the p-value of McNemar's exact test (1947) that two classifiers are equally often right.

    Below 0.05 their accuracies differ by more than noise.

    Args:
        right: (N,) booleans, True for each text that the first classifier has right.
        theirs: (N,) booleans, the same for the second classifier and the same texts.
    """
    from scipy.stats import binomtest

    ahead, behind = int((right & ~theirs).sum()), int((theirs & ~right).sum())
    return float(binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0


def _macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def _cross_validated(tfidf: "Pipeline", texts: pd.Series, labels: pd.Series) -> float | None:
    from sklearn.model_selection import cross_val_score

    once = ~texts.duplicated()  # or copies would be on both sides
    texts, labels = texts[once], labels[once]
    folds = min(FOLDS, min(Counter(labels).values()))
    if len(texts) >= CROSS_VALIDATED or folds < 2:
        return None
    return float(cross_val_score(tfidf, texts, labels, cv=folds, error_score="raise").mean())  # stratified


def in_sentences(scores: Scores, labels: Sequence, n_aside: int, n_different: int, what: str = "Accuracy") -> str:
    """Return the scores in sentences, with macro-F1 if the largest class has more than twice the texts of the smallest.

    Args:
        labels: (N,) of all labelled texts.
        n_aside: how many of these texts were kept aside.
        n_different: how many of the N are left without copies.
        what: what the accuracy is called.
    """
    counts = Counter(map(str, labels)).values()
    unequal = what != "Accuracy" or max(counts) > UNEQUAL * min(counts)

    def with_f1(score: str, macro_f1: float | None) -> str:
        return score + (f", macro-F1 {macro_f1:.3f}" if unequal else "")

    first = with_f1(f"{what} on {n_aside:,} texts kept aside: {scores.accuracy:.3f} (95% interval "
                    f"{scores.low:.3f} to {scores.high:.3f})", scores.macro_f1)
    if scores.baseline_accuracy is None:
        return f"{first}.\nTF-IDF with logistic regression has no words to count."
    second = with_f1(f"TF-IDF with logistic regression: {scores.baseline_accuracy:.3f} on the same texts",
                     scores.baseline_macro_f1)
    if scores.baseline_cv_accuracy is not None:
        all_of_them = f"all {n_different:,}" if n_different == len(labels) else f"the {n_different:,} different ones"
        second += f"; {scores.baseline_cv_accuracy:.3f} in cross-validation on {all_of_them}"
    return f"{first}.\n{second}.\n{verdict(scores)}"


def verdict(scores: Scores) -> str:
    """Return a sentence about the model and the baseline: which is better, or that chance may have decided."""
    assert scores.p_value is not None and scores.baseline_accuracy is not None
    test = f"(McNemar's exact test, p = {scores.p_value:.2g})"
    if scores.accuracy == scores.baseline_accuracy:
        return "The two are equal. To tell which is better, test both on more texts that neither has read."
    if scores.p_value >= SIGNIFICANT:
        return (f"The difference between the two is within noise {test}. To tell which is better, test both on more "
                "texts that neither has read.")
    if scores.accuracy > scores.baseline_accuracy:
        return f"This model is better than the baseline {test}."
    return (f"This model is worse than the baseline {test}. More unlabelled text, a language model of this "
            "language or more labels help. Until then TF-IDF with logistic regression classifies better.")
