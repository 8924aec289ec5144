"""Kinds of answers of an estimator: one class per text, several, or numbers. Each reads its labels too."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ulmfit_easy.data.targets import (
    SEVERAL,
    CategoryTarget,
    MultiCategoryTarget,
    RegressionTarget,
    Target,
    plain_labels,
    unpacked,
)
from ulmfit_easy.errors import LabelError, counted, in_rows, short, some
from ulmfit_easy.recipes import inputs
from ulmfit_easy.recipes.compare import Scores, compare, in_sentences
from ulmfit_easy.recipes.compare_numbers import NumberScores, compare_numbers, numbers_in_sentences
from ulmfit_easy.user_code import warn_user

THRESHOLD = 0.5  # above it a text has a class, if it may have several


class Kind:
    """One class for each text.

    Attributes:
        form: the name in the file of a saved estimator.
        y_block, target: the kind of target, as `TextDataLoaders` calls it, and its class.
        blends: True if linear models can be mixed in.
        scores: the class of the scores.
        classes: those that the labels name before any is read, in their order.
    """

    form, y_block, blends = "labels", "category", True
    target: ClassVar[type[Target]] = CategoryTarget
    scores: ClassVar[type] = Scores

    def __init__(self, classes: Sequence | None = None):
        self.classes = None if classes is None else list(classes)

    def read(self, given: Any, n: int, empty: Sequence[int]) -> list:
        """Return the labels of N texts, without those of the `empty` rows. Raises: E202, E205, E207."""
        return inputs.labels_of(given, n, empty)

    def check(self, labels: list) -> None:
        """Refuse labels that nothing can be learned from. Raises: E201, E204, E207."""
        inputs.check_shared(labels)
        CategoryTarget.learned(labels)

    def check_known(self, labels: list, known: list, rows: Sequence[int]) -> None:
        """Raise E203 for labels to validate with that no text to train on has. `rows` are their numbers."""
        classes = set(self.classes or self.named(known))
        bad = [row for row, label in zip(rows, labels, strict=True) if not {*self.named([label])} <= classes]
        if bad:
            new = sorted({short(name) for name in self.named(labels) if name not in classes})
            raise LabelError("E203", received=f"labels that no text to train on has: {some(map(repr, new), 3)}, "
                             f"{in_rows(bad)}", expected=f"one of {some(sorted(map(repr, classes)), 20)}",
                             fix="leave these rows out, or move some of each class to the texts to train on")

    def named(self, labels: list) -> list:
        """Return the class of each text, or each class of each text. None for numbers."""
        return labels

    def strata(self, labels: list) -> list | None:
        """Return labels by which rows are split evenly, None for a split by chance alone."""
        return labels

    def loader(self) -> dict:
        """Return the arguments of loaders."""
        return {"y_block": self.y_block, "labels": self.classes}

    def learner(self, labels: list) -> dict:
        """Return the arguments of a learner."""
        return {}

    def answers(self, probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the answers (N, ...) that probabilities (N, C) of the classes mean."""
        return classes[probs.argmax(1)]

    def compare(self, df: pd.DataFrame, said: np.ndarray, lang: str) -> tuple[Any, str]:
        """Return the scores of the answers (A, ...) for the rows of `df` kept aside, and sentences about them."""
        scores = compare(df, said.tolist(), lang)
        return scores, in_sentences(scores, df["label"], len(said), df["text"].nunique())

    def score(self, labels: list, said: np.ndarray, weights: np.ndarray | None) -> float:
        """Return the share of answers that are their labels."""
        return float(np.average([a == b for a, b in zip(labels, said.tolist(), strict=True)], weights=weights))


