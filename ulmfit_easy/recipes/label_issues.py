"""Find rows whose label is probably wrong, by confident learning."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.sources import find_columns, taught
from ulmfit_easy.errors import LabelError, TrainingError, check_new
from ulmfit_easy.extras import optional_package
from ulmfit_easy.recipes import inputs
from ulmfit_easy.schema import random_seed, takes, whole

__all__ = ["label_issues", "out_of_sample"]


@takes({"folds": whole(2), "seed": random_seed})
def label_issues(model: Any, df: pd.DataFrame, *, text_col: str | int | Sequence = "text",
                 label_col: str | int = "label", folds: int = 5, seed: int | None = 0) -> pd.DataFrame:
    """Return the rows whose label is probably wrong, the most doubtful first. Check each: the model makes errors too.

    Each row is judged by a model that was not trained on it, so this trains `folds` models. That takes minutes with a
    `ULMFiT`, and seconds with logistic regression on `TextFeatures`.

    Args:
        model: a `ULMFiT`, or a scikit-learn classifier that takes texts. Only its parameters count: copies of it are
            trained.
        df: texts with one label each. From a table of Prodigy only accepted rows are used.
        text_col, label_col: names or positions. Several text columns go to the model as a table.
        folds: the number of models. There are fewer if a class has fewer different texts.
        seed: for the draw of the folds.

    Returns: rows of `df` with the columns `suggested`, the likeliest class, and `quality`, the probability of the label
        that the row has. No row at all is a good sign.

    Raises: TrainingError E507 if cleanlab is not installed. ArgumentError E603 if the table has one of these two
        columns. TextError and LabelError for texts and labels that cannot be used.

    Source: Northcutt, Jiang & Chuang 2021, "Confident Learning" (arXiv 1911.00068), in the package cleanlab.

    Example:
        >>> label_issues(ULMFiT(seed=0), df)  # doctest: +SKIP
    """
    found = optional_package("cleanlab.filter")
    names = [*(text_col if isinstance(text_col, list | tuple) else [text_col]), label_col]
    columns = find_columns(df := taught(df, names), names)
    check_new(["suggested", "quality"], df.columns, "a table")
    texts = columns[0] if len(columns) == 2 else pd.concat(columns[:-1], axis=1)
    labels = inputs.labels_of(columns[-1], len(df))
    classes, probs = out_of_sample(model, texts, labels, folds=folds, seed=seed)
    numbers = np.array([classes.index(label) for label in labels])
    rows = found.find_label_issues(numbers, probs, return_indices_ranked_by="self_confidence", n_jobs=1)
    suggested = pd.Series([classes[i] for i in probs[rows].argmax(1)], df.index[rows], dtype=object)
    return df.iloc[rows].assign(suggested=suggested.to_numpy(), quality=probs[rows, numbers[rows]])


@takes({"folds": whole(2), "seed": random_seed})
def out_of_sample(model: Any, texts: pd.Series | pd.DataFrame, labels: Sequence, *, folds: int = 5,
                  seed: int | None = 0) -> tuple[list, np.ndarray]:
    """Return the C classes, sorted, and probabilities (N, C) for texts, each from a model that has not read it.

    Cross-validation in `folds` parts with the classes in each part alike. Copies of a text are in one part.

    Raises: What `model.fit` raises. LabelError E206 for a class with only one text. TrainingError E506 for a model that
        is no classifier with `fit` and `predict_proba`.
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedGroupKFold

    if not hasattr(model, "get_params") or not hasattr(model, "predict_proba"):
        raise TrainingError("E506", received=f"{type(model).__name__}, of which no copy can be trained",
                            expected="a ULMFiT, or a classifier of scikit-learn with predict_proba",
                            fix="pass ULMFiT() with the settings of your model")
    rows = list(texts if isinstance(texts, pd.Series) else texts.itertuples(index=False, name=None))
    groups = pd.factorize(pd.Series(rows, dtype=object))[0]
    classes = sorted(set(labels))
    least = min(len({group for group, label in zip(groups, labels, strict=True) if label == own}) for own in classes)
    if least < 2:
        raise LabelError("E206", received="a class with one text", expected="two different texts of each class",
                         fix="leave out the rows of this class, or join classes")
    probs = np.zeros((len(rows), len(classes)))  # (N, C)
    number = {label: i for i, label in enumerate(classes)}
    labelled = np.array([number[label] for label in labels])
    parts = StratifiedGroupKFold(min(folds, least), shuffle=seed is not None, random_state=seed)
    for train, aside in parts.split(np.zeros((len(rows), 1)), labelled, groups):
        copy = clone(model)
        if "verbose" in copy.get_params():
            copy.set_params(verbose=False)
        copy.fit(texts.iloc[train], [labels[i] for i in train])
        columns = [number[label] for label in np.asarray(copy.classes_).tolist()]
        probs[np.ix_(aside, columns)] = copy.predict_proba(texts.iloc[aside])
    return classes, probs
