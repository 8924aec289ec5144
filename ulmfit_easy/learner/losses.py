"""Losses that also know how to turn a prediction into probabilities (`activation`) and a decision (`decodes`).

Predictions are logits (B, C) unless a loss says otherwise. `reduction` is "mean", "sum" or "none", which gives a value
for each row. A learner's `get_preds`, `predict` and metrics ask the loss what its predictions mean.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from inspect import isroutine
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.softmax import IGNORE, LMOutput, lm_cross_entropy
from ulmfit_easy.reprs import with_settings
from ulmfit_easy.schema import number, one_of, takes

__all__ = ["BCELossFlat", "BCEWithLogitsLossFlat", "CrossEntropyLossFlat", "MSELossFlat"]


def _weights(value: Any) -> Tensor | None:
    """Check weights of classes, (C,)."""
    if value is not None and not (torch.isfinite(value) & (value >= 0)).all():
        raise ValueError("finite numbers, none below 0, as class_weights(dls) gives them")
    return value


WEIGHTED = {"reduction": one_of(("mean", "sum", "none")), "weight": _weights}


class CrossEntropyLossFlat:
    """Cross-entropy of class logits (..., C) and classes (...). The default loss of classifiers and language models.

    For a language model it is computed in chunks, and is always the plain mean: the arguments have no effect.

    Args:
        weight: (C,) weights of the classes, or None. A mean is then divided by the weights of its rows.
        ignore_index: rows with this class are left out.
        axis: the dimension of the classes in a prediction.
        label_smoothing: the share of the target that is spread over all classes, from 0 to below 1.
    """

    __repr__ = with_settings

    @takes({**WEIGHTED, "label_smoothing": number(0, 1, without=[1])})
    def __init__(self, weight: Tensor | None = None, ignore_index: int = IGNORE, reduction: str = "mean",
                 axis: int = -1, *, label_smoothing: float = 0.0):
        self.weight, self.ignore_index, self.reduction, self.axis = weight, ignore_index, reduction, axis
        self.label_smoothing = label_smoothing

    def __call__(self, pred: Tensor | LMOutput, target: Tensor) -> Tensor:
        if isinstance(pred, LMOutput):
            if not self._plain():
                raise ArgumentError("E603", received=f"{type(self).__name__} with its settings for a language model",
                                    expected="plain cross-entropy, whose exp is the perplexity",
                                    fix="pass loss_func=CrossEntropyLossFlat() or leave it out")
            return lm_cross_entropy(pred, target)
        logits = pred.movedim(self.axis, -1).flatten(0, -2).float()  # (N, C)
        weight = None if self.weight is None else self.weight.to(logits)
        return self._loss(logits, target.flatten(), weight)

    def _plain(self) -> bool:
        return self.weight is None and not self.label_smoothing and self.ignore_index == IGNORE

    def _loss(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return F.cross_entropy(logits, target, weight, ignore_index=self.ignore_index, reduction=self.reduction,
                               label_smoothing=self.label_smoothing)

    @cached_property
    def activation(self) -> Callable[[Tensor], Tensor]:
        """From logits to probabilities (B, C)."""
        return partial(torch.softmax, dim=self.axis)

    @cached_property
    def decodes(self) -> Callable[[Tensor], Tensor]:
        """From logits to the likeliest class (B,)."""
        return partial(torch.argmax, dim=self.axis)


class BCEWithLogitsLossFlat:
    """Binary cross-entropy of each class on its own, (B, C) against (B, C): for texts with several labels.

    Args:
        thresh: the probability above which a class is said to be there, or a list with one for each class.
        pos_weight: (C,) how many rows a row with the class counts for.
        weight: (C,) weights of the classes.
    """

    __repr__ = with_settings

    @takes({**WEIGHTED, "pos_weight": _weights})
    def __init__(self, thresh: float = 0.5, pos_weight: Tensor | None = None, reduction: str = "mean",
                 weight: Tensor | None = None):
        self.thresh, self.pos_weight, self.reduction, self.weight = thresh, pos_weight, reduction, weight

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        weight, pos_weight = (None if w is None else w.to(pred) for w in (self.weight, self.pos_weight))
        return F.binary_cross_entropy_with_logits(pred.float(), target.float(), weight, pos_weight=pos_weight,
                                                  reduction=self.reduction)

    def activation(self, logits: Tensor) -> Tensor:
        """Return a probability for each class (B, C)."""
        return logits.sigmoid()

    def decodes(self, logits: Tensor) -> Tensor:
        """Return flags (B, C): which classes are likelier than the threshold."""
        return above(logits.sigmoid(), self.thresh)


def above(probs: Tensor, thresh: float | Sequence[float]) -> Tensor:
    """Return flags (B, C): which probabilities are above a threshold, one for all classes or a list of C."""
    return probs > torch.as_tensor(thresh, dtype=probs.dtype, device=probs.device)


class BCELossFlat:
    """Binary cross-entropy of predictions that are probabilities, such as those of a learner with `y_range=(0, 1)`."""

    __repr__ = with_settings

    @takes(WEIGHTED)
    def __init__(self, reduction: str = "mean", weight: Tensor | None = None, thresh: float = 0.5):
        self.reduction, self.weight, self.thresh = reduction, weight, thresh

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(pred)
        return F.binary_cross_entropy(pred.float(), target.float().view_as(pred), weight, reduction=self.reduction)

    def activation(self, probs: Tensor) -> Tensor:
        """Return the prediction itself."""
        return probs

    def decodes(self, probs: Tensor) -> Tensor:
        """Return flags (B, C): which classes are likelier than the threshold."""
        return above(probs, self.thresh)


class MSELossFlat:
    """Mean squared error, (B,) or (B, n) against the same, for regression."""

    function = staticmethod(F.mse_loss)

    __repr__ = with_settings

    @takes({"reduction": WEIGHTED["reduction"]})
    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        return self.function(pred.float().reshape(-1), target.float().reshape(-1), reduction=self.reduction)

    def activation(self, pred: Tensor) -> Tensor:
        """Return the prediction itself."""
        return pred

    decodes = activation


# what the predictions of torch's own losses mean
OF_TORCH = {nn.CrossEntropyLoss: CrossEntropyLossFlat, F.cross_entropy: CrossEntropyLossFlat,
            nn.BCEWithLogitsLoss: BCEWithLogitsLossFlat, F.binary_cross_entropy_with_logits: BCEWithLogitsLossFlat}


def activation_of(loss_func: Callable) -> Callable[[Tensor], Tensor]:
    """Return the loss's activation, or that of our loss for torch's. The identity for another plain function."""
    return getattr(_telling(loss_func), "activation", nn.Identity())


def decodes_of(loss_func: Callable) -> Callable[[Tensor], Tensor]:
    """Return the loss's decision rule, or that of our loss for torch's. The identity for another function."""
    return getattr(_telling(loss_func), "decodes", nn.Identity())


def _telling(loss_func: Callable) -> Callable:
    ours = OF_TORCH.get(type(loss_func)) or (OF_TORCH.get(loss_func) if isroutine(loss_func) else None)
    return ours() if ours else loss_func
