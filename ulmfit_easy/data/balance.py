"""Rare classes: weights for the loss, and rows drawn more often than others."""

import reprlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError, LabelError, TrainingError, refuse_stranger, some
from ulmfit_easy.schema import any_of, checked, list_of, number, one_of, such

if TYPE_CHECKING:
    from ulmfit_easy.data.dataloaders import DataLoaders

SMALL = 1e-20
JITTER = 0.2, 8  # of its length, and tokens more: how far a drawn row may stray, so that no row fills a batch


def class_weights(dls: "DataLoaders") -> Tensor:
    """Return weights (C,) float32 that make rare classes count as much as frequent ones in the loss.

    They are computed from the training labels:

    * One class for each text: N / (C x texts of the class), as scikit-learn's "balanced". A class without a text
      gets 1. Pass them as `CrossEntropyLossFlat(weight=...)`.
    * Several classes for each text: texts without the class / texts with it. Pass them as
      `BCEWithLogitsLossFlat(pos_weight=...)`.

    Raises: TrainingError E506 for a language model, for numbers, and for loaders without training data.
    Source: King & Zeng 2001. `sklearn.utils.class_weight.compute_class_weight`.
    """
    targets = getattr(dls.train, "targets", None)
    if targets is None or not (dls.target.has_classes and dls.target.per == "text"):
        raise TrainingError("E506", received=f"class_weights() on loaders of task {dls.task!r}",
                            expected="training texts with classes", fix="use it for a classifier, with its data")
    if not dls.target.one_class:
        with_class = targets.sum(0)  # (C,)
        return torch.where(with_class > 0, (len(targets) - with_class) / with_class.clamp(min=1), 1.0)
    counts = torch.bincount(targets, minlength=dls.c or 0)  # (C,)
    balanced = len(targets) / ((counts > 0).sum() * counts.clamp(min=1))
    return torch.where(counts > 0, balanced, 1.0).to(torch.float32)


def loss_weights(dls: "DataLoaders", class_weight: str | dict | Sequence | None,
                 loss_func: Callable | None) -> Tensor | None:
    """Return the weights of the classes, (C,), that a learner's `class_weight` asks for, None for none.

    Raises: E603 together with a `loss_func`, E602 for unknown classes and invalid weights.
    """
    if class_weight is None:
        return None
    if loss_func is not None:
        raise ArgumentError("E603", received="class_weight= with loss_func=", expected="one of the two",
                            fix="give the loss its weights: CrossEntropyLossFlat(weight=class_weights(dls))")
    given = given_weights(class_weight, dls.classes or [])
    return class_weights(dls) if given is None else given


def given_weights(class_weight: str | dict | Sequence, known: Sequence) -> Tensor | None:
    """Return the given weights of the classes `known`, (C,), None for "balanced". E602 for invalid ones."""
    if isinstance(class_weight, dict):
        for name in class_weight:
            refuse_stranger("class_weight= for ", name, known)
        class_weight = [class_weight.get(name, 1.0) for name in known]
    # float32 has no mean of numbers that are larger or smaller
    numbers = such(list_of(number(0)), lambda given: len(given) == len(known) and SMALL <= max(given) <= 1 / SMALL,
                   f"numbers for the classes {some(known)}, the largest from {SMALL} to {1 / SMALL:g}")
    given = checked({"class_weight": any_of(one_of(["balanced"]), numbers)}, class_weight=class_weight)["class_weight"]
    return None if isinstance(given, str) else torch.tensor(given, dtype=torch.float32)


def balanced_rows(targets: np.ndarray) -> np.ndarray:
    """Return weights (N,) float64 that draw each class equally often. E207 if rows have several classes."""
    if np.ndim(targets) != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise LabelError("E207", received="balanced=True for texts without one class each", expected="one class each",
                         fix="pass weights=[...], a number for each row, or use class_weights(dls) in the loss")
    return 1 / np.bincount(targets)[targets]


def checked_weights(weights: Sequence | np.ndarray, n: int, argument: str = "weights") -> np.ndarray:
    """Weights of n rows, (n,) float64. E602 unless they are finite, none below 0, and not all of them 0."""
    try:
        found = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != (n,) or not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise ArgumentError("E602", received=f"{argument}={reprlib.repr(weights)}", expected=f"{n:,} numbers from "
                            "0 on, not all of them 0", fix=f"give one weight for each row; leave out {argument}=")
    return found


def strayed(lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lengths (N,) moved up or down by chance, so that equal rows part where they are put in order."""
    share, more = JITTER
    return lengths + rng.uniform(-1, 1, len(lengths)) * (share * lengths + more)


def draw_rows(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """N positions, each of them drawn as often as its share of the weights (N,), rounded up or down by chance.

    Rows of equal weight are drawn equally often, but for one: chance decides which rows, not how many of a class.
    Source: systematic sampling, Madow 1949.
    """
    n, weights = len(weights), weights / weights.max()  # so that no sum is too large or too small for a number
    mixed = rng.permutation(n)
    mixed = mixed[np.argsort(weights[mixed], kind="stable")]  # rows of equal weight side by side
    ends = np.cumsum(weights[mixed]) * (n / weights.sum())  # (N,) row k gets the numbers up to ends[k]
    found = np.searchsorted(ends, rng.random() + np.arange(n), side="right")
    return mixed[np.minimum(found, n - 1)]