class Several(Kind):
    """Any number of classes for each text: each label is a list or a set, and so is each answer."""

    form, y_block, blends, target = "lists", "multi", False, MultiCategoryTarget

    def read(self, given: Any, n: int, empty: Sequence[int]) -> list:
        labels = inputs.sized(given, n)
        rows = inputs.without(range(n), empty)
        labels = [plain_labels(label) if isinstance(label, SEVERAL) else label for label in
                  inputs.without(labels, empty)]
        MultiCategoryTarget.check_given([labels], rows)
        if bad := [row for row, label in zip(rows, labels, strict=True) if not isinstance(label, list)]:
            raise LabelError("E207", received=f"lists of labels, and none in {in_rows(bad)}",
                             expected="a list or a set of classes for each text", fix="put single labels into lists")
        return [sorted(set(label), key=repr) for label in labels]

    def check(self, labels: list) -> None:
        MultiCategoryTarget.learned(labels, self.classes)

    def named(self, labels: list) -> list:
        return [name for label in labels for name in label]

    def strata(self, labels: list) -> None:
        return None

    def answers(self, probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        found = np.empty(len(probs), dtype=object)
        found[:] = [classes[row].tolist() for row in probs > THRESHOLD]
        return found

    def score(self, labels: list, said: np.ndarray, weights: np.ndarray | None) -> float:
        """Return the share of texts whose classes are all right, as `accuracy_score` of scikit-learn does."""
        found = [set(a) == set(b) for a, b in zip(labels, self.names(said), strict=True)]
        return float(np.average(found, weights=weights))

    def names(self, said: np.ndarray) -> list:
        """Return answers as lists of classes."""
        return said.tolist()

    def compare(self, df: pd.DataFrame, said: np.ndarray, lang: str) -> tuple[Any, str]:
        scores = compare(df, self.names(said), lang)
        return scores, in_sentences(scores, df["label"], len(said), df["text"].nunique(), "Share with all labels right")


class Indicator(Several):
    """Any number of classes for each text: labels and answers are zeros and ones, a column for each class."""

    form = "indicator"
    classes: list

    def read(self, given: Any, n: int, empty: Sequence[int]) -> list:
        given = given.toarray() if hasattr(given, "toarray") else np.asarray(given) if hasattr(given, "iloc") else given
        rows = inputs.sized(given, n)
        for row in rows:
            _check_width(row, len(self.classes))
        flags = np.array(rows, dtype=object).reshape(n, len(self.classes))
        if bad := sorted({int(i) for i in np.flatnonzero(~np.isin(flags.astype(str), (
                "0", "1", "0.0", "1.0", "True", "False")).all(1))} - set(empty)):
            raise LabelError("E207", received=f"several columns of labels with other values than 0 and 1, "
                             f"{in_rows(bad)}", expected="a column of zeros and ones for each class",
                             fix="pass one column, or a list of classes for each text")
        flags = np.isin(flags.astype(str), ("1", "1.0", "True"))
        return super().read([[name for name, flag in zip(self.classes, row, strict=True) if flag] for row in flags],
                            n, empty)

    def answers(self, probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return (probs > THRESHOLD).astype(np.int64)

    def names(self, said: np.ndarray) -> list:
        return [[name for name, flag in zip(self.classes, row, strict=True) if flag] for row in said]


class Numbers(Kind):
    """One or more numbers for each text."""

    form, y_block, blends, target, scores = "numbers", "regression", False, RegressionTarget, NumberScores

    def read(self, given: Any, n: int, empty: Sequence[int]) -> list:
        labels = given.to_numpy().tolist() if isinstance(given, pd.DataFrame) else given
        labels = inputs.without(unpacked(inputs.sized(labels, n)), empty)
        rows = inputs.without(range(n), empty)
        RegressionTarget.check_given([labels], rows)
        if len({len(label) if isinstance(label, SEVERAL) else 0 for label in labels}) > 1:
            raise LabelError("E207", received="lists of numbers of different lengths",
                             expected="as many numbers for each text", fix="fill or drop the rows with fewer")
        RegressionTarget.learned(labels).encode(labels, rows=rows)
        return labels

    def check(self, labels: list) -> None:
        """Any finite numbers will do."""

    def check_known(self, labels: list, known: list, rows: Sequence[int]) -> None:
        """Raise E205 for other than as many numbers as the texts to train on have."""
        _check_width(labels[0], np.size(known[0]))

    def named(self, labels: list) -> list:
        return []

    def strata(self, labels: list) -> None:
        return None

    def learner(self, labels: list) -> dict:
        """Return the range of the answers: that of the labels, and a twentieth more on both sides."""
        values = np.array(labels, dtype=float)
        low, high = float(values.min()), float(values.max())
        if low == high:
            warn_user(f"all numbers to learn are {low:g}")
        more = (high - low) / 20 or 1.0
        return {"y_range": (low - more, high + more)}

    def answers(self, probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return probs[:, 0] if probs.shape[1] == 1 else probs

    def compare(self, df: pd.DataFrame, said: np.ndarray, lang: str) -> tuple[Any, str]:
        scores = compare_numbers(df, said, lang)
        return scores, numbers_in_sentences(scores, len(said))

    def score(self, labels: list, said: np.ndarray, weights: np.ndarray | None) -> float:
        """Return the coefficient of determination, R\u00b2, as scikit-learn's regressors do."""
        from sklearn.metrics import r2_score

        _check_width(labels[0], said.shape[1] if said.ndim > 1 else 1)
        return float(r2_score(np.array(labels, dtype=float), said, sample_weight=weights))


def _check_width(label: Any, n: int) -> None:
    """Raise E205 for the label of a text if it has other than `n` columns."""
    if (width := np.size(label)) != n:
        raise LabelError("E205", received=f"labels with {counted(width, 'column')}", expected=f"{n:,}, as in training",
                         fix="give the columns of training")


KINDS: dict[str, type[Kind]] = {kind.form: kind for kind in (Kind, Several, Indicator, Numbers)}


def kind_of_labels(given: Any) -> Kind:
    """Return what a classifier is to answer, as its labels tell: one class, lists of classes, or a column for each."""
    if isinstance(given, pd.DataFrame) and given.shape[1] > 1:
        return Indicator(plain_labels(given.columns))
    if getattr(given, "ndim", 1) == 2 and not isinstance(given, pd.DataFrame) and given.shape[1] > 1:
        return Indicator(range(given.shape[1]))
    if hasattr(given, "ndim") and given.ndim != 1 or not isinstance(given, Sequence | pd.Series | np.ndarray):
        return Kind()
    labels = plain_labels(given) if not isinstance(given, str) else []
    lists = [label for label in labels if isinstance(label, SEVERAL)]
    sizes = {len(label) for label in lists}
    if not lists or sizes == {1} and len(lists) == len(labels):
        return Kind()
    flags = all(isinstance(label, list) and all(type(v) is int and v in (0, 1) for v in label) for label in labels)
    return Indicator(range(sizes.pop())) if flags and len(sizes) == 1 and 0 not in sizes else Several()
